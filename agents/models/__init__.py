"""The nouns, one module for each family; import them from here."""

from __future__ import annotations

from agents.models.agents import (
    Agent,
    Heartbeat,
    Instance,
    Minute,
    Presence,
    RefusedRegistration,
    Run,
    RunState,
    Status,
)
from agents.models.alerts import AlertTarget, Attempt, Outbox
from agents.models.audit import AuditEntry, AuditHead
from agents.models.entries import Effect, Entry, FailureGroup, Kind, Quarantine
from agents.models.incidents import (
    Cause,
    Command,
    Decision,
    Incident,
    IncidentState,
    Owner,
    Pause,
    PauseState,
    Proposal,
    ToolHold,
    Trial,
)
from agents.models.oncall import (
    Escalation,
    EscalationPolicy,
    Note,
    Override,
    Schedule,
    Team,
    Turn,
    Whom,
)
from agents.models.people import Membership, Project, Role, Scope, SignInLink, Token, User

__all__ = [
    "Agent", "AlertTarget", "Attempt", "AuditEntry", "AuditHead", "Cause", "Command", "Decision", "Effect",
    "Entry", "Escalation", "EscalationPolicy", "FailureGroup", "Heartbeat", "Incident", "IncidentState",
    "Instance", "Kind", "Membership", "Minute", "Note", "Outbox", "Override", "Owner", "Pause", "PauseState",
    "Presence", "Project", "Proposal", "Quarantine", "RefusedRegistration", "Role", "Run", "RunState",
    "Schedule", "Scope", "SignInLink", "Status", "Team", "Token", "ToolHold", "Trial", "Turn", "User",
    "Whom",
]  # fmt: skip
