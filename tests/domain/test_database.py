"""What the migrations made in Postgres that no model shows."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection

from agents.models import AuditEntry


@pytest.mark.django_db
def test_timeline_is_partitioned_by_day() -> None:
    """The days around today have partitions of their own beside the default one."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_inherits WHERE inhparent = 'agents_entry'::regclass")
        assert cursor.fetchone()[0] >= 9


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement", ["UPDATE agents_auditentry SET actor = 'nobody'", "DELETE FROM agents_auditentry"]
)
def test_audit_log_is_append_only(statement: str) -> None:
    """A row of the audit log can be neither changed nor taken away."""
    AuditEntry.objects.create(actor="alice", verb="resume", object="incident 1", previous=b"", digest=b"x")
    with pytest.raises(DatabaseError, match="append-only"), connection.cursor() as cursor:
        cursor.execute(statement)
