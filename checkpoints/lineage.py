"""The line of a checkpoint: itself, what it descends from, what that does, back to where it began.

After a rollback new checkpoints descend from the restored one, so a line leaves out what was rolled back;
what retention dropped has handed its parent down, so a line has no holes.
"""

from __future__ import annotations

import datetime as dt
import uuid
from typing import NamedTuple

from django.db import connection

MOST = 20_000
LINE = """
WITH RECURSIVE line(id, parent, at, memory, workspace, n) AS (
    SELECT id, parent, at, memory, workspace, 0 FROM checkpoints_checkpoint
    WHERE id = %(id)s AND agent_id = %(agent)s
  UNION ALL
    SELECT k.id, k.parent, k.at, k.memory, k.workspace, line.n + 1
    FROM line JOIN checkpoints_checkpoint k ON k.id = line.parent AND k.agent_id = %(agent)s
    WHERE line.n < %(most)s - 1
)
SELECT id, parent, at, memory, workspace FROM line ORDER BY n
"""


class Step(NamedTuple):
    """One checkpoint of a line, as far as walking along it needs."""

    id: uuid.UUID
    parent: uuid.UUID | None
    at: dt.datetime
    memory: bytes | None
    workspace: bytes | None


def of(agent_id: int, id: uuid.UUID, most: int = MOST) -> list[Step]:
    """The newest first, at most so many, in one query; nothing when it is not the agent's."""
    with connection.cursor() as cursor:
        cursor.execute(LINE, {"id": id, "agent": agent_id, "most": most})
        rows = cursor.fetchall()
    return [Step(*row[:3], *(bytes(name) if name is not None else None for name in row[3:])) for row in rows]
