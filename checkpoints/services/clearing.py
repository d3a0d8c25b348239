"""What a human's *good* clears: the checkpoints that descend from it and stood back only for what was before.

Each is weighed again by the facts that its row has, from its parent's new standing down; where nothing comes
out differently, nothing below it does. Suspect and bad ones, and what a human judged, stay as they are.
"""

from __future__ import annotations

import dataclasses
from uuid import UUID

from checkpoints import queries, standing
from checkpoints.models import Checkpoint, Standing

MOST = 5_000


def clear_below(judged: Checkpoint) -> int:
    """Weigh the descendants of one that a human has just called good; how many are others now."""
    above = {judged.pk: standing.Before(Standing.GOOD, tainted=False, proven=False)}
    later = queries.rows().filter(agent_id=judged.agent_id, at__gte=judged.at, parent__isnull=False)
    moved = 0
    for found in later.order_by("at", "id")[:MOST]:
        before = above.get(found.parent) if found.parent is not None else None
        if before is None or found.judged_by or not found.tainted or found.standing != Standing.UNPROVEN:
            continue
        ruling = _weighed(found, before)
        above[found.pk] = standing.Before(ruling.standing, ruling.tainted, ruling.proven)
        moved += _move(found.pk, ruling)
    return moved


def _weighed(found: Checkpoint, before: standing.Before) -> standing.Ruling:
    facts = standing.Facts(
        found.failing, found.passes, found.fails, found.unknowns, found.checks, moving=bool(found.moving)
    )
    return standing.on_arrival(facts, before, is_first=False)


def _move(pk: UUID, ruling: standing.Ruling) -> int:
    """Only an unproven one that nobody has judged meanwhile, and only to what is different."""
    said = dataclasses.asdict(ruling)
    waiting = Checkpoint.objects.filter(pk=pk, standing=Standing.UNPROVEN, judged_by="")
    return waiting.exclude(standing=ruling.standing, tainted=ruling.tainted, proven=ruling.proven).update(
        **said
    )
