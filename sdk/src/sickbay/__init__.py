"""Sickbay: an immune system for AI agents.

    from sickbay import Agent

    agent = Agent("refund-desk")
    with agent.run() as run:
        run.execute(issue_refund, order, verify=lambda r: r["amount"] == order["amount"])

Importing this starts no thread and loads nothing heavy: names are fetched when they are first used, so that
a server can import `sickbay.budget` alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sickbay._action import Action as Action
    from sickbay._agent import Agent as Agent
    from sickbay._arguments import FailureBudget as FailureBudget
    from sickbay._checkpoint import Checkpoint as Checkpoint
    from sickbay._checkpoint import RolledBack as RolledBack
    from sickbay._errors import ActionFailed as ActionFailed
    from sickbay._errors import AgentPauseRequired as AgentPauseRequired
    from sickbay._errors import AgentStopped as AgentStopped
    from sickbay._errors import AlreadyRunning as AlreadyRunning
    from sickbay._errors import BadArgument as BadArgument
    from sickbay._errors import EffectRefused as EffectRefused
    from sickbay._errors import NoRun as NoRun
    from sickbay._errors import RestoreRefused as RestoreRefused
    from sickbay._errors import RestoreUnfinished as RestoreUnfinished
    from sickbay._errors import SickbayError as SickbayError
    from sickbay._errors import TokenRefused as TokenRefused
    from sickbay._memory import Memory as Memory
    from sickbay._outcome import Verdict as Verdict
    from sickbay._run import AsyncRun as AsyncRun
    from sickbay._run import Run as Run
    from sickbay._version import __version__ as __version__

_WHERE = {
    "Action": "_action",
    "ActionFailed": "_errors",
    "Agent": "_agent",
    "AgentPauseRequired": "_errors",
    "AgentStopped": "_errors",
    "AlreadyRunning": "_errors",
    "AsyncRun": "_run",
    "BadArgument": "_errors",
    "Checkpoint": "_checkpoint",
    "EffectRefused": "_errors",
    "FailureBudget": "_arguments",
    "Memory": "_memory",
    "NoRun": "_errors",
    "RestoreRefused": "_errors",
    "RestoreUnfinished": "_errors",
    "RolledBack": "_checkpoint",
    "Run": "_run",
    "SickbayError": "_errors",
    "TokenRefused": "_errors",
    "Verdict": "_outcome",
    "__version__": "_version",
}

__all__ = [
    "Action",
    "ActionFailed",
    "Agent",
    "AgentPauseRequired",
    "AgentStopped",
    "AlreadyRunning",
    "AsyncRun",
    "BadArgument",
    "Checkpoint",
    "EffectRefused",
    "FailureBudget",
    "Memory",
    "NoRun",
    "RestoreRefused",
    "RestoreUnfinished",
    "RolledBack",
    "Run",
    "SickbayError",
    "TokenRefused",
    "Verdict",
    "__version__",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module 'sickbay' has no attribute {name!r}")
    value = getattr(import_module(f"sickbay.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
