"""The server's own entries in the timeline: what no agent can tell.

They have no run and no seq; their id is a UUIDv7, which sorts by time.
"""

from __future__ import annotations

import datetime as dt
import json
import secrets
import uuid
from typing import Any

from django.db import connection

from agents.services.snapshots import text

INSERT = """
INSERT INTO agents_entry
    (id, at, received_at, project_id, agent_id, instance_id, kind, name, outcome, title, ref, body)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def write(
    *,
    project_id: int,
    agent_id: int,
    instance_id: int | None,
    at: dt.datetime,
    kind: str,
    name: str,
    outcome: str,
    title: str,
    ref: str,
    body: dict[str, Any],
    now: dt.datetime,
) -> str:
    """One entry, in the caller's transaction; its id."""
    statement = writing(
        project_id=project_id, agent_id=agent_id, instance_id=instance_id, at=at, kind=kind, name=name,
        outcome=outcome, title=title, ref=ref, body=body, now=now,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(*statement)
    id: str = statement[1][0]
    return id


def writing(
    *,
    project_id: int,
    agent_id: int,
    instance_id: int | None,
    at: dt.datetime,
    kind: str,
    name: str,
    outcome: str,
    title: str,
    ref: str,
    body: dict[str, Any],
    now: dt.datetime,
) -> tuple[str, list[Any]]:
    """The same as a statement, for whoever writes more in one trip."""
    return INSERT, [
        str(uuid7(now)),
        min(at, now),
        now,
        project_id,
        agent_id,
        instance_id,
        kind,
        text(name, 200),
        text(outcome, 40),
        text(title, 500),
        text(ref, 60),
        json.dumps(body, default=str),
    ]


def uuid7(now: dt.datetime) -> uuid.UUID:
    """48 bits of milliseconds, then chance (RFC 9562); the standard library has it from 3.14 on."""
    ms = int(now.timestamp() * 1000) & (2**48 - 1)
    value = (ms << 80) | (0x7 << 76) | (secrets.randbits(12) << 64) | (0b10 << 62) | secrets.randbits(62)
    return uuid.UUID(int=value)
