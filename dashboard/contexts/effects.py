"""Effects that a human may answer for: what may be said of each, and what was; those an incident asks about.

Of what was done: accept it as it is, or do it again. Of what may have happened: it happened, or it did not.
What surely did not happen, and what is still in flight, is not asked about.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.urls import reverse

from agents.models import Cause, Command, Effect, Incident
from agents.queries import effects
from agents.services import worklist
from dashboard.contexts.values import line_of

Reasons = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: its button, what it does, and the reasons, each of which gives it."""

    answer: str
    word: str
    icon: str
    does: str
    reasons: Reasons


@dataclass(frozen=True, slots=True)
class Answerable:
    """One effect of a worklist: its target in a line, how it stands, and the answers that make sense."""

    effect: Effect
    given: str
    state: str
    choices: list[Choice]
    said: str
    heard: str

    @property
    def mark(self) -> str:
        """Which it is and how it stands, for a form that answers for many."""
        return "/".join((self.effect.pk, *worklist.seen(self.effect)))

    @property
    def is_open(self) -> bool:
        """Whether it may have happened and nobody has said."""
        return bool(self.choices) and self.choices[0].answer == "happened"

    @property
    def may_be_accepted(self) -> bool:
        return bool(self.choices) and self.choices[0].answer == "accepted"


@dataclass(frozen=True, slots=True)
class ForMany:
    """One answer for all of a list: its button, and the effects, each of which can be left out."""

    choice: Choice
    word: str
    items: list[Answerable]


CHOICES = {
    "happened": Choice(
        answer="happened", word="It happened", icon="circle-check",
        does="Its key is done: the agent does not do it again, and goes on without a result.",
        reasons=[("found there", "Found it there"), ("they confirm it", "They confirm it"),
                 ("a log says so", "A log says so"), ("by hand since", "By hand since")],
    ),
    "did_not": Choice(
        answer="did_not", word="It did not", icon="circle-slash",
        does="Its key is free: the agent does it when it comes to it again.",
        reasons=[("not found there", "Not found there"), ("they deny it", "They deny it"),
                 ("a log says so", "A log says so"), ("taken back since", "Taken back since")],
    ),
    "accepted": Choice(
        answer="accepted", word="Accept it", icon="check",
        does="The agent takes the recorded result as it is, and verifies it no more.",
        reasons=[("good enough", "Good enough"), ("corrected by hand", "Corrected by hand"),
                 ("agreed with them", "Agreed with them"), ("verifier was wrong", "Verifier was wrong")],
    ),
    "again": Choice(
        answer="again", word="Do it again", icon="undo-2",
        does="Its key is free: the agent does it once more when it comes to it again.",
        reasons=[("taken back", "Taken back"), ("had no effect", "Had no effect"),
                 ("wanted twice", "Wanted twice"), ("fixed outside", "Fixed outside")],
    ),
}  # fmt: skip
WITHOUT_KEY = {
    "happened": "The agent's ledger notes it. It has no key, so nothing holds or repeats it.",
    "did_not": "The agent's ledger notes it. It has no key, so nothing holds or repeats it.",
    "accepted": "It is ticked off. It has no key, so nothing holds or repeats it.",
}
REASONS = {answer: dict(choice.reasons) for answer, choice in CHOICES.items()}
SAID = {
    "happened": "It happened",
    "did_not": "It did not happen",
    "accepted": "Accepted as it is",
    "again": "Done again when it comes to it",
}
HEARD = {
    Command.State.ORDERED: "The agent hears of it when it next looks or starts.",
    Command.State.TAKEN: "The agent is taking it over.",
    Command.State.DONE: "The agent knows.",
}


def asked(incident: Incident) -> dict[str, Any]:
    """What the block of an incident about effects shows; nothing, and no query, for any other."""
    if incident.cause != Cause.EFFECT:
        return {"asked": []}
    found = answerable(effects.asked(incident))
    left = [item for item in found if item.is_open]
    return {
        "asked": found,
        "asked_left": len(left),
        "asked_all": for_many(left, happened=f"All {len(left)} happened", did_not=f"None of {len(left)} did"),
        "asked_words": _words(len(left) or len(found), answered=not left),
        "asked_back": reverse("incident", args=[incident.project.name, incident.pk]),
    }


def for_many(items: list[Answerable], **words: str) -> list[ForMany]:
    """These answers, if there are several to answer for."""
    offered = items[: worklist.MOST]
    has_key = any(item.effect.key for item in offered)
    choices = CHOICES if has_key else {name: replace(CHOICES[name], does=WITHOUT_KEY[name]) for name in words}
    return [ForMany(choices[answer], word, offered) for answer, word in words.items() if len(offered) > 1]


def read_marks(written: list[str]) -> dict[str, worklist.Seen]:
    """What a form names, and how it stood when it was drawn."""
    parts = [mark.rsplit("/", 2) for mark in written[: worklist.MOST]]
    return {part[0]: (part[1], part[2]) if len(part) == 3 else ("", "") for part in parts}


def _words(count: int, *, answered: bool) -> str:
    what = "1 external action" if count == 1 else f"{count} external actions"
    if answered:
        return f"{what}, answered for"
    return f"{what} may have happened"


def answerable(found: Iterable[Effect]) -> list[Answerable]:
    """These effects, with what may be said of each; one query for all of them."""
    listed = list(found)
    flying = effects.in_flight(listed)
    return [_one(effect, effect.pk in flying) for effect in listed]


def _one(effect: Effect, is_flying: bool) -> Answerable:
    answers = () if effect.answer or is_flying else _answers(effect)
    return Answerable(
        effect=effect,
        given=line_of(_json(effect.input)),
        state=_state(effect, is_flying),
        choices=[_choice(answer, effect) for answer in answers],
        said=SAID.get(effect.answer, ""),
        heard=_heard(effect.command) if effect.answer and effect.command is not None else "",
    )


def _choice(answer: str, effect: Effect) -> Choice:
    choice = CHOICES[answer]
    return choice if effect.key else replace(choice, does=WITHOUT_KEY[answer])


def _answers(effect: Effect) -> tuple[str, ...]:
    if effect.state in (Effect.State.BEGUN, Effect.State.UNKNOWN):
        return ("happened", "did_not")
    if effect.state == Effect.State.DONE:
        return ("accepted", "again") if effect.key else ("accepted",)
    return ()


def _state(effect: Effect, is_flying: bool) -> str:
    if is_flying:
        return "in flight"
    if effect.state == Effect.State.DONE:
        return "not as expected" if effect.verdict == "fail" else "done"
    return "did not happen" if effect.state == Effect.State.FAILED else "may have happened"


def _heard(command: Command) -> str:
    if command.state == Command.State.REFUSED:
        return f"The agent refused: {command.why}"
    return HEARD.get(Command.State(command.state), "")


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
