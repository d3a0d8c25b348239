"""Checks against checkpoints: one check and one checkpoint, or the first of a line that fails.

Only what leads to the place is loaded; whether something is there, and how long a list or a file is, needs no
more than that.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from checkpoints import bisecting, checks, contents, lineage, queries, secrets
from checkpoints.bisecting import Bisected
from checkpoints.checks import ABSENT, AS_IN, FILE, Check
from checkpoints.diffs import places
from checkpoints.lineage import Step
from checkpoints.models import Checkpoint
from sickbay.tree.directory import IN_PLACE, SUBDIRECTORY
from sickbay.tree.node import BadNode
from sickbay.tree.text import BadText, load

MOST_BYTES = 1_048_576


class Unjudged(Exception):
    """It cannot be said whether this checkpoint passes; why."""


class NotInLine(Exception):
    """The newest does not descend from the one that was named as the oldest."""


@dataclass(frozen=True)
class Line:
    """What a bisection looked at, oldest first, and what it found."""

    steps: list[Step]
    found: Bisected
    good: Checkpoint | None
    bad: Checkpoint | None
    why_skipped: str
    is_cut: bool
    is_nowhere: bool = False

    @property
    def sentence(self) -> str:
        """What was found, for a person."""
        some, looks = f"{len(self.steps):,}", self.found.looks
        if self.is_nowhere:
            return (
                f"Neither the oldest nor the newest of {some} checkpoints has such a place. Is it spelt so?"
            )
        said = {
            "found": f"Found in {looks} looks at {some} checkpoints.",
            "newest_passes": "The newest one passes, so there is nothing to be found.",
            "oldest_fails": f"The oldest of {some} checkpoints fails already: it began before what is kept.",
            "nothing": "There is no checkpoint to look at.",
            "unknown": f"Too many cannot be judged: {self.why_skipped}.",
        }[self.found.ends]
        skipped = len(self.found.skipped)
        if not skipped or self.found.ends == "unknown":
            return said
        return f"{said} {skipped} could not be judged: {self.why_skipped}."


def passes(check: Check, checkpoint: Checkpoint) -> bool:
    """Whether the checkpoint passes; Unjudged when it cannot be told."""
    try:
        if check.op == AS_IN:
            return _as_in(check, checkpoint)
        return _file(check, checkpoint) if check.where == FILE else _memory(check, checkpoint)
    except (BadNode, BadText) as error:
        raise Unjudged(f"it is damaged: {error}") from error


def bisect(check: Check, newest: Checkpoint, oldest: uuid.UUID | None = None) -> Line:
    """The first that fails, from the one named `oldest` or the beginning of the line, up to the newest."""
    line = lineage.of(newest.agent_id, newest.pk)
    is_cut = len(line) >= lineage.MOST
    if oldest is not None:
        ids = [step.id for step in line]
        if oldest not in ids:
            raise NotInLine
        line = line[: ids.index(oldest) + 1]
    steps = line[::-1]
    whys: list[str] = []
    rows: dict[uuid.UUID, Checkpoint] = {newest.pk: newest}

    def ask(place: int) -> bool | None:
        found = rows.get(steps[place].id) or queries.of_agent(newest.agent_id, steps[place].id)
        if found is None:  # retention took it meanwhile
            return None
        rows[found.pk] = found
        try:
            return passes(check, found)
        except Unjudged as error:
            whys.append(str(error))
            return None

    found = bisecting.first_bad(len(steps), ask)
    good, bad = (rows[steps[n].id] if n is not None else None for n in (found.good, found.bad))
    is_nowhere = found.ends == "oldest_fails" and bad is not None and _is_nowhere(check, bad, newest)
    return Line(steps, found, good, bad, whys[0] if whys else "", is_cut and oldest is None, is_nowhere)


def _is_nowhere(check: Check, *ends: Checkpoint) -> bool:
    """The place is at neither end: more likely a slip of the pen than a fault as old as the line."""
    is_there = Check(check.path, "exists", where=check.where)
    return check.op != "exists" and not any(passes(is_there, one) for one in ends)


def _as_in(check: Check, checkpoint: Checkpoint) -> bool:
    """By the names of what is stored: nothing of it is loaded, and no secret is guessed at."""
    named = checks.checkpoint_in(check.value)
    other = queries.of_agent(checkpoint.agent_id, named) if named is not None else None
    if other is None:
        raise Unjudged("the checkpoint that it is compared with is not kept")
    mine, its = (_stored(check, one) for one in (checkpoint, other))
    return mine == its


def _stored(check: Check, checkpoint: Checkpoint) -> object:
    if check.where == FILE:
        found = contents.entry(checkpoint, check.path)
        return found.entry if found is not None else None
    path = contents.place(check.path)
    there = contents.item(checkpoint, path) if path is not None else None
    return there[0].content if there is not None else None


def _memory(check: Check, checkpoint: Checkpoint) -> bool:
    path = contents.place(check.path)
    found = contents.item(checkpoint, path) if path is not None else None
    if found is None:
        return checks.passes(check, ABSENT)
    item, walked = found
    if check.op == "exists":
        return True
    fetch = contents.fetching(checkpoint)
    if check.op == "longer" and item.is_container:
        return places.count(item, fetch) > (checks.number(check.value) or 0)
    if item.length > MOST_BYTES:
        raise Unjudged(f"what stands there has {item.length:,} bytes")
    (text,) = places.texts([item], fetch)
    return checks.passes(check, secrets.masked_value(load(text), walked))


def _file(check: Check, checkpoint: Checkpoint) -> bool:
    found = contents.entry(checkpoint, check.path)
    if found is None:
        return checks.passes(check, ABSENT)
    entry = found.entry
    if check.op == "exists":
        return True
    if entry.kind in (SUBDIRECTORY, IN_PLACE):
        raise Unjudged("it is a directory")
    if check.op == "longer":
        return entry.size > (checks.number(check.value) or 0)
    if entry.size > MOST_BYTES:
        raise Unjudged(f"the file has {entry.size:,} bytes")
    try:
        part = contents.data(checkpoint, entry, reveal=False)
    except contents.NotText:
        raise Unjudged("the file is no text") from None
    return checks.passes(check, part.data.decode("utf-8", "replace"))
