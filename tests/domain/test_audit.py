"""The audit log: append-only, chained, and any edit is found."""

from __future__ import annotations

import hashlib
import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from agents.models import AuditEntry
from agents.services import audit
from tests.domain.cast import NOW

pytestmark = pytest.mark.django_db
EDITS = [
    "UPDATE agents_auditentry SET actor = 'nobody' WHERE id = {id}",
    "UPDATE agents_auditentry SET saw = '{{}}' WHERE id = {id}",
    "UPDATE agents_auditentry SET at = at + interval '1 microsecond' WHERE id = {id}",
    "UPDATE agents_auditentry SET reason = 'another' WHERE id = {id}",
    "UPDATE agents_auditentry SET digest = sha256('x') WHERE id = {id}",
    "DELETE FROM agents_auditentry WHERE id = {id}",
]


def write(number: int) -> AuditEntry:
    return audit.record(
        project_id=None, actor="alice", verb="resume", object=f"incident {number}", reason="fixed",
        saw={"version": number, "z": [1, None, "ü"], "a": {"b": True}}, now=NOW,
    )  # fmt: skip


def edit(statement: str) -> None:
    """As somebody with the database in their hands: the trigger is taken off first."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE agents_auditentry DISABLE TRIGGER agents_audit_append_only")
        cursor.execute(statement)
        cursor.execute("ALTER TABLE agents_auditentry ENABLE TRIGGER agents_audit_append_only")


def test_each_row_covers_the_one_before() -> None:
    """An untouched log verifies, whatever jsonb did to the order of its keys."""
    rows = [write(number) for number in range(3)]
    assert bytes(rows[1].previous) == bytes(rows[0].digest)
    assert audit.verify() == audit.Verified(3, None)


@pytest.mark.parametrize("statement", EDITS)
def test_an_edited_row_is_found(statement: str) -> None:
    """P20: every kind of edit in the middle is found, at the row or the one behind it."""
    rows = [write(number) for number in range(3)]
    edit(statement.format(id=rows[1].pk))
    assert audit.verify().broken in (rows[1].pk, rows[2].pk)


def test_a_row_that_hides_its_edit_is_found() -> None:
    """A new digest over the edited row does not fit the next one."""
    rows = [write(number) for number in range(3)]
    changed = AuditEntry.objects.get(pk=rows[1].pk)
    changed.actor = "nobody"
    new = hashlib.sha256(audit.digest(changed)).hexdigest()
    edit(f"UPDATE agents_auditentry SET actor = 'nobody', digest = '\\x{new}' WHERE id = {changed.pk}")
    assert audit.verify().broken is not None


def test_the_command_says_which_row(capsys: Any) -> None:
    """`manage.py audit verify` names the row and fails, or says that the chain is whole."""
    row, out = write(1), io.StringIO()
    call_command("audit", "verify", stdout=out)
    assert "the chain is whole" in out.getvalue()
    edit(f"UPDATE agents_auditentry SET actor = 'nobody' WHERE id = {row.pk}")
    with pytest.raises(CommandError, match=f"row {row.pk}"):
        call_command("audit", "verify")
