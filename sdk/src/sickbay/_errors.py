"""What can go wrong, drawn once.

Exception
└── SickbayError               anything of ours that is an error
    ├── BadArgument            also a ValueError: the sentence says what to write instead
    ├── AlreadyRunning         another living process has this name and instance
    ├── TokenRefused           the server knows no such token; raised at start only
    ├── NoRun                  a tool was called while no run of its agent is live
    ├── RestoreRefused         a workspace was not restored: nothing in it was changed
    ├── RestoreUnfinished      a restore has begun and cannot go on yet: its journal is finished first
    └── ActionFailed           an action raised, or its verdict was `fail`
        └── EffectRefused      an effect with a key did not run: its intent could not be written

BaseException
└── AgentPauseRequired         a pause: a human decides; like CancelledError it cannot be swallowed
    └── AgentStopped           a human stopped the agent, or a newer process took its place
"""

from __future__ import annotations

from typing import Any


class SickbayError(Exception):
    """The root of Sickbay's errors."""


class BadArgument(SickbayError, ValueError):
    """An argument is wrong; the message says what to write instead."""


class AlreadyRunning(SickbayError):
    """Another living process runs as this agent and instance.

    Attributes: `pid`, the process that holds the name (0 when it is not known).
    """

    def __init__(self, message: str, pid: int = 0) -> None:
        super().__init__(message)
        self.pid = pid


class TokenRefused(SickbayError):
    """The server refused the token. Make a new one with `manage.py token --scope agent`."""


class NoRun(SickbayError):
    """A tool was called outside a run. Call it inside `with agent.run() as run:`."""


class RestoreRefused(SickbayError):
    """A workspace cannot be restored. Nothing in it was changed; the message says why and what to do.

    Attributes: `path`, the name it is about as it may be shown ("" when it is about none), and `reason`.
    """

    def __init__(self, reason: str, *, path: str = "", what_to_do: str = "") -> None:
        super().__init__(f"{path} {reason}".strip() + (f": {what_to_do}" if what_to_do else ""))
        self.path, self.reason, self.what_to_do = path, reason, what_to_do


class RestoreUnfinished(SickbayError):
    """A restore has begun and something is in its way. Nothing else may run before it is finished.

    Attributes: `path`, what is in the way as it may be shown, and `reason`. The next attempt goes on.
    """

    def __init__(self, reason: str, *, path: str = "", what_to_do: str = "") -> None:
        super().__init__(f"{path} {reason}".strip() + (f": {what_to_do}" if what_to_do else ""))
        self.path, self.reason, self.what_to_do = path, reason, what_to_do


class ActionFailed(SickbayError):
    """An action raised, or its verification did not pass. It has been recorded.

    Attributes:
        action: the action's name.
        verdict: the `Verdict` when a verification failed, else None.
        result: what the action returned when a verification failed, else None.
        failure: the id of the failure in the timeline, or None when it was not counted.
        transient: True for failures that spend no budget, such as time-outs.
        rolled_back_to: the checkpoint gone back to, or None.

    The exception the action raised is `__cause__`.
    """

    def __init__(
        self,
        message: str,
        *,
        action: str,
        verdict: Any = None,
        result: Any = None,
        failure: str | None = None,
        transient: bool = False,
    ) -> None:
        super().__init__(message)
        self.action = action
        self.verdict = verdict
        self.result = result
        self.failure = failure
        self.transient = transient
        self.rolled_back_to: str | None = None


class EffectRefused(ActionFailed):
    """An effect with a key did not run, because its intent could not be written to this machine's disk.

    Nothing reached the outside world and the key is free. Make room there, and it runs when it is called
    again. It says nothing of the tool, so it is *transient* and spends no budget.

    Attributes: those of `ActionFailed`, and `key`, `directory` (where the ledger of effects is), `reason`.
    """

    def __init__(self, action: str, key: str, directory: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        super().__init__(
            f"{action} did not run: what it is about to do ({key}) could not be written to {directory} "
            f"({reason}), and without that nobody could keep it from happening twice. Nothing was sent, and "
            "all that was done before is kept. Make room there, or make it writable; then call it again",
            action=action,
            transient=True,
        )
        self.key, self.directory, self.reason = key, directory, reason


class AgentPauseRequired(BaseException):
    """The agent is paused until a human decides; nothing guarded runs before that.

    Derives from BaseException, like asyncio.CancelledError, so that `except Exception` lets it through;
    every later action of the run raises it again. Do not catch it: leave the `with` block. The next
    `agent.run()` goes on when a human has approved, and raises this again when not.

    Attributes: `agent`, `pause` (its id), `owner` (budget, detector, human or deploy), `cause`.
    """

    def __init__(self, message: str, *, agent: str, pause: str, owner: str, cause: str) -> None:
        super().__init__(message)
        self.agent = agent
        self.pause = pause
        self.owner = owner
        self.cause = cause


class AgentStopped(AgentPauseRequired):
    """A human stopped the agent (*Start again* on its page lifts that), or a newer process replaced it.

    Out of `agent.run()` alone: `supervise` logs the sentence and returns.
    """
