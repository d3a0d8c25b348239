"""*Since when?* The checkpoint from which on a value has been as it is, and what was done just before.

    line       the checkpoints that this one descends from, newest first
    marks      of the place in each, fifty at once: the root and what leads there, nothing else
    first      the last one of the unbroken row that begins with the asked one and has its mark

A value may have been so before, and otherwise in between. Halving would find one of the changes, and not the
newest; so the line is walked. What stays the same costs nothing: equal roots have equal marks. A place in a
list is meant by its number. The walk has a bound in checkpoints and in bytes; where it is met, the answer
says so, and asking again from the last one goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agents.models import Entry, Kind
from checkpoints import lineage, queries, store
from checkpoints.diffs.items import Path
from checkpoints.diffs.tracing import Mark, Tracing
from checkpoints.models import Checkpoint, Rollback

MOST_STEPS, AT_ONCE = 2_000, 50
MOST_BYTES = 24 * 1024 * 1024
MOST_ACTIONS = 20
Part = Literal["memory", "workspace"]
Look = Callable[[list[bytes]], bool]


@dataclass(frozen=True)
class Since:
    """`first`: from it on the value is so. `before` has another, and is None where the line begins.

    `is_bound`: the walk ended there, and the value may be so for longer. `actions`: the newest first, and
    whether there are more.
    """

    first: Checkpoint
    before: Checkpoint | None
    is_there: bool
    is_bound: bool
    looked_at: int
    actions: list[Entry]
    more_actions: bool


def value(checkpoint: Checkpoint, path: Path) -> Since:
    """Since when this place of the memory is as it is in the checkpoint."""
    tracing = _tracing(checkpoint)
    return _since(checkpoint, tracing, "memory", lambda roots: tracing.values(roots, path))


def file(checkpoint: Checkpoint, path: bytes) -> Since:
    """The same of a file of the workspace."""
    tracing = _tracing(checkpoint)
    return _since(checkpoint, tracing, "workspace", lambda roots: tracing.files(roots, path))


def _tracing(checkpoint: Checkpoint) -> Tracing:
    return Tracing(lambda names: store.fetch(checkpoint.project_id, names), MOST_BYTES)


def _since(checkpoint: Checkpoint, tracing: Tracing, part: Part, look: Look) -> Since:
    line = lineage.of(checkpoint.agent_id, checkpoint.pk, MOST_STEPS + 1)
    roots = [step.memory if part == "memory" else step.workspace for step in line[:MOST_STEPS]]
    count = _unbroken(roots, tracing, look)
    is_bound = count < len(roots) and _is_unknown(roots[count], tracing)
    is_bound = is_bound or (count == len(roots) and len(line) > MOST_STEPS)
    named = [step.id for step in (line[max(0, count - 1)], *line[count : count + (not is_bound)])]
    found = {row.pk: row for row in queries.rows().filter(pk__in=named)}
    first, before = found[named[0]], found.get(named[1]) if len(named) > 1 else None
    actions = actions_between(before, first) if before is not None else []
    is_there = bool(roots) and roots[0] is not None and tracing.marks.get(roots[0]) is not None
    return Since(
        first, before, is_there, is_bound, min(len(roots), count + 1), actions[:MOST_ACTIONS],
        more_actions=len(actions) > MOST_ACTIONS,
    )  # fmt: skip


def _unbroken(roots: list[bytes | None], tracing: Tracing, look: Look) -> int:
    """How many from the first on have its mark."""
    for start in range(0, len(roots), AT_ONCE):
        ahead = roots[start : start + AT_ONCE]
        look([root for root in ahead if root is not None])
        for place, root in enumerate(ahead, start):
            if _is_unknown(root, tracing) or _mark(root, tracing) != _mark(roots[0], tracing):
                return place
    return len(roots)


def _is_unknown(root: bytes | None, tracing: Tracing) -> bool:
    return root is not None and root not in tracing.marks


def _mark(root: bytes | None, tracing: Tracing) -> Mark:
    return tracing.marks.get(root) if root is not None else None


def actions_between(before: Checkpoint, first: Checkpoint) -> list[Entry]:
    """What the instance did between the two; where a rollback lies between, what it did after that."""
    back = Rollback.objects.filter(
        instance_id=first.instance_id, ended_at__gt=before.at, ended_at__lte=first.at,
        state=Rollback.State.VERIFIED,
    )  # fmt: skip
    since = back.order_by("-ended_at").values_list("ended_at", flat=True).first() or before.at
    rows = Entry.objects.filter(agent_id=first.agent_id, at__gt=since, at__lte=first.at)
    rows = rows.filter(instance_id=first.instance_id, kind=Kind.ACTION).defer("digest")
    return list(rows.order_by("-at", "-id")[: MOST_ACTIONS + 1])
