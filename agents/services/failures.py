"""Failure groups: failures with one fingerprint are one sickness, over all agents of a project.

The fingerprint, version 1, is the first that there is of: what the developer said; the action's name and
the exception's type; the action's name and the message without what varies (numbers, ids, quoted words).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import uuid
from dataclasses import dataclass

from django.db import connection

from agents.models import FailureGroup, Incident
from agents.services import incidents
from agents.services.snapshots import text

VERSION = "1"
VARYING = re.compile(
    r"0x[0-9a-f]+|[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\b(?=[a-z_]*\d)[\w.-]+\b|\"[^\"]*\"|'[^']*'|`[^`]*`",
    re.IGNORECASE,
)
UPSERT = """
INSERT INTO agents_failuregroup (project_id, fingerprint, action, title, failures, first_seen, last_seen)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (project_id, fingerprint) DO UPDATE SET
    failures = agents_failuregroup.failures + EXCLUDED.failures,
    first_seen = LEAST(agents_failuregroup.first_seen, EXCLUDED.first_seen),
    last_seen = GREATEST(agents_failuregroup.last_seen, EXCLUDED.last_seen)
RETURNING id
"""


@dataclass(frozen=True, slots=True)
class FailureSeen:
    """A failure event, as far as grouping needs it."""

    seq: int
    name: str
    failure: str
    exception: str | None
    message: str | None
    fingerprint: str | None
    at: dt.datetime


def grouped(
    *,
    project_id: int,
    agent_id: int,
    seen: list[FailureSeen],
    now: dt.datetime,
    run_id: uuid.UUID | None = None,
) -> dict[int, int]:
    """The group of each new failure, its counts moved; open incidents of the agent get a new version.

    Groups are written in the order of their fingerprints, so that two batches cannot block each other.
    """
    if not seen:
        return {}
    alike: dict[str, list[FailureSeen]] = {}
    for failure in seen:
        alike.setdefault(fingerprint(failure), []).append(failure)
    found: dict[int, int] = {}
    for key in sorted(alike):
        pk = _upsert(project_id, key, alike[key])
        found.update({failure.seq: pk for failure in alike[key]})
    if run_id is not None:
        _name_the_cause(agent_id, run_id, found)
    incidents.failure_counted(agent_id, now)
    return found


def group_of(project_id: int, failure: FailureSeen) -> int:
    """Its group, before the event itself has arrived and is counted there."""
    return _upsert(project_id, fingerprint(failure), [failure], counted=0)


def fingerprint(failure: FailureSeen) -> str:
    """32 hex digits, the same for failures that mean the same."""
    if failure.fingerprint:
        parts: tuple[str, ...] = ("explicit", failure.fingerprint)
    elif failure.exception:
        parts = ("exception", failure.name, failure.exception)
    else:
        parts = ("message", failure.name, failure.failure, normalised(failure.message or ""))
    return hashlib.sha256("\0".join((VERSION, *parts)).encode("utf-8", "replace")).hexdigest()[:32]


def normalised(message: str) -> str:
    """The message without what differs between two of its kind."""
    return " ".join(VARYING.sub("#", message[:1000]).lower().split())[:300]


def _upsert(project_id: int, key: str, alike: list[FailureSeen], *, counted: int | None = None) -> int:
    first = alike[0]
    times = [failure.at for failure in alike]
    counted = len(alike) if counted is None else counted
    with connection.cursor() as cursor:
        cursor.execute(
            UPSERT,
            [project_id, key, text(first.name, 200), title(first), counted, min(times), max(times)],
        )
        pk: int = cursor.fetchone()[0]
    return pk


def title(failure: FailureSeen) -> str:
    """Names and verdicts, no values: it goes into alerts."""
    what = failure.exception or {"verification": "verification failed"}.get(failure.failure, failure.failure)
    return text(f"{failure.name}: {what}", 300)


def _name_the_cause(agent_id: int, run_id: uuid.UUID, found: dict[int, int]) -> None:
    """An incident whose snapshot came before its failure learns its group now, and says what failed."""
    ids = {f"{run_id.hex}-{seq}": pk for seq, pk in found.items()}
    nameless = Incident.objects.filter(agent_id=agent_id, group=None, failure__in=list(ids))
    for incident in nameless:
        group = FailureGroup.objects.get(pk=ids[incident.failure])
        Incident.objects.filter(pk=incident.pk).update(group=group, title=group.title)
