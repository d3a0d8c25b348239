"""What agents say they do, in between their snapshots: a long action shows while it runs.

Rows that somebody else has locked are left alone; their snapshot says the same and more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from django.db import connection, transaction

from agents import announce
from agents.services.snapshots import text

NOTE = """
WITH said AS (SELECT * FROM unnest(%s::bigint[], %s::text[]) AS s(id, doing)),
free AS (SELECT id FROM agents_instance WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
UPDATE agents_instance i SET doing = said.doing, doing_since = CASE WHEN said.doing = '' THEN NULL ELSE %s END
FROM said JOIN free USING (id), agents_agent a
WHERE i.id = said.id AND a.id = i.agent_id AND i.doing <> said.doing
RETURNING a.id, a.project_id
"""


@transaction.atomic
def note(doing: Mapping[int, str], now: dt.datetime) -> int:
    """Write what changed, instance by instance; how many agents look different."""
    ids = sorted(doing)
    with connection.cursor() as cursor:
        cursor.execute(NOTE, [ids, [text(doing[id], 200) for id in ids], ids, now])
        changed = sorted(set(cursor.fetchall()))
    for agent_id, project_id in changed:
        announce.changed_agent(agent_id, project_id)
    return len(changed)
