"""The policy of an agent in choices: who is told; for each age of its checkpoints, how many are kept.

The choices are a ladder of fixed ages. A policy that was set otherwise than here is shown as it is, and the
first choice that is saved replaces it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.models import Agent
from agents.queries import on_call
from checkpoints.services import retention
from checkpoints.thinning import DAY, DEFAULT, HOUR, WEEK, Step
from dashboard import phrasing

NOTHING = "none"
WORDS = {
    0.0: "all of them",
    600.0: "one every 10 minutes",
    float(HOUR): "one an hour",
    float(6 * HOUR): "one every 6 hours",
    float(DAY): "one a day",
    float(WEEK): "one a week",
    float(30 * DAY): "one a month",
}
LADDER: list[tuple[str, str, float | None, tuple[float, ...]]] = [
    ("day", "Up to a day old", DAY, (0, 600, HOUR)),
    ("week", "Up to a week old", WEEK, (600, HOUR, 6 * HOUR, DAY)),
    ("quarter", "Up to 90 days old", 90 * DAY, (HOUR, 6 * HOUR, DAY, WEEK)),
    ("older", "Older", None, (DAY, WEEK, 30 * DAY)),
]
HOLE = "An age that keeps nothing cannot stand before one that keeps some."


@dataclass(frozen=True, slots=True)
class Rung:
    """One age, and what may be kept of it."""

    name: str
    label: str
    choices: list[tuple[str, str]]
    chosen: str


def shown(agent: Agent, asked: dict[str, str], now: datetime, *, error: str = "") -> dict[str, Any]:
    """The tab. With a choice in `asked`, that choice and what it would leave."""
    steps, tried = retention.policy_of(agent), ""
    if any(name in asked for name, *_ in LADDER):
        try:
            steps = steps_of(asked)
            tried = _would_leave(agent, steps, now)
        except ValueError as refused:
            error = str(refused)
    rungs = _rungs(steps)
    return {
        "rungs": rungs or _rungs(DEFAULT),
        "words": [] if rungs else _in_words(steps),
        "tried": tried,
        "error": error,
        **_told_by(agent),
    }


def _told_by(agent: Agent) -> dict[str, Any]:
    policies = on_call.policies(agent.project_id)
    usual = next((one.name for one in policies if one.is_default), "every channel at once")
    return {
        "policies": [("", f"as the project: {usual}"), *((str(one.pk), one.name) for one in policies)],
        "policy": str(agent.escalation_id or ""),
    }


def chosen(said: dict[str, str]) -> dict[str, str]:
    """The choices of a form, as an address carries them."""
    return {name: said[name][:20] for name, *_ in LADDER if name in said}


def steps_of(said: dict[str, str]) -> list[Step]:
    """The policy that a form chose; ValueError in words for what is no choice."""
    steps: list[Step] = [(HOUR, 0)]
    ended = False
    for name, label, age, choices in LADDER:
        text = said.get(name, "")
        if text == NOTHING:
            ended = True
            continue
        if text not in {_text(every) for every in choices}:
            raise ValueError(f"{label}: choose what is kept.")
        if ended:
            raise ValueError(HOLE)
        steps.append((age, float(text)))
    return steps


def _rungs(steps: list[Step]) -> list[Rung]:
    """The ladder with this policy chosen; empty when it is no policy of the ladder."""
    known = dict(steps)
    if known.pop(HOUR, None) != 0 or not known.keys() <= {age for _, _, age, _ in LADDER}:
        return []
    rungs = []
    for name, label, age, choices in LADDER:
        every = known.get(age)
        if every is not None and every not in choices:
            return []
        words = [(_text(one), WORDS[float(one)]) for one in choices]
        nothing = [] if age == DAY else [(NOTHING, "none")]
        rungs.append(Rung(name, label, words + nothing, NOTHING if every is None else _text(every)))
    return rungs


def _in_words(steps: list[Step]) -> list[str]:
    return [
        f"{'older' if age is None else 'up to ' + phrasing.age(age)}: "
        f"{'all' if not every else 'one in ' + phrasing.age(every)}"
        for age, every in steps
    ]


def _would_leave(agent: Agent, steps: list[Step], now: datetime) -> str:
    there, left = retention.tried(agent, steps, now)
    if not there:
        return "There is no checkpoint yet."
    gone = there - left
    going = f"{gone:,} would go" if gone else "none would go"
    return f"Of {phrasing.some(there, 'checkpoint')} {going} now and {left:,} stay."


def _text(every: float) -> str:
    return str(int(every))
