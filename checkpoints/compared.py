"""Two checkpoints beside each other: their trees' differences, and each difference in a word.

A word depends on nothing but the four names of the trees, so it is kept in this process by them. A damaged
or missing node is told of the part that needs it; nothing else fails with it.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from agents.models import Agent, Incident
from checkpoints import queries, store
from checkpoints.diffs import memory, summary, workspace
from checkpoints.diffs.summary import Summary
from checkpoints.models import Checkpoint
from sickbay.tree.node import BadNode
from sickbay.tree.text import BadText

KEPT = 20_000
MOST_AT_ONCE = 8 * 1024 * 1024
MOST_SHOWN = 24 * 1024 * 1024
LISTED, DETAILED = 10_000, 200  # changes of a memory that are told, small containers looked into
UNREADABLE = (BadNode, BadText)
Names = tuple[bytes | None, bytes | None, bytes | None, bytes | None]

_kept: OrderedDict[Names, Summary] = OrderedDict()


@dataclass(frozen=True)
class Pair:
    """The older and the newer; both of one project. `whole`: every change is looked into."""

    old: Checkpoint
    new: Checkpoint
    whole: bool = False

    def fetch(self, names: Iterable[bytes]) -> dict[bytes, bytes]:
        return store.fetch(self.new.project_id, list(names))

    def root(self, part: Literal["memory", "workspace"], *, old: bool) -> bytes | None:
        name = getattr(self.old if old else self.new, part)
        return None if name is None else bytes(name)

    @cached_property
    def memory(self) -> memory.MemoryDiff | BadNode | BadText:
        """What differs, or why it cannot be told."""
        roots = self.root("memory", old=True), self.root("memory", old=False)
        most, detail = (memory.MOST_CHANGES, memory.EVERY) if self.whole else (LISTED, DETAILED)
        try:
            return memory.compare(*roots, self.fetch, most=MOST_SHOWN, changes=most, detail=detail)
        except UNREADABLE as error:
            return error

    @cached_property
    def workspace(self) -> workspace.WorkspaceDiff | BadNode | BadText:
        roots = self.root("workspace", old=True), self.root("workspace", old=False)
        try:
            return workspace.compare(*roots, self.fetch, most=MOST_SHOWN)
        except UNREADABLE as error:
            return error


def pair(project_id: int, a: uuid.UUID, b: uuid.UUID) -> Pair | None:
    """In one query, in the order of the address; None unless both are the project's."""
    found = {
        row.pk: row
        for row in queries.rows().select_related("agent").filter(project_id=project_id, pk__in=[a, b])
    }
    return Pair(found[a], found[b]) if a in found and b in found else None


def since_good(
    incident: Incident, agent: Agent, instance_id: int | None, until: dt.datetime
) -> tuple[Checkpoint, Checkpoint] | None:
    """The last good one before the incident's first failure, and the newest one until then."""
    if agent.last_good is None:
        return None
    before = queries.first_failure_at(incident, agent.pk)
    good = queries.last_known_good(agent.pk, before=before, instance_id=instance_id)
    if good is None:
        return None
    taken = queries.rows().filter(agent_id=agent.pk, instance_id=good.instance_id, at__lte=until)
    newest = taken.order_by("-at", "-id").first()
    return good, newest or good


def known(old: Checkpoint, new: Checkpoint) -> Summary | None:
    """The difference in a word, if it was told before or can be told without looking."""
    names = _names(old, new)
    if names[0] == names[1] and names[2] == names[3]:
        return Summary()
    return _kept.get(names)


def summaries(project_id: int, pairs: Sequence[tuple[Checkpoint, Checkpoint]]) -> list[Summary]:
    """Each difference in a word; what is not known yet is loaded together."""
    unknown = list(dict.fromkeys(_names(*one) for one in pairs if known(*one) is None))
    learnt = _learnt(project_id, unknown) if unknown else {}
    _kept.update({names: found for names, found in learnt.items() if not found.damaged})
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return [known(*one) or learnt.get(_names(*one)) or Summary(complete=False) for one in pairs]


def _learnt(project_id: int, wanted: list[Names]) -> dict[Names, Summary]:
    def fetch(names: list[bytes]) -> dict[bytes, bytes]:
        return store.fetch(project_id, names)

    try:
        memories = memory.compare_all([one[:2] for one in wanted], fetch, most=MOST_AT_ONCE)
        workspaces = workspace.compare_all([one[2:] for one in wanted], fetch, most=MOST_AT_ONCE)
    except UNREADABLE:
        if len(wanted) == 1:
            return {wanted[0]: Summary(damaged=True)}
        return {names: found for one in wanted for names, found in _learnt(project_id, [one]).items()}
    told = zip(wanted, memories, workspaces, strict=True)
    return {names: summary.of(remembered, kept) for names, remembered, kept in told}


def _names(old: Checkpoint, new: Checkpoint) -> Names:
    named = (old.memory, new.memory, old.workspace, new.workspace)
    a, b, c, d = (bytes(name) if name is not None else None for name in named)
    return a, b, c, d
