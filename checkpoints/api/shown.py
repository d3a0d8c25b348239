"""Rollbacks, effects and what they touch, as the operators' routes show them."""

from __future__ import annotations

from typing import Any

from agents.models import Effect
from checkpoints.blast import Blast
from checkpoints.models import Checkpoint, Rollback

LONGEST_TARGET = 500


def brief(row: Checkpoint | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {"id": row.pk, "at": row.at, "label": row.label or None, "standing": row.standing}


def rollback(row: Rollback) -> dict[str, Any]:
    return {
        "id": row.pk, "agent": row.agent.name, "instance": row.instance.name, "state": row.stage,
        "checkpoint": row.checkpoint, "before": row.before, "scope": row.scope, "goes_on": row.goes_on,
        "asked_by": row.asked_by, "by": row.by, "reason": row.reason or None, "incident": row.incident,
        "ordered_at": row.ordered_at, "began_at": row.began_at, "ended_at": row.ended_at,
        "why": row.why or None, "kept": row.kept, "condemned": row.condemned,
        "memory": _hex(row.memory), "workspace": _hex(row.workspace),
    }  # fmt: skip


def effect(found: Effect) -> dict[str, Any]:
    """`target` is the head of its input, as the agent recorded it: masked there."""
    return {
        "id": found.pk, "agent": found.instance.agent.name, "instance": found.instance.name,
        "name": found.name, "key": found.key or None, "at": found.begun_at, "ended_at": found.ended_at,
        "target": found.input[:LONGEST_TARGET] or None, "state": found.state,
        "verdict": found.verdict or None, "incident": found.incident_id,
        "answer": found.answer or None, "answered_by": found.answered_by or None,
        "answered_at": found.answered_at, "answer_reason": found.answer_reason or None,
    }  # fmt: skip


def blast(found: Blast) -> dict[str, Any]:
    target, edits = found.checkpoint, found.edits
    return {
        "checkpoint": target.pk, "agent": target.agent.name, "instance": target.instance.name,
        "at": target.at, "standing": target.standing, "label": target.label or None,
        "lost": {
            "checkpoints": [brief(row) for row in found.lost],
            "entries": found.entries,
            "actions": found.actions,
        },
        "effects": [effect(one) for one in found.effects],
        "effects_in_all": found.effects_in_all,
        "hand_edits": {"at": edits.at, "paths": edits.paths, "more": edits.more} if edits else None,
        "changed": [{"what": c.what, "then": c.then, "now": c.now} for c in found.changed],
        "remarks": found.remarks,
        "damaged": found.is_damaged, "needs_even_bad": found.needs_even_bad, "undo": found.is_undo,
        "shared_workspace": found.is_shared,
    }  # fmt: skip


def _hex(name: bytes | memoryview | None) -> str | None:
    return bytes(name).hex() if name is not None else None
