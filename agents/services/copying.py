"""Rows into the timeline by COPY, and back out for the comparison of repeats.

A batch goes in as one COPY inside a savepoint. What the checks let through and Postgres refuses all the same
is found by halving the batch, and only the culprit stays out.
"""

from __future__ import annotations

import datetime as dt
import re
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
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}
SPECIAL = re.compile(r"[\\\t\n\r]")
NULL = "\\N"
KEPT = "SELECT seq, digest FROM agents_entry WHERE run_id = %s AND seq = ANY(%s)"

Row = tuple[int, bytes]  # its seq, and its line of COPY text


def copy(
    instance: Instance, run: Run, good: Sequence[Line], groups: dict[int, int], now: dt.datetime
) -> dict[int, str]:
    """Store these lines; the answer says why for each that Postgres refused."""
    if not good:
        return {}
    return _copy_or_halve(_rows(instance, run, good, groups, now))


def kept(run_id: uuid.UUID, seqs: list[int]) -> tuple[dict[int, bytes], dict[int, bytes]]:
    """Of these repeats: the digests of those stored, and the bytes of those quarantined."""
    with connection.cursor() as cursor:
        cursor.execute(KEPT, [run_id, seqs])
        digests = {seq: bytes(digest or b"") for seq, digest in cursor.fetchall()}
    refused = Quarantine.objects.filter(run_id=run_id, seq__in=seqs).values_list("seq", "line")
    return digests, {seq: bytes(line) for seq, line in refused}


def _rows(
    instance: Instance, run: Run, good: Sequence[Line], groups: dict[int, int], now: dt.datetime
) -> list[Row]:
    """The text that COPY reads, written by hand: half the cost of a row lay in adapting 18 values to it."""
    run_hex = run.pk.hex
    received = f"{now.isoformat()}\t{run_hex}"
    whose = f"{instance.agent.project_id}\t{instance.agent_id}\t{instance.pk}\t{run_hex}"
    rows, second, to_the_second = [], -1, ""
    for line in good:
        event, seq, group = line.event, line.seq, groups.get(line.seq)
        assert event is not None
        if line.at // 1_000_000 != second:
            second = line.at // 1_000_000
            to_the_second = dt.datetime.fromtimestamp(second, dt.UTC).isoformat().removesuffix("+00:00")
        is_effect = event.kind == "effect"
        outcome = event.outcome or event.failure or ("begun" if is_effect else "")
        text = (
            f"{to_the_second}.{line.at % 1_000_000:06d}+00\t{received}-{seq}\t{whose}\t{seq}"
            f"\t{'t' if line.late else 'f'}\t\\\\x{digest_of(line.raw).hex()}"
            f"\t{Kind.SIGNAL.value if is_effect else event.kind}\t{escaped(event.name)}\t{escaped(outcome)}"
            f"\t{event.verdict or ''}\t{NULL if group is None else group}"
            f"\t{escaped(event.pause or event.command or '')}\t{escaped(event.title or event.name)}\t"
        )
        rows.append((seq, text.encode() + _body(line.raw) + b"\n"))
    return rows


def escaped(text: str) -> str:
    """As COPY's text format wants it: a backslash before what would end a field or a row."""
    if text.isprintable() and "\\" not in text:
        return text
    return SPECIAL.sub(lambda found: ESCAPES[found[0]], text)


def _body(raw: bytes) -> bytes:
    """A line of JSON holds no newline, and tabs and returns only between its tokens."""
    return raw.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\r", b"\\r")


def _copy_or_halve(rows: list[Row]) -> dict[int, str]:
    try:
        with transaction.atomic(), connection.cursor() as cursor, cursor.copy(COPY) as copying:
            copying.write(b"".join([text for _, text in rows]))
        return {}
    except (psycopg.DataError, DataError) as error:
        if len(rows) == 1:
            return {rows[0][0]: f"Postgres refused it: {error}"[:300]}
    half = len(rows) // 2
    return _copy_or_halve(rows[:half]) | _copy_or_halve(rows[half:])
