"""The audit log: each act in one row, written in the act's own transaction, chained by sha256.

A row's digest covers the row and the digest before it, so that a change, an insertion or a removal in
the middle breaks the chain from there on, and the head names the last one; `verify` finds the first row
that does not fit. `record` takes
the chain's lock until the commit: call it last, after every row lock.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from agents.models import AuditEntry, AuditHead
from agents.services.snapshots import text

CHAIN_LOCK = 0x5B_A0D17
START = b"\0" * 32
HEAD = """
INSERT INTO agents_audithead (id, entry, digest) VALUES (1, %s, %s)
ON CONFLICT (id) DO UPDATE SET entry = EXCLUDED.entry, digest = EXCLUDED.digest
"""


@dataclass(frozen=True)
class Verified:
    """How many rows were read, and the first that does not fit, if any."""

    rows: int
    broken: int | None


@dataclass(frozen=True)
class Act:
    """Who did what to what, why, and what they saw."""

    project_id: int | None
    actor: str
    verb: str
    object: str
    reason: str = ""
    saw: dict[str, Any] = field(default_factory=dict)


def record(
    *,
    project_id: int | None,
    actor: str,
    verb: str,
    object: str,
    reason: str,
    saw: dict[str, Any],
    now: dt.datetime,
) -> AuditEntry:
    return record_all([Act(project_id, actor, verb, object, reason, saw)], now)[0]


def record_all(acts: Sequence[Act], now: dt.datetime) -> list[AuditEntry]:
    """Several acts of one moment, chained in this order, for the price of one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])
    last = AuditEntry.objects.order_by("-id").values_list("digest", flat=True).first()
    previous, entries = bytes(last) if last else START, []
    for act in acts:
        entry = AuditEntry(
            project_id=act.project_id,
            at=now,
            actor=text(act.actor, 200),
            verb=act.verb,
            object=text(act.object, 200),
            reason=text(act.reason, 500),
            saw=act.saw,
            previous=previous,
        )
        previous = entry.digest = digest(entry)
        entries.append(entry)
    made = AuditEntry.objects.bulk_create(entries)
    if made:
        with connection.cursor() as cursor:
            cursor.execute(HEAD, [made[-1].pk, bytes(made[-1].digest)])
    return made


def digest(entry: AuditEntry) -> bytes:
    """The row's own words, keys sorted (jsonb keeps no order), behind the digest of the row before it."""
    words = {
        "project": entry.project_id,
        "at": entry.at.astimezone(dt.UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "verb": entry.verb,
        "object": entry.object,
        "reason": entry.reason,
        "saw": entry.saw,
    }
    plain = json.dumps(words, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(bytes(entry.previous) + plain.encode()).digest()


def verify() -> Verified:
    """Walk the whole chain. The head is read first: what is written meanwhile stands behind it."""
    head = AuditHead.objects.first()
    previous, rows, is_met = START, 0, head is None
    for entry in AuditEntry.objects.order_by("id").iterator(chunk_size=1000):
        rows += 1
        if bytes(entry.previous) != previous or digest(entry) != bytes(entry.digest):
            return Verified(rows, entry.pk)
        previous = bytes(entry.digest)
        is_met |= head is not None and (head.entry, bytes(head.digest)) == (entry.pk, previous)
    return Verified(rows, None if is_met or head is None else head.entry)
