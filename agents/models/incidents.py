"""Incidents: one cause that waits for a human.

open → acknowledged → decided → applied → closed, each move a conditional update. An incident has one or
more pauses, settled pause by pause: a decision makes one command a pause, the agent's receipt and its
state snapshot move it on. `version` goes up only when what a decider was shown changes.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from agents.models.agents import Agent, Instance
from agents.models.people import Project, User


class IncidentState(models.TextChoices):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    DECIDED = "decided"
    APPLIED = "applied"
    CLOSED = "closed"


class Cause(models.TextChoices):
    BUDGET = "budget"
    HUMAN = "human"
    SILENCE = "silence"
    MISSED = "missed"
    BLOCKED = "blocked"
    EFFECT = "effect"
    DETECTOR = "detector"
    REPORTED = "reported"
    QUESTION = "question"


class Incident(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="incidents")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="incidents")
    state = models.CharField(max_length=12, choices=IncidentState, default=IncidentState.OPEN)
    version = models.BigIntegerField(default=1)
    cause = models.CharField(max_length=10, choices=Cause)
    title = models.CharField(max_length=300)
    group = models.ForeignKey("agents.FailureGroup", null=True, on_delete=models.SET_NULL)
    failure = models.CharField(max_length=60, blank=True)
    instances = models.ManyToManyField(Instance, related_name="incidents")
    opened_at = models.DateTimeField(default=timezone.now)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    assigned_to = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="assigned")
    snoozed_until = models.DateTimeField(null=True)
    decided_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["project", "state", "opened_at"], name="incidents_by_state")]


class PauseState(models.TextChoices):
    PAUSING = "pausing"
    PAUSED = "paused"
    DECIDED = "decided"
    LIFTED = "lifted"
    STOPPED = "stopped"


class Owner(models.TextChoices):
    BUDGET = "budget"
    DETECTOR = "detector"
    HUMAN = "human"
    DEPLOY = "deploy"


class Pause(models.Model):
    """One instance held still. The id is made by whoever paused, so a repeat is the same pause."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="pauses")
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="pauses")
    state = models.CharField(max_length=10, choices=PauseState, default=PauseState.PAUSED)
    owner = models.CharField(max_length=10, choices=Owner)
    cause = models.CharField(max_length=500)
    in_flight = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instance"],
                name="one_pause_holds_an_instance",
                condition=models.Q(state__in=["pausing", "paused", "decided", "stopped"]),
            )
        ]


class Decision(models.Model):
    class Verb(models.TextChoices):
        RESUME = "resume"
        ROLLBACK = "rollback"
        STOP = "stop"
        START = "start"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="decisions")
    pause = models.ForeignKey(Pause, on_delete=models.CASCADE, related_name="decisions")
    verb = models.CharField(max_length=10, choices=Verb)
    version = models.BigIntegerField()
    reason = models.CharField(max_length=500)
    guidance = models.TextField(blank=True)
    probation = models.BooleanField(default=True)
    target = models.UUIDField(null=True)
    by = models.CharField(max_length=200)
    at = models.DateTimeField(default=timezone.now)


class Proposal(models.Model):
    """A decision that needs a second person: what the first one asked for, from what they were shown.

    `words` is what they said; `targets` is the checkpoint that each instance goes back to.
    """

    class State(models.TextChoices):
        WAITING = "waiting"
        CONFIRMED = "confirmed"
        DECLINED = "declined"
        LAPSED = "lapsed"
        STALE = "stale"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="proposals")
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    verb = models.CharField(max_length=10, choices=Decision.Verb)
    version = models.BigIntegerField()
    words = models.JSONField(default=dict)
    targets = models.JSONField(default=dict)
    person = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    by = models.CharField(max_length=200)
    at = models.DateTimeField()
    lapses_at = models.DateTimeField()
    settled_by = models.CharField(max_length=200, blank=True)
    settled_at = models.DateTimeField(null=True)
    why = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["incident"],
                name="one_proposal_waits",
                condition=models.Q(state="waiting"),
            )
        ]


class Trial(models.Model):
    """One agent of an incident goes on first; `rest` are the pauses that follow it (services/trials)."""

    class State(models.TextChoices):
        TRYING = "trying"
        PASSED = "passed"
        FAILED = "failed"
        ENDED = "ended"

    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="trials")
    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=10, choices=State, default=State.TRYING)
    first = models.JSONField(default=list)
    rest = models.JSONField(default=list)
    tool = models.CharField(max_length=200, blank=True)
    passed = models.PositiveIntegerField(default=0)
    reason = models.CharField(max_length=500)
    guidance = models.TextField(blank=True)
    by = models.CharField(max_length=200)
    at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    why = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["incident"], name="one_trial_at_a_time", condition=models.Q(state="trying")
            )
        ]


class ToolHold(models.Model):
    """Calls to a tool wait: those of `agents`, or with `everywhere` the whole project's (services/holds)."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="holds")
    incident = models.ForeignKey(Incident, on_delete=models.CASCADE, related_name="holds")
    tool = models.CharField(max_length=200)
    everywhere = models.BooleanField(default=False)
    agents = models.ManyToManyField(Agent, related_name="holds")
    reason = models.CharField(max_length=500)
    by = models.CharField(max_length=200)
    at = models.DateTimeField()
    lifted_by = models.CharField(max_length=200, blank=True)
    lifted_why = models.CharField(max_length=500, blank=True)
    lifted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["incident", "tool"],
                name="one_hold_an_incident_and_tool",
                condition=models.Q(lifted_at=None),
            )
        ]
        indexes = [
            models.Index(fields=["project"], name="holds_that_stand", condition=models.Q(lifted_at=None))
        ]


class Command(models.Model):
    """What the server asks of an instance. The row is the queue; the socket only says look."""

    class Kind(models.TextChoices):
        PAUSE = "pause"
        RESUME = "resume"
        STOP = "stop"
        START = "start"
        ROLLBACK = "rollback"
        EFFECT = "effect"
        HOLD = "hold"

    class State(models.TextChoices):
        ORDERED = "ordered"
        TAKEN = "taken"
        DONE = "done"
        REFUSED = "refused"
        OVERTAKEN = "overtaken"
        WITHDRAWN = "withdrawn"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    instance = models.ForeignKey(Instance, on_delete=models.CASCADE, related_name="commands")
    version = models.BigIntegerField()
    kind = models.CharField(max_length=10, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.ORDERED)
    payload = models.JSONField(default=dict)
    pause = models.ForeignKey(Pause, null=True, on_delete=models.CASCADE, related_name="commands")
    decision = models.ForeignKey(Decision, null=True, on_delete=models.CASCADE, related_name="commands")
    ordered_at = models.DateTimeField(default=timezone.now)
    taken_at = models.DateTimeField(null=True)
    taken_by = models.CharField(max_length=32, blank=True)
    taken_epoch = models.BigIntegerField(null=True)
    done_at = models.DateTimeField(null=True)
    paged_again_at = models.DateTimeField(null=True)
    why = models.CharField(max_length=500, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "version"], name="commands_in_order")]
