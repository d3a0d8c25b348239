"""Tests with real commits leave nothing to the next, not even in the timeline and the log."""

from __future__ import annotations

import pytest
from django.db import connection

from agents.models import AuditEntry, Entry


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round", [1, 2])
def test_nothing_is_left(round: int) -> None:
    """Each round finds the log and the timeline empty, and fills them."""
    assert (AuditEntry.objects.count(), Entry.objects.count()) == (0, 0)
    AuditEntry.objects.create(actor="alice", verb="resume", object="incident 1", previous=b"", digest=b"x")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO agents_entry (at, received_at, id, project_id, agent_id, kind)"
            " VALUES (now(), now(), 'x', 1, 1, 'signal')"
        )
