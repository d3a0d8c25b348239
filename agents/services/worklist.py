"""What a human says about effects, which no rollback can undo.

Of what was done: *accepted*, as it is, or *again*, which releases its key. Of what may have happened: it
*happened*, or it *did_not*. The first answer counts. The agent hears of it by a command of kind `effect`,
which waits for its next start if it must, and writes it into its own ledger.

One answer for many is one act: of all that were named, as they were shown, or, when one of them is not so any
more, of none. The log has it once, with the list.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from django.db import transaction

from agents import announce
from agents.access import Actor
from agents.models import Agent, Command, Effect, Instance, Kind, Run, RunState
from agents.services import audit, commands, entries, unknown_effects
from agents.services.snapshots import text

Answer = Literal["accepted", "again", "happened", "did_not"]
Seen = tuple[str, str]
MOST = 500
OF_DONE: tuple[Answer, ...] = ("accepted", "again")
SETTLED = {"happened": Effect.State.DONE, "did_not": Effect.State.FAILED}
SAID = {
    "accepted": "is accepted as it is",
    "again": "may be done again",
    "happened": "happened",
    "did_not": "did not happen",
}


@dataclass(frozen=True)
class Answered:
    name: Literal["answered", "lost", "in_flight", "wrong_answer", "no_key", "not_found"]
    sentence: str
    effect: Effect | None = None


def seen(effect: Effect) -> Seen:
    """How it stands: what whoever answers for many must have been shown."""
    return effect.state, effect.verdict


@transaction.atomic
def answer(
    *, actor: Actor, agent: Agent, effect_id: str, said: Answer, reason: str, now: dt.datetime
) -> Answered:
    """Tick one effect of the agent off."""
    effect = Effect.objects.filter(pk=effect_id, instance__agent=agent).first()
    if effect is None:
        return Answered("not_found", "There is no such effect.")
    instance = Instance.objects.select_for_update(no_key=True).get(pk=effect.instance_id)
    effect.refresh_from_db()
    if (refused := _refused(effect, instance, said)) is not None:
        return refused
    _say(actor, agent, effect, instance, said, reason, now)
    _log(
        actor,
        agent.project_id,
        "answer effect",
        f"effect {effect.pk}",
        effect.answer_reason,
        _saw(effect),
        now,
    )
    return Answered("answered", f"{effect.name} {SAID[said]}.", effect)


@transaction.atomic
def answer_many(
    *, actor: Actor, project_id: int, shown: Mapping[str, Seen], said: Answer, reason: str, now: dt.datetime
) -> Answered:
    """Say the same of all of these, or of none: each must stand as it was shown."""
    effects = Effect.objects.filter(pk__in=list(shown)[:MOST], instance__agent__project=project_id)
    named = sorted(effects.values_list("instance_id", flat=True).distinct())
    # Locked in the order of their ids, so that two who answer for the same at once do not hold each other.
    locked = Instance.objects.select_for_update(no_key=True).filter(pk__in=named).order_by("pk")
    instances = {instance.pk: instance for instance in locked}
    found = list(effects.select_related("instance__agent").order_by("begun_at", "pk"))
    if not shown or len(found) != len(shown):
        return Answered("not_found", "Nothing was answered: not all of these are there.")
    for effect in found:
        refused = _refused(effect, instances[effect.instance_id], said)
        if refused is None and seen(effect) != tuple(shown[effect.pk]):
            refused = Answered("lost", f"{effect.name} stands otherwise than it was shown.", effect)
        if refused is not None:
            return Answered(refused.name, f"Nothing was answered. {refused.sentence}", effect)
    for effect in found:
        _say(actor, effect.instance.agent, effect, instances[effect.instance_id], said, reason, now)
    count = f"{len(found)} effect{'' if len(found) == 1 else 's'}"
    saw: dict[str, object] = {"answer": said, "effects": [{"id": one.pk, **_saw(one)} for one in found]}
    _log(actor, project_id, "answer effects", count, text(reason, 500), saw, now)
    return Answered(
        "answered",
        f"{count} answered for: {found[0].name} {SAID[said]}"
        + (f", and {len(found) - 1} more." if len(found) > 1 else "."),
        found[0],
    )


def _say(
    actor: Actor,
    agent: Agent,
    effect: Effect,
    instance: Instance,
    said: Answer,
    reason: str,
    now: dt.datetime,
) -> None:
    """Keep the answer, and tell the agent, its timeline and the incident."""
    words = {"answered_by": text(actor.name, 200), "answered_at": now, "answer_reason": text(reason, 500)}
    state = SETTLED.get(said, effect.state)
    Effect.objects.filter(pk=effect.pk).update(answer=said, state=state, **words)
    effect.refresh_from_db()
    command = commands.order(
        instance=instance,
        kind=Command.Kind.EFFECT,
        payload=_payload(effect),
        pause=None,
        decision=None,
        now=now,
    )
    Effect.objects.filter(pk=effect.pk).update(command=command)
    unknown_effects.settle(effect, actor, now)
    _tell(actor, agent, effect, now)


def _refused(effect: Effect, instance: Instance, said: Answer) -> Answered | None:
    if effect.answer:
        who = f"{effect.answered_by} said before you that {effect.name} {SAID[effect.answer]}."
        return Answered("lost", who, effect)
    if effect.state == Effect.State.BEGUN and _in_flight(effect, instance):
        return Answered(
            "in_flight", f"{effect.name} is still in flight; its end will say what it did.", effect
        )
    is_done = effect.state in (Effect.State.DONE, Effect.State.FAILED)
    if is_done != (said in OF_DONE):
        known = "is known to have ended" if is_done else "may have happened"
        choices = "accepted or again" if is_done else "happened or did_not"
        return Answered("wrong_answer", f"{effect.name} {known}: answer {choices}.", effect)
    if said == "again" and not effect.key:
        return Answered(
            "no_key", f"{effect.name} has no key: nothing holds it, and nothing repeats it.", effect
        )
    return None


def _in_flight(effect: Effect, instance: Instance) -> bool:
    living = instance.live and instance.gone_since is None
    runs = Run.objects.filter(pk=effect.run_id, epoch=instance.epoch, state=RunState.RUNNING)
    return living and runs.exists()


def _payload(effect: Effect) -> dict[str, object]:
    return {
        "effect": effect.pk,
        "name": effect.name,
        "key": effect.key or None,
        "answer": effect.answer,
        "by": effect.answered_by,
        "reason": effect.answer_reason,
    }


def _tell(actor: Actor, agent: Agent, effect: Effect, now: dt.datetime) -> None:
    keyed = f" “{effect.key}”" if effect.key else ""
    entries.write(
        project_id=agent.project_id,
        agent_id=agent.pk,
        instance_id=effect.instance_id,
        at=now,
        kind=Kind.VERDICT,
        name=effect.name,
        outcome=effect.answer,
        title=f"{actor.name}: {effect.name}{keyed} {SAID[effect.answer]}. {effect.answer_reason}".strip(),
        ref=effect.pk,
        body=_payload(effect),
        now=now,
    )
    announce.changed_agent(agent.pk, agent.project_id)


def _saw(effect: Effect) -> dict[str, object]:
    return {"name": effect.name, "key": effect.key, "state": effect.state, "answer": effect.answer}


def _log(
    actor: Actor, project_id: int, verb: str, what: str, reason: str, saw: dict[str, object], now: dt.datetime
) -> None:
    audit.record(
        project_id=project_id, actor=actor.name, verb=verb, object=what, reason=reason, saw=saw, now=now
    )
