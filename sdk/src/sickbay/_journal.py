"""The plan of a restore, written before the first change and kept until the last one is on the disk.

    sickbay journal 1 <sha256 of the rest>
    {"id", "root", "stage", "aside", "folds", "stays", "hollow",
     "steps": [[op, path, seen, number, kind, size, node, target], …]}

It appears by a rename, after an fsync: a torn one is never under its name, so it is no plan. One that is
damaged under its name may have begun; nobody can say, so it is not passed over but said.

Steps, in their order; each may be done again without harm:

    away    what is in the way and belongs to no checkpoint goes aside as it is
    drop    a file or link goes        hollow  a directory goes if nothing is left in it
    make    a directory is made        put     a staged file or link is renamed into its place
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from sickbay import _place
from sickbay._below import READ, Seen
from sickbay._errors import RestoreUnfinished
from sickbay._failpoints import failpoint
from sickbay._names import OWN
from sickbay._place import Place

NAME, NEW = b"journal", b"journal.new"
_HEAD = b"sickbay journal 1 "
AWAY, DROP, HOLLOW, MAKE, PUT = "away", "drop", "hollow", "make", "put"


class Step(NamedTuple):
    """One change. `seen`: what stood there when it was planned; `number`: the staged file; `node`: its name
    in the tree; `target`: where a link leads."""

    op: str
    path: bytes
    seen: Seen | None = None
    number: int = -1
    kind: int = 0
    size: int = 0
    node: bytes = b""
    target: bytes = b""


@dataclass(slots=True)
class Plan:
    """What a restore will do. `stage` and `aside` are names of directories; `folds`: the file system takes
    several names for one; `stays`: what snapshots leave out; `hollow`: directories that stay for its sake."""

    id: str
    root: bytes
    stage: str
    aside: str
    folds: bool
    steps: list[Step] = field(default_factory=list)
    stays: list[bytes] = field(default_factory=list)
    hollow: list[bytes] = field(default_factory=list)

    def of(self, *ops: str) -> list[Step]:
        return [step for step in self.steps if step.op in ops]


def write(place: Place, plan: Plan) -> None:
    """From here on the restore will be finished, whatever happens."""
    body = orjson.dumps(_said(plan))
    _place.written(NEW, _HEAD + hashlib.sha256(body).hexdigest().encode() + b"\n" + body, place.own_fd)
    failpoint("restore:plan_staged")
    os.fsync(place.fd)
    os.rename(NEW, NAME, src_dir_fd=place.own_fd, dst_dir_fd=place.own_fd)
    try:
        os.fsync(place.own_fd)
    except OSError as error:
        raise RestoreUnfinished(f"the plan may not be on the disk ({error.strerror})") from error


def names(place: Place, stage: str) -> bool:
    """Whether the plan that has begun needs this stage; a damaged plan may need any."""
    try:
        plan = read(place)
    except (OSError, RestoreUnfinished):
        return True
    return plan is not None and plan.stage == stage


def read(place: Place) -> Plan | None:
    """The plan that has begun; None when there is none."""
    try:
        fd = os.open(NAME, READ, dir_fd=place.own_fd)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        head, _, body = file.read().partition(b"\n")
    if head != _HEAD + hashlib.sha256(body).hexdigest().encode():
        raise RestoreUnfinished(
            "is damaged, so nobody can say how far the restore came",
            path=".sickbay/journal",
            what_to_do="roll back again, to this checkpoint or another",
        )
    return _read(orjson.loads(body))


def remove(place: Place) -> None:
    """Every change is on the disk: the restore is over."""
    os.unlink(NAME, dir_fd=place.own_fd)
    with contextlib.suppress(
        OSError
    ):  # it is gone for every reader; only a loss of power could bring it back
        os.fsync(place.own_fd)


def is_pending(workspace: Path) -> bool:
    """Whether a restore has begun in this workspace and must be finished before anything else."""
    return os.path.lexists(workspace / os.fsdecode(OWN) / os.fsdecode(NAME))


def _said(plan: Plan) -> dict[str, Any]:
    return {
        "id": plan.id,
        "root": plan.root.hex(),
        "stage": plan.stage,
        "aside": plan.aside,
        "folds": plan.folds,
        "stays": [_text(path) for path in plan.stays],
        "hollow": [_text(path) for path in plan.hollow],
        "steps": [
            [s.op, _text(s.path), s.seen, s.number, s.kind, s.size, s.node.hex(), _text(s.target)]
            for s in plan.steps
        ],
    }


def _read(said: dict[str, Any]) -> Plan:
    steps = [
        Step(
            op,
            _bytes(path),
            tuple(seen) if seen else None,
            number,
            kind,
            size,
            bytes.fromhex(node),
            _bytes(target),
        )
        for op, path, seen, number, kind, size, node, target in said["steps"]
    ]
    root = bytes.fromhex(said["root"])
    stays, hollow = ([_bytes(path) for path in said[key]] for key in ("stays", "hollow"))
    return Plan(said["id"], root, said["stage"], said["aside"], said["folds"], steps, stays, hollow)


def _text(path: bytes) -> str:
    """Any bytes as text of JSON; what is UTF-8 stays legible."""
    try:
        return "=" + path.decode()
    except UnicodeDecodeError:
        return "x" + path.hex()


def _bytes(text: str) -> bytes:
    return text[1:].encode() if text[0] == "=" else bytes.fromhex(text[1:])
