"""Signs of life between snapshots: that an agent was heard, and what it says it does.

A process that writes beats once a second (live/presence) collects who sent a batch in memory; any other
writes it at once. Of what agents do, rows that somebody else has locked are left alone: their snapshot says
the same and more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from django.db import connection, transaction

from agents import announce
from agents.models import Heartbeat
from agents.services.snapshots import text

NOTE = """
WITH said AS (SELECT * FROM unnest(%s::bigint[], %s::text[]) AS s(id, doing)),
free AS (SELECT id FROM agents_instance WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
UPDATE agents_instance i SET doing = said.doing, doing_since = CASE WHEN said.doing = '' THEN NULL ELSE %s END
FROM said JOIN free USING (id), agents_agent a
WHERE i.id = said.id AND a.id = i.agent_id AND i.doing <> said.doing
RETURNING a.id, a.project_id
"""


class Heard:
    """Who was heard since the last write; filled by request threads, emptied by the process's presence."""

    def __init__(self) -> None:
        self.is_collected = False
        self._ids: set[int] = set()

    def add(self, instance_id: int) -> None:
        self._ids.add(instance_id)

    def taken(self) -> set[int]:
        ids, self._ids = self._ids, set()
        return ids


by_request = Heard()


def heard(instance_id: int, now: dt.datetime) -> None:
    """The newest writer of this instance sent something."""
    if by_request.is_collected:
        by_request.add(instance_id)
    else:
        Heartbeat.objects.filter(instance=instance_id, last_seen__lt=now).update(last_seen=now)


@transaction.atomic
def note(doing: Mapping[int, str], now: dt.datetime) -> int:
    """Write what changed, instance by instance; how many agents look different."""
    ids = sorted(doing)
    with connection.cursor() as cursor:
        cursor.execute(NOTE, [ids, [text(doing[id], 200) for id in ids], ids, now])
        changed = sorted(set(cursor.fetchall()))
    for project_id in sorted({project_id for _, project_id in changed}):
        announce.changed_agents(
            [agent for agent, its in changed if its == project_id], project_id, standing=False
        )
    return len(changed)
