"""The server's copy of an agent's effects ledger: what reached the outside world.

An intent comes before the effect runs, its outcome as the action that ends it; both name the same `act` of
the same run. Either may be the only one that ever arrives, and a late intent overwrites no outcome.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable

import orjson
from django.db import connection

from agents.models import Effect, Instance, Run
from agents.services.lines import Event

LONGEST_TEXT = 64 * 1024
STATES = {"ok": Effect.State.DONE, "already": Effect.State.DONE, "failed": Effect.State.FAILED}
INTEND = """
INSERT INTO agents_effect (id, instance_id, run_id, name, key, input, result, state, begun_at)
VALUES (%s, %s, %s, %s, %s, %s, '', 'begun', %s)
ON CONFLICT (id) DO UPDATE SET begun_at = EXCLUDED.begun_at, input = EXCLUDED.input
WHERE agents_effect.instance_id = EXCLUDED.instance_id
"""
END = """
INSERT INTO agents_effect (id, instance_id, run_id, name, key, input, result, state, begun_at, ended_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (id) DO UPDATE SET state = EXCLUDED.state, result = EXCLUDED.result, ended_at = EXCLUDED.ended_at
WHERE agents_effect.instance_id = EXCLUDED.instance_id
"""


def record(instance: Instance, run: Run, events: Iterable[tuple[Event, dt.datetime]]) -> None:
    """Note the intents and outcomes among these new events."""
    with connection.cursor() as cursor:
        for event, at in events:
            if event.act is None:
                continue
            id = f"{run.pk.hex}-{event.act}"
            known = (id, instance.pk, run.pk, event.name, event.key or "", _text(event.input))
            if event.kind == "effect":
                cursor.execute(INTEND, [*known, at])
            elif event.kind == "action" and event.external:
                state = STATES.get(event.outcome or "", Effect.State.UNKNOWN)
                cursor.execute(END, [*known, _text(event.output), state.value, at, at])


def _text(value: object) -> str:
    """As JSON, cut to what is kept."""
    return "" if value is None else orjson.dumps(value).decode()[:LONGEST_TEXT]
