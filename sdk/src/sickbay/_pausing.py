"""When an agent pauses, and what is said of it: pure rules, and the sentences.

The arithmetic is `sickbay.budget`'s; here are the pause it leads to, the settlement that lifts one, what
the server adds to an account, and the exception that stands in the way of the next step.
"""

from __future__ import annotations

import uuid
from typing import Any

from sickbay import budget
from sickbay._clock import Clock
from sickbay._errors import AgentPauseRequired, AgentStopped
from sickbay._state import Pause
from sickbay.budget import Account, Budget, Failure

TOLD = 1000
# Stands for a pause that was lifted between the look and the raise.
_LIFTED = Pause(id="", owner="human", cause="a pause that has just been lifted", at=0.0)


def what_failed(failure: dict[str, Any]) -> dict[str, Any]:
    """As much of a failure as says which sickness it is."""
    said = {part: failure.get(part) for part in ("name", "failure", "exception", "message", "fingerprint")}
    return {part: text[:TOLD] for part, text in said.items() if isinstance(text, str)}


def due(
    account: Account,
    limits: Budget,
    clock: Clock,
    failure: str | None,
    what: dict[str, Any] | None = None,
) -> Pause | None:
    """The pause that this account asks for, if it is spent."""
    now = clock.boot()
    limit = budget.spent(account, limits, now)
    if limit is None:
        return None
    return Pause(
        id=str(uuid.uuid4()),
        owner="budget",
        cause=budget.sentence(limit, account, limits, now),
        at=clock.wall(),
        limit=limit,
        failure=failure,
        what=what,
    )


def pause_line(pause: Pause) -> dict[str, Any]:
    return {"kind": "pause", "name": pause.owner, "title": pause.cause, "pause": pause.id, "at": pause.at}


def obituary(run: str, in_flight: str | None, counted: bool, at: float) -> dict[str, Any]:
    """The line of a run that vanished; the server makes the failure of it when it counts."""
    how = f"{in_flight} was in flight" if in_flight else "no action was in flight"
    return {
        "kind": "run",
        "name": "vanished",
        "at": at,
        "run": run,
        "in_flight": in_flight is not None,
        "doing": in_flight,
        "counted": counted,
        "title": f"the process vanished; {how}",
    }


def account_after(pause: Pause, verb: str, account: Account, now: float, probation: bool) -> Account:
    """A new account; but a question spent nothing, so its answer opens none and forgives no streak."""
    if pause.asks and verb == "resume":
        return account
    return budget.opened(account, now, probation=probation)


def settlement(pause: str, command: str, verb: str, said: str, clock: Clock) -> dict[str, Any]:
    """What is kept of a decision that was obeyed; the boot's time tells later which failures it saw."""
    return {
        "pause": pause,
        "command": command,
        "verb": verb,
        "said": said,
        "at": clock.wall(),
        "boot": clock.boot_id,
        "boot_at": clock.boot(),
    }


def merged(
    account: Account, wire: dict[str, Any], now: float, *, since: float
) -> tuple[Account, bool, str | None]:
    """The account with what only the server saw, whether that is anything new, and the newest addition.

    Additions count for the account they were made to; failures of other instances from `since` on.
    """
    told = [(str(id)[:60], now - max(0.0, float(age))) for id, age in list(wire.get("others", ()))[:TOLD]]
    others = [other for other in told if other[1] >= since]
    added: list[Failure] = []
    if wire.get("number") == account.number:
        added = [
            Failure(str(id)[:60], str(name)[:200], now - max(0.0, float(age)))
            for id, name, age in list(wire.get("added", ()))[:TOLD]
        ]
    new = budget.merged(account, added, others)
    grown = new.hour != account.hour or bool({id for id, _ in others} - {id for id, _ in account.others})
    return new, grown, added[-1].id if added else None


def refusal(
    agent: str, pause: Pause | None, url: str | None, settled: dict[str, Any] | None = None
) -> BaseException:
    """What stands in the way of the next guarded step."""
    pause = pause or _LIFTED
    kind: type[AgentPauseRequired] = AgentStopped if pause.stopped else AgentPauseRequired
    said = settled.get("said") if settled is not None and settled["pause"] == pause.id else None
    return kind(
        _sentence(agent, pause, url, said), agent=agent, pause=pause.id, owner=pause.owner, cause=pause.cause
    )


def _sentence(agent: str, pause: Pause, url: str | None, said: str | None) -> str:
    if url:
        where = f"at {url}/pauses/{pause.id}/" if pause.id else f"at {url}"
    else:
        where = "once SICKBAY_URL and SICKBAY_TOKEN are set"
    if not pause.stopped:
        return f"{agent} is paused: {pause.cause}. It goes on when a human approves, {where}"
    said = said or f"stopped by a human, while paused: {pause.cause}"
    return (
        f"{agent} was {said.rstrip('.')}. It stays stopped, over restarts too, until someone clicks "
        f"'Start again' on its page, {where}"
    )
