"""P20: of 200 random damages to the log, 200 are found by `manage.py audit verify`."""

from __future__ import annotations

import random

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from agents.models import AuditEntry, AuditHead
from agents.services import audit
from tests.domain.cast import NOW
from tests.faults.schedule import Schedule

pytestmark = pytest.mark.django_db
ROWS, DAMAGES = 60, 200
TABLE = "agents_auditentry"
WORDS = ("actor", "verb", "object", "reason")


class Undone(Exception):
    """The log as it was before."""


def write() -> list[int]:
    acts = [
        audit.Act(
            n % 3, f"p{n}@example.com", "resume", f"incident {n}", f"because {n}", {"version": n, "z": [n]}
        )
        for n in range(ROWS)
    ]
    return [entry.pk for entry in audit.record_all(acts, NOW)]


def damage(ids: list[int], dice: random.Random) -> tuple[str, list[object]]:
    """A statement that somebody with the database in their hands might run."""
    one, other = dice.sample(ids, 2)
    column = dice.choice(WORDS)
    ways: list[tuple[str, list[object]]] = [
        (f"UPDATE {TABLE} SET {column} = {column} || 'x' WHERE id = %s", [one]),
        (f"UPDATE {TABLE} SET saw = jsonb_set(saw, '{{version}}', '-1') WHERE id = %s", [one]),
        (f"UPDATE {TABLE} SET at = at + interval '1 second' WHERE id = %s", [one]),
        (f"UPDATE {TABLE} SET project_id = project_id + 1 WHERE id = %s", [one]),
        (f"UPDATE {TABLE} SET {dice.choice(('previous', 'digest'))} = sha256('x') WHERE id = %s", [one]),
        (f"DELETE FROM {TABLE} WHERE id = %s", [one]),
        (f"DELETE FROM {TABLE} WHERE id BETWEEN %s AND %s", sorted((one, other))),
        (f"DELETE FROM {TABLE} WHERE id >= %s", [one]),
        (f"UPDATE {TABLE} SET id = %s WHERE id = %s", [ids[-1] + 1, one] if one != ids[-1] else [0, one]),
        (SWAP, [one, other, one, other]),
        (f"INSERT INTO {TABLE} SELECT {ids[-1] + 1}, project_id, at, actor, verb, object, reason, saw,"
         f" previous, digest FROM {TABLE} WHERE id = %s", [one]),
    ]  # fmt: skip
    return dice.choice(ways)


SWAP = f"""
UPDATE {TABLE} a SET (project_id, at, actor, verb, object, reason, saw, previous, digest) =
    (b.project_id, b.at, b.actor, b.verb, b.object, b.reason, b.saw, b.previous, b.digest)
FROM {TABLE} b WHERE a.id IN (%s, %s) AND b.id IN (%s, %s) AND a.id <> b.id
"""


def test_every_random_damage_is_found(schedule: Schedule) -> None:
    """Changed, deleted, swapped, moved, copied, in the middle or at either end: none goes unseen."""
    ids, dice = write(), schedule.dice("audit")
    assert audit.verify().broken is None
    for number in range(DAMAGES):
        statement, values = damage(ids, dice)
        with pytest.raises(Undone), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER agents_audit_append_only")
                cursor.execute(statement, values)
                assert cursor.rowcount > 0
            with pytest.raises(CommandError, match="row"):
                call_command("audit", "verify")
            raise Undone(f"{number}: {statement}")
    assert audit.verify() == audit.Verified(ROWS, None)


def test_a_log_that_was_emptied_is_found() -> None:
    """The head still names what was there."""
    ids = write()
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} DISABLE TRIGGER agents_audit_append_only")
        cursor.execute(f"DELETE FROM {TABLE}")
    assert audit.verify() == audit.Verified(0, ids[-1])


def test_a_head_that_was_moved_is_found() -> None:
    """It stands for the last row alone."""
    ids = write()
    AuditHead.objects.update(entry=ids[-1] + 1)
    assert audit.verify().broken == ids[-1] + 1
    AuditHead.objects.update(entry=ids[-1], digest=bytes(32))
    assert audit.verify().broken == ids[-1]
    assert AuditEntry.objects.count() == ROWS
