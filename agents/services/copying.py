"""Rows into the timeline by COPY, and back out for the comparison of repeats.

A batch goes in as one COPY inside a savepoint. What the checks let through and Postgres refuses all the same
is found by halving the batch, and only the culprit stays out.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Sequence

import psycopg
from django.db import DataError, connection, transaction

from agents.models import Instance, Kind, Quarantine, Run
from agents.services.lines import Line, digest_of

COPY = """
COPY agents_entry (at, received_at, id, project_id, agent_id, instance_id, run_id, seq, late, digest,
                   kind, name, outcome, verdict, group_id, ref, title, body) FROM STDIN
"""
SEQ = 7
KEPT = "SELECT seq, digest FROM agents_entry WHERE run_id = %s AND seq = ANY(%s)"

Row = tuple[object, ...]


def copy(
    instance: Instance, run: Run, good: Sequence[Line], groups: dict[int, int], now: dt.datetime
) -> dict[int, str]:
    """Store these lines; the answer says why for each that Postgres refused."""
    if not good:
        return {}
    rows = [_row(instance, run, line, groups.get(line.seq), now) for line in good]
    return _copy_or_halve(rows)


def kept(run_id: uuid.UUID, seqs: list[int]) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Of these repeats: the digests of those stored, and the bytes of those quarantined."""
    with connection.cursor() as cursor:
        cursor.execute(KEPT, [run_id, seqs])
        digests = {seq: bytes(digest or b"") for seq, digest in cursor.fetchall()}
    refused = Quarantine.objects.filter(run_id=run_id, seq__in=seqs).values_list("seq", "line")
    return digests, {seq: bytes(line) for seq, line in refused}


def _row(instance: Instance, run: Run, line: Line, group_id: int | None, now: dt.datetime) -> Row:
    event = line.event
    assert event is not None
    return (
        line.at,
        now,
        f"{run.pk.hex}-{line.seq}",
        instance.agent.project_id,
        instance.agent_id,
        instance.pk,
        run.pk,
        line.seq,
        line.late,
        digest_of(line.raw),
        Kind.SIGNAL.value if event.kind == "effect" else event.kind,
        event.name,
        event.outcome or event.failure or ("begun" if event.kind == "effect" else ""),
        event.verdict or "",
        group_id,
        event.pause or event.command or "",
        event.title or event.name,
        line.raw.decode(),
    )


def _copy_or_halve(rows: list[Row]) -> dict[int, str]:
    try:
        with transaction.atomic(), connection.cursor() as cursor, cursor.copy(COPY) as copying:
            for row in rows:
                copying.write_row(row)
        return {}
    except (psycopg.DataError, DataError) as error:
        if len(rows) == 1:
            seq = rows[0][SEQ]
            assert isinstance(seq, int)
            return {seq: f"Postgres refused it: {error}"[:300]}
    half = len(rows) // 2
    return _copy_or_halve(rows[:half]) | _copy_or_halve(rows[half:])
