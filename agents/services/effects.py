"""The server's copy of an agent's effects ledger: what reached the outside world.

    effect            its intent, before it runs
    action, external  its end; `effect` says done, failed, unknown, or none: this action reached nothing,
                      because its key was done already, or may have been
    effect, of        what the agent found out later about one that may have happened

Intent and end name the same `act` of the same run. Either may be the only one that ever arrives, and a late
intent overwrites no outcome. What a human has said is not overwritten by what the agent finds out.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import orjson
from django.db import connection

from agents.models import Effect, Instance, Run
from agents.services.lines import Event

LONGEST_TEXT = 64 * 1024
STATES = {"ok": Effect.State.DONE, "failed": Effect.State.FAILED}
INTEND = """
INSERT INTO agents_effect (id, instance_id, run_id, name, key, input, result, state, begun_at, confirms)
VALUES (%s, %s, %s, %s, %s, %s, '', 'begun', %s, %s)
ON CONFLICT (id) DO UPDATE SET
    begun_at = EXCLUDED.begun_at, input = EXCLUDED.input, confirms = EXCLUDED.confirms
WHERE agents_effect.instance_id = EXCLUDED.instance_id
"""
END = """
INSERT INTO agents_effect
    (id, instance_id, run_id, name, key, input, result, state, verdict, begun_at, ended_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET
    state = EXCLUDED.state, verdict = EXCLUDED.verdict, result = EXCLUDED.result, ended_at = EXCLUDED.ended_at
WHERE agents_effect.instance_id = EXCLUDED.instance_id
"""
FOUND_OUT = """
UPDATE agents_effect SET state = %s, ended_at = coalesce(ended_at, %s), confirms = false
WHERE id = %s AND instance_id = %s AND state IN ('begun', 'unknown') AND answer = ''
"""


def record(instance: Instance, run: Run, events: Iterable[tuple[Event, dt.datetime]]) -> None:
    """Note the intents and outcomes among these new events."""
    with connection.cursor() as cursor:
        for event, at in events:
            if event.kind == "effect" and event.of is not None:
                if event.outcome in ("done", "failed", "unknown"):
                    cursor.execute(FOUND_OUT, [event.outcome, at, event.of, instance.pk])
                continue
            if event.act is None:
                continue
            id = f"{run.pk.hex}-{event.act}"
            known = (id, instance.pk, run.pk, event.name, event.key or "", _text(event.input))
            if event.kind == "effect":
                cursor.execute(INTEND, [*known, at, event.confirms])
            elif event.external and (state := _state(event)) is not None:
                cursor.execute(END, [*known, _text(event.output), state, event.verdict or "", at, at])


def _state(event: Event) -> str | None:
    """What became of it; None when this action reached nothing. Without `effect`, by the outcome."""
    if event.effect is not None:
        return None if event.effect == "none" else event.effect
    if event.outcome == "already":
        return None
    if event.verdict == "fail":
        return Effect.State.DONE.value
    return STATES.get(event.outcome or "", Effect.State.UNKNOWN).value


def _text(value: Any) -> str:
    """As JSON, cut to what is kept."""
    return "" if value is None else orjson.dumps(value).decode()[:LONGEST_TEXT]
