"""Before a rollback: where it goes, how much of it, what is lost, what stays, what is kept aside.

The panel has one face at a time. *confirm*: one button that says what it will do. Where nothing can be
pressed there are words instead: *damaged*, *empty* (nothing that could go back), *follow* (another is under
way), *role*; *pick* (no file is ticked) and *nothing* (it is as it would be) keep what was typed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.urls import reverse

from agents import access
from agents.access import Actor
from agents.models import Instance, Pause, PauseState
from agents.services import pauses, settling
from checkpoints import blast, queries
from checkpoints.blast import Blast
from checkpoints.compared import Pair
from checkpoints.models import Checkpoint, Rollback
from checkpoints.proving import Scope
from dashboard.contexts import worklist
from dashboard.contexts.decision import REASONS, UNDO_REASONS
from dashboard.contexts.rolling import asked as wishes
from dashboard.contexts.rolling import files, losses, words
from dashboard.contexts.rolling.asked import FILES, Asked
from dashboard.contexts.rolling.losses import Lost
from dashboard.contexts.standings import Named

OFFERED = 30
WORDS = ("damaged", "empty", "follow", "role")
WAITING = (PauseState.PAUSING, PauseState.PAUSED)


def whole(target: Checkpoint, wish: Asked, actor: Actor, now: datetime) -> dict[str, Any]:
    """Everything below the top bar."""
    agent, found = target.agent, blast.of(target)
    pair = Pair(target, losses.present(found))
    held = pauses.holding(target.instance)
    waits = held if held is not None and held.state in WAITING else None
    wish = wishes.fitted(wish, target)
    wish = replace(wish, goes_on=wish.goes_on and waits is not None)
    picked = files.listed(pair, wish)
    lost = losses.of(pair, wish, found, picked)
    may = access.can(actor, "decide", target)
    face, way = _face(found, wish, lost, held, may=may)
    here = reverse("roll_back", args=[agent.project.name, target.pk])
    effects = worklist.of(found.effects, found.effects_in_all, back=f"{here}{wish.query()}")
    return {
        "project": agent.project, "agent": agent, "now": now, "target": Named(target), "checkpoint": target,
        "proof": words.proof(target, undo=found.is_undo), "warnings": words.warnings(found),
        "left_out": _notes(target),
        "is_undo": found.is_undo, "may_decide": may, "wish": wish, "here": here,
        "address": f"{here}{wish.query()}",
        "targets": _targets(target, wish), "crumbs": _crumbs(target), "others": _others(target),
        "history": reverse("agent_checkpoints", args=[agent.project.name, agent.name]),
        "scopes": _scopes(target, wish), "only": words.only(target), "waits": waits,
        "since": words.since(found, lost),
        "lost": lost, "files": picked, "worklist": effects, "edits": found.edits,
        "face": face, "panel": f"partials/roll_back_{face if face in WORDS else 'confirm'}.html", "way": way,
        "on_probation": True,
        "needs_even_bad": found.needs_even_bad, "why_bad": words.why_bad(target),
        "reasons": UNDO_REASONS if found.is_undo else REASONS["rollback"],
        "button": words.button(target, wish, picked, now, undo=found.is_undo),
        "does": words.does(wish, lost, effects, found, picked, held, now),
        "topics": f"standing-{agent.pk}",
    }  # fmt: skip


def scope_of(target: Checkpoint, wish: Asked) -> Scope:
    """What is ordered; renamed files by both their names."""
    wish = wishes.fitted(wish, target)
    moved = {}
    if wish.scope == FILES:
        moved = files.moved(Pair(target, losses.present(blast.of(target))))
    return wishes.scope(wish, moved)


def _face(
    found: Blast, wish: Asked, lost: Lost, held: Pause | None, *, may: bool
) -> tuple[str, Rollback | None]:
    """What the panel shows, and the rollback that is in the way."""
    target = found.checkpoint
    if found.is_damaged:
        return "damaged", None
    if not wishes.offered(target):
        return "empty", None
    way = _in_the_way(target.instance)
    if way is not None and not (wish.goes_on and way.stage == Rollback.State.ORDERED):
        return "follow", way
    if not may:
        return "role", way
    if wish.scope == FILES and not wish.paths:
        return "pick", way
    if lost.is_same and (wish.scope == FILES or _is_still(target.instance, found, held)):
        return "nothing", way
    return "confirm", way


def _in_the_way(instance: Instance) -> Rollback | None:
    """One that was ordered or has begun, and not ended."""
    open_rows = queries.rollbacks().filter(
        instance=instance,
        state__in=(Rollback.State.ORDERED, Rollback.State.RESTORING),
        command__state__in=settling.OPEN,
    )
    return open_rows.order_by("-ordered_at").first()


def _is_still(instance: Instance, found: Blast, held: Pause | None) -> bool:
    """Whether the newest checkpoint tells how it is now: nothing runs, and nobody edited by hand."""
    edited = found.edits is not None and bool(found.edits.paths)
    quiet = held.state != PauseState.PAUSING if held is not None else not instance.live
    return quiet and not edited


def _scopes(target: Checkpoint, wish: Asked) -> list[tuple[str, str, bool]]:
    """Nothing to choose where there is one way."""
    able = wishes.offered(target)
    return [(one, wishes.WORDS[one], one == wish.scope) for one in able] if len(able) > 1 else []


def _targets(target: Checkpoint, wish: Asked) -> list[Named]:
    """The newest ones of the agent and the last known good, each with the same wish."""
    found = queries.listed(target.agent_id, limit=OFFERED)[:OFFERED]
    good = queries.of_agent(target.agent_id, target.agent.last_good) if target.agent.last_good else None
    if good is not None and good.pk not in {one.pk for one in found}:
        found.append(good)
    name = target.agent.project.name
    return [Named(one, reverse("roll_back", args=[name, one.pk]) + wish.query()) for one in found]


def _crumbs(target: Checkpoint) -> list[tuple[str, str]]:
    args = [target.agent.project.name, target.agent.name]
    return [
        (target.agent.name, reverse("agent", args=args)),
        ("Checkpoints", reverse("agent_checkpoints", args=args)),
        ("Roll back", ""),
    ]


def _others(target: Checkpoint) -> int:
    """A checkpoint belongs to one instance: how many others stay as they are."""
    return Instance.objects.filter(agent_id=target.agent_id).exclude(pk=target.instance_id).count()


def _notes(target: Checkpoint) -> list[str]:
    return [str(note) for note in target.notes] if isinstance(target.notes, list) else []
