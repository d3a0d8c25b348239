"""Verifying: every node's name, row and children, every checkpoint's manifest and row, are made again.

What is damaged is named, with the checkpoints that it hurts; those become bad, with the reason, and no human
can call them good. What was repaired from a backup is called unproven again. Nothing is repaired here, and
nothing is deleted.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from agents.models import Agent, Project
from checkpoints import store
from checkpoints.measuring import Read, Shape, read, weighed
from checkpoints.models import Checkpoint, ProvenBy, Standing, Why
from checkpoints.services import standing as standings
from checkpoints.services import taking
from checkpoints.whole import Parts, Wholes, parts_of
from sickbay.tree.node import BadNode, name_of

Roots = Mapping[Any, bytes | memoryview]  # the manifest's name of every checkpoint of the project
PAGE = 200
KEPT_PLAIN = 64


@dataclass
class Found:
    """What was looked at, and what is wrong: nodes by name, checkpoints by id."""

    nodes: int = 0
    checkpoints: int = 0
    damaged_nodes: dict[bytes, str] = field(default_factory=dict)
    damaged: dict[object, str] = field(default_factory=dict)
    named: dict[object, str] = field(default_factory=dict)  # the damaged ones, with agent, time and label
    mended: int = 0

    @property
    def is_whole(self) -> bool:
        return not self.damaged_nodes and not self.damaged


@dataclass
class _Known:
    """A node that was read: its shape, the names that it needs, its base among them."""

    shape: Shape
    needs: frozenset[bytes]
    read: Read


class _Joined:
    """What is right by itself, and may not be so together; judged when all was read."""

    def __init__(self, project_id: int) -> None:
        self._wholes = Wholes(lambda names: store.fetch(project_id, names))
        self._parts: dict[bytes, Parts] = {}

    def keep(self, name: bytes, plain: bytes) -> None:
        self._wholes.know(name, plain)
        parts = parts_of(plain)
        if parts.strings or any(keys.below for keys in parts.objects):
            self._parts[name] = parts

    def wrong(self, known: Set[bytes]) -> dict[bytes, str]:
        """Containers whose parts are not right together, but for those that are known to be hurt."""
        found = {}
        for name in self._parts.keys() - known:
            try:
                self._wholes.judge(self._parts[name], parts_of(None))
            except BadNode as wrong:
                found[name] = str(wrong)
        return found


def verify(project: Project, now: dt.datetime, agent: Agent | None = None) -> Found:
    """All nodes of the project; the checkpoints of one agent or of all."""
    found = Found()
    known: dict[bytes, _Known] = {}
    joined = _Joined(project.pk)
    _read_nodes(project.pk, found, known, joined)
    _read_roots(project.pk, found, known, joined)
    _weigh(found, known)
    hurt = _hurt(found, known, joined)
    roots = dict(Checkpoint.objects.filter(project=project).values_list("pk", "root"))
    rows = Checkpoint.objects.filter(project=project).select_related("dependencies", "agent")
    mended: dict[int, list[uuid.UUID]] = {}
    if agent is not None:
        rows = rows.filter(agent=agent)
    for checkpoint in rows.iterator(chunk_size=PAGE):
        found.checkpoints += 1
        if why := _wrong(checkpoint, roots, known, hurt):
            found.damaged[checkpoint.pk] = why
            found.named[checkpoint.pk] = _named(checkpoint)
            _condemn(checkpoint, why, now)
        elif checkpoint.judged_by == standings.DAMAGE:
            mended.setdefault(checkpoint.agent_id, []).append(checkpoint.pk)
    found.mended = sum(standings.mend(ids=ids, agent_id=agent_id) for agent_id, ids in mended.items())
    return found


def _named(checkpoint: Checkpoint) -> str:
    """As a person knows it."""
    label = f" “{checkpoint.label}”" if checkpoint.label else ""
    return f"of {checkpoint.agent.name}, {checkpoint.at:%Y-%m-%d %H:%M:%S} UTC{label}"


def _read_nodes(project_id: int, found: Found, known: dict[bytes, _Known], joined: _Joined) -> None:
    after = b""
    while rows := store.rows_of(project_id, after, PAGE):
        after = rows[-1].name
        for node in rows:
            found.nodes += 1
            if node.crc != store.crc_of(node):
                found.damaged_nodes[node.name] = "its row was changed"
        plains: OrderedDict[bytes, bytes] = OrderedDict()
        for node in rows:
            _prove(project_id, node, plains, found, known, joined)


def _read_roots(project_id: int, found: Found, known: dict[bytes, _Known], joined: _Joined) -> None:
    """In the order they were taken, so that a base was unpacked just before."""
    rows = Checkpoint.objects.filter(project_id=project_id, root_body__isnull=False).order_by("at", "id")
    ids = rows.values_list("pk", flat=True).iterator(chunk_size=5_000)
    plains: OrderedDict[bytes, bytes] = OrderedDict()
    while page := list(islice(ids, PAGE)):
        for node in store.roots_of(project_id, page):
            found.nodes += 1
            _prove(project_id, node, plains, found, known, joined)


def _prove(
    project_id: int,
    node: store.Stored,
    plains: OrderedDict[bytes, bytes],
    found: Found,
    known: dict[bytes, _Known],
    joined: _Joined,
) -> None:
    """Unpacked, with the name that it should have, and read exactly."""
    try:
        rows = {node.name: node}
        if node.base is not None and node.base not in plains:
            rows = store.chain_of(project_id, [node.base]) | rows
        plain = store.unpacked(node.name, rows, plains)
        known[node.name] = _Known(node.shape, _needs(node, got := read(plain)), got)
        joined.keep(node.name, plain)
    except BadNode as wrong:
        found.damaged_nodes[node.name] = str(wrong)
    while len(plains) > KEPT_PLAIN:
        plains.popitem(last=False)


def _needs(node: store.Stored, got: Read) -> frozenset[bytes]:
    return frozenset([link.name for link in got.links] + ([node.base] if node.base else []))


def _weigh(found: Found, known: dict[bytes, _Known]) -> None:
    """What each row says of its node, against what its children say."""
    shapes = {name: one.shape for name, one in known.items()}
    for name, one in known.items():
        absent = [need for need in one.needs if need not in shapes]
        if absent:
            lost = "damaged" if absent[0] in found.damaged_nodes else "missing"
            found.damaged_nodes.setdefault(name, f"it needs node {absent[0].hex()[:12]}, which is {lost}")
            continue
        try:
            shape, said = weighed(one.read, shapes), one.shape
        except BadNode as wrong:
            found.damaged_nodes.setdefault(name, str(wrong))
            continue
        if shape[:4] != said[:4]:
            found.damaged_nodes.setdefault(name, f"its row says {said[:4]}, and it is {shape[:4]}")


def _hurt(found: Found, known: dict[bytes, _Known], joined: _Joined) -> dict[bytes, str]:
    """Every node that needs a damaged one, however far below, and the sentence.

    Parts that are not right together hurt what stands above them, not what is only told against them.
    """
    hurt = _spread(found.damaged_nodes, {name: one.needs for name, one in known.items()})
    wrong = joined.wrong(hurt.keys())
    found.damaged_nodes.update(wrong)
    return (
        _spread(wrong, {name: {link.name for link in one.read.links} for name, one in known.items()}) | hurt
    )


def _spread(
    damaged: Mapping[bytes, str], needs: Mapping[bytes, frozenset[bytes] | set[bytes]]
) -> dict[bytes, str]:
    hurt = {name: f"node {name.hex()[:12]}: {why}" for name, why in damaged.items()}
    needed_by: dict[bytes, list[bytes]] = {}
    for name, needed in needs.items() if hurt else ():
        for need in needed:
            needed_by.setdefault(need, []).append(name)
    open = list(hurt)
    while open:
        name = open.pop()
        for above in needed_by.get(name, ()):
            if above not in hurt:
                hurt[above] = hurt[name]
                open.append(above)
    return hurt


def _wrong(checkpoint: Checkpoint, roots: Roots, known: dict[bytes, _Known], hurt: dict[bytes, str]) -> str:
    """What is wrong with a checkpoint; nothing, usually."""
    for part in (*_wrong_in_row(checkpoint, roots), *_wrong_below(checkpoint, known, hurt)):
        return part
    return ""


def _wrong_in_row(checkpoint: Checkpoint, roots: Roots) -> Iterator[str]:
    if taking.crc_of(checkpoint) != checkpoint.crc:
        yield "its row was changed"
    if not _is_said_right(checkpoint):
        yield "its row has words that mean nothing"
    if checkpoint.parent is not None and checkpoint.parent not in roots:
        yield "its parent is missing"
    parent = checkpoint.parent_root or roots.get(checkpoint.parent)
    manifest = taking.manifest_of(checkpoint, bytes(parent) if parent is not None else None)
    if name_of(manifest.plain()) != bytes(checkpoint.root):
        yield "its manifest has another name than it should"


def _wrong_below(checkpoint: Checkpoint, known: dict[bytes, _Known], hurt: dict[bytes, str]) -> Iterator[str]:
    for name in (checkpoint.memory, checkpoint.workspace):
        if name is not None and bytes(name) in hurt:
            yield hurt[bytes(name)]
        elif name is not None and bytes(name) not in known:
            yield f"node {bytes(name).hex()[:12]} is missing"
    if checkpoint.memory is not None and bytes(checkpoint.memory) in known:
        shape = known[bytes(checkpoint.memory)].shape
        if (shape.items, shape.length) != (checkpoint.memory_items, checkpoint.memory_length):
            yield "its row says another size of its memory"


def _is_said_right(checkpoint: Checkpoint) -> bool:
    proven = checkpoint.proven_by in ProvenBy.values
    return (
        checkpoint.standing in Standing.values
        and checkpoint.why in Why.values
        and proven is (checkpoint.standing == Standing.GOOD)
    )


def _condemn(checkpoint: Checkpoint, why: str, now: dt.datetime) -> None:
    reason = f"damaged: {why}"
    standings.condemn(
        ids=[checkpoint.pk], agent_id=checkpoint.agent_id, by=standings.DAMAGE, reason=reason, now=now
    )
