"""The failure budget's arithmetic, shared by both ends byte for byte.

An Account is what has been spent: the failures in a row (by the name of their action) and the failures of
the last hour. Everything here is pure: time comes in as seconds on the caller's clock (the agent's
boot-time clock, the server's corrected wall clock), and travels as an age, so that no two clocks meet.

    account = fail(account, Failure("r1-7", "issue_refund", at=now))
    spent(account, Budget(), now)      # None, "consecutive", "hourly" or "probation"
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

HOUR = 3600.0
PROBATION_ACTIONS = 10
PROBATION_SECONDS = 1800.0
SEEN_KEPT = 64

Spent = Literal["consecutive", "hourly", "probation"]
Verdict = Literal["pass", "fail", "unknown"]


@dataclass(frozen=True, slots=True)
class Budget:
    """The two limits; both bite, and the hour rolls."""

    max_consecutive: int = 3
    max_hourly: int = 10


@dataclass(frozen=True, slots=True)
class Failure:
    """One counted failure: its event's id, the action's name, and when, in seconds on the caller's clock."""

    id: str
    name: str
    at: float


@dataclass(frozen=True, slots=True)
class Account:
    """What has been spent. `others` are failures of other instances, which count for the hour alone."""

    number: int = 1
    streak: tuple[str, ...] = ()
    hour: tuple[tuple[str, float], ...] = ()
    others: tuple[tuple[str, float], ...] = ()
    seen: tuple[str, ...] = ()
    probation_actions: int = 0
    probation_until: float = 0.0


def fail(account: Account, failure: Failure) -> Account:
    """The account after a counted failure; the same failure twice counts once."""
    if failure.id in account.seen:
        return account
    return replace(
        account,
        streak=(*account.streak, failure.name),
        hour=(*account.hour, (failure.id, failure.at)),
        seen=(*account.seen, failure.id)[-SEEN_KEPT:],
    )


def succeed(account: Account, name: str, verdict: Verdict | None) -> Account:
    """The account after an action that succeeded.

    A pass ends the streak. Without a verdict it ends only if every failure of the streak bears this
    action's name: a read that works proves nothing about a write. Unknown changes nothing.
    """
    if verdict == "pass" or (verdict is None and all(n == name for n in account.streak)):
        account = replace(account, streak=()) if account.streak else account
    if account.probation_actions:
        account = replace(account, probation_actions=account.probation_actions - 1)
    return account


def rolled(account: Account, now: float) -> Account:
    """The account without the failures that have left the hour."""
    hour = tuple(f for f in account.hour if now - f[1] < HOUR)
    others = tuple(f for f in account.others if now - f[1] < HOUR)
    if len(hour) == len(account.hour) and len(others) == len(account.others):
        return account
    return replace(account, hour=hour, others=others)


def on_probation(account: Account, now: float) -> bool:
    """Whether a resume is still being proven: ten actions or thirty minutes, whichever ends first."""
    return account.probation_actions > 0 and now < account.probation_until


def consecutive(account: Account) -> int:
    return len(account.streak)


def hourly(account: Account, now: float) -> int:
    """The failures of the last hour, of this instance and the others."""
    own = {id for id, at in account.hour if now - at < HOUR}
    return len(own | {id for id, at in account.others if now - at < HOUR})


def spent(account: Account, budget: Budget, now: float) -> Spent | None:
    """Which limit is reached, if any."""
    if len(account.streak) >= budget.max_consecutive:
        return "consecutive"
    if hourly(account, now) >= budget.max_hourly:
        return "hourly"
    if account.hour and on_probation(account, now):
        return "probation"
    return None


def sentence(limit: Spent, account: Account, budget: Budget, now: float) -> str:
    """Why it paused, in the words every screen and log uses."""
    if limit == "consecutive":
        return f"{len(account.streak)} failures in a row, the limit is {budget.max_consecutive}"
    if limit == "hourly":
        return f"{hourly(account, now)} failures in an hour, the limit is {budget.max_hourly}"
    return "a failure on probation after a resume"


def opened(account: Account, now: float, *, probation: bool = True) -> Account:
    """The new account that a resume opens, on probation unless the decision said otherwise."""
    return Account(
        number=account.number + 1,
        seen=account.seen,
        probation_actions=PROBATION_ACTIONS if probation else 0,
        probation_until=now + PROBATION_SECONDS if probation else 0.0,
    )


def rebased(account: Account, now: float) -> Account:
    """The account on another boot's clock: each failure stays one full hour more, by this clock."""
    left = PROBATION_SECONDS if account.probation_actions else 0.0
    return replace(
        account,
        hour=tuple((id, now) for id, _ in account.hour),
        others=tuple((id, now) for id, _ in account.others),
        probation_until=now + left,
    )


def merged(account: Account, added: Iterable[Failure], others: Iterable[tuple[str, float]]) -> Account:
    """The account with what only the server saw; each addition counts once, whoever tells it first."""
    for failure in added:
        account = fail(account, failure)
    return replace(account, others=tuple(others))


def dump(account: Account, now: float) -> dict[str, Any]:
    """The account as it travels: ages instead of times."""
    on = on_probation(account, now)
    left = max(0.0, account.probation_until - now)
    return {
        "number": account.number,
        "streak": list(account.streak),
        "hour": [[id, max(0.0, now - at)] for id, at in account.hour if now - at < HOUR],
        "others": [[id, max(0.0, now - at)] for id, at in account.others if now - at < HOUR],
        "seen": list(account.seen),
        "probation": {"actions": account.probation_actions, "seconds": left} if on else None,
    }


def load(wire: dict[str, Any], now: float) -> Account:
    """The account that `dump` wrote, on this clock. Hostile input raises ValueError."""
    try:
        probation = wire.get("probation") or {"actions": 0, "seconds": 0.0}
        return Account(
            number=int(wire["number"]),
            streak=tuple(str(n)[:200] for n in wire["streak"])[-1000:],
            hour=_times(wire["hour"], now),
            others=_times(wire.get("others", ()), now),
            seen=tuple(str(id)[:60] for id in wire["seen"])[-SEEN_KEPT:],
            probation_actions=min(PROBATION_ACTIONS, max(0, int(probation["actions"]))),
            probation_until=now + min(PROBATION_SECONDS, max(0.0, float(probation["seconds"]))),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"this is no account: {error!r}") from error


def _times(pairs: Iterable[Any], now: float) -> tuple[tuple[str, float], ...]:
    kept = []
    for id, age in list(pairs)[-1000:]:
        seconds = float(age)
        if seconds < HOUR:
            kept.append((str(id)[:60], now - max(0.0, seconds)))
    return tuple(kept)
