"""Taking a checkpoint: everything of it is stored in one transaction, or nothing.

    lock the instance, hold the project ─▶ what was there before, fence the writer ─▶ records admitted and
    added ─▶ standing ─▶ the row, with the memory's root in it, and one entry in the timeline, announced after
    commit

The id is the client's: the same again has the same answer. Only what is committed here can be listed; nodes
that came in requests before wait under a lease, for an hour after the last.
"""

from __future__ import annotations

import datetime as dt
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from django.db import connection, transaction

from agents import announce
from agents.failpoint import failpoint
from agents.models import Instance, Kind
from agents.services import entries, epochs, incidents, rows, snapshots
from agents.services.lines import Hex32, Time
from checkpoints import queries, store
from checkpoints.measuring import ROOTS, Shape, TooMuch
from checkpoints.models import Checkpoint, Dependencies, Lease, Standing, Why
from checkpoints.services import admitting, dating, watches
from checkpoints.services import standing as standings
from sickbay.tree.manifest import Manifest
from sickbay.tree.node import BadNode, name_of
from sickbay.tree.read import MOST_TEXT
from sickbay.tree.record import Record

LEASE = dt.timedelta(hours=1)
MICROSECOND = dt.timedelta(microseconds=1)
# What a pause itself leaves behind, a moment later: nobody was shown anything that it changes.
STANDING_STILL = (Why.PAUSE, Why.END)
MOST_COUNTED = 32_767
NO_LEASE = "DELETE FROM checkpoints_lease WHERE project_id = %s AND upload = %s"
NODE_NAME = msgspec.Meta(pattern=r"^[0-9a-f]{64}$")
Name = Annotated[str, NODE_NAME]
Text = Annotated[str, msgspec.Meta(max_length=200)]
Count = Annotated[int, msgspec.Meta(ge=0, lt=2**62)]


class VerdictsSaid(msgspec.Struct, frozen=True, rename={"passed": "pass", "failed": "fail"}):
    passed: Count = 0
    failed: Count = 0
    unknown: Count = 0


class FactsSaid(msgspec.Struct, frozen=True):
    """What happened since the checkpoint before; `failing`: a counted failure is open.

    `moving`: files that went on changing while it was taken, so that it is not of one moment.
    """

    failing: bool = False
    verdicts: VerdictsSaid = VerdictsSaid()
    actions: Count = 0
    unverified: Count = 0
    checks: Count = 0
    resumed: bool = False
    moving: Annotated[list[Text], msgspec.Meta(max_length=20)] = []


class ManifestSaid(msgspec.Struct, frozen=True):
    memory: Name | None = None
    workspace: Name | None = None
    code: Text = ""
    sdk: Text = ""
    model: Text = ""
    tools: Text = ""


class Header(msgspec.Struct, frozen=True):
    """Line 1 of a checkpoint."""

    id: Hex32
    run: Hex32
    at: Time
    sent_at: Time
    why: Literal["asked", "every", "effect", "rollback", "start", "end", "pause", "judged"]
    manifest: ManifestSaid
    label: Text | None = None
    parent: uuid.UUID | None = None
    memory_length: Count = 0
    act: Count = 0
    last_action: Text | None = None
    seq: Count | None = None
    facts: FactsSaid = FactsSaid()
    notes: Annotated[list[Annotated[str, msgspec.Meta(max_length=1000)]], msgspec.Meta(max_length=20)] = []


class Fenced(Exception):
    """A newer process of this instance has started."""


class Conflict(Exception):
    """This id has another checkpoint."""


@dataclass(frozen=True)
class Writer:
    """Who sends, as its request says."""

    project_id: int
    agent: str
    instance: str
    epoch: int


def missing(writer: Writer, names: Sequence[bytes]) -> list[bytes]:
    """Which of these nodes the project has not."""
    epochs.find(writer.project_id, writer.agent, writer.instance)
    return store.missing(writer.project_id, names)


def stage(writer: Writer, *, upload: uuid.UUID, records: list[Record], now: dt.datetime) -> int:
    """Part of an upload: its nodes are kept for an hour, as are those that were sent before."""
    _refuse_fenced(epochs.find(writer.project_id, writer.agent, writer.instance), writer)
    with transaction.atomic():
        store.hold(writer.project_id)
        admitted = admitting.admit(writer.project_id, records)
        stored = store.add(writer.project_id, admitted.nodes)
        admitting.judge(writer.project_id, admitted)
        failpoint("uploading:added")
        leased = Lease.objects.filter(project_id=writer.project_id, upload=upload)
        leased.update(until=now + LEASE)
        names = b"".join(sorted({record.name for record in records}))
        Lease.objects.create(project_id=writer.project_id, upload=upload, until=now + LEASE, names=names)
    failpoint("uploading:kept")
    return stored


def take(writer: Writer, *, header: Header, records: list[Record], now: dt.datetime) -> Checkpoint:
    """The checkpoint, stored now or, with the same id, before."""
    memory, workspace = _name(header.manifest.memory), _name(header.manifest.workspace)
    with transaction.atomic():
        held = store.holding(writer.project_id)
        instance = epochs.lock(writer.project_id, writer.agent, writer.instance, held)
        who = instance, uuid.UUID(header.id), header.parent
        asked = admitting.asking(writer.project_id, records, memory, workspace)
        told = dating.asking(instance, header.run, header.seq)
        before, when, *looked = rows.several(queries.asking_earlier(*who), told, *asked)
        earlier = queries.earlier_in(before, *who)
        if earlier.same is not None:
            return _repeated(earlier.same, instance, memory, workspace)
        _refuse_fenced(instance, writer)
        known = admitting.Looked.of(records, *looked)
        admitted = admitting.admit_looked(writer.project_id, records, known, memory=memory)
        store.add(writer.project_id, admitted.nodes)
        admitting.judge(writer.project_id, admitted)
        failpoint("taking:added")
        _are_roots(memory, workspace, admitted.known)
        at = dating.dated(header.at, header.sent_at, when, now)
        found = _row(header, instance, memory, workspace, earlier, admitted, at, now)
        _write(found, instance, now)
        failpoint("taking:told")
    failpoint("taking:kept")
    return found


def _refuse_fenced(instance: Instance, writer: Writer) -> None:
    if epochs.is_fenced(instance, writer.epoch):
        raise Fenced


def _repeated(
    known: Checkpoint, instance: Instance, memory: bytes | None, workspace: bytes | None
) -> Checkpoint:
    """The first time wins; what a repeat brought besides is not kept."""
    same = known.instance_id == instance.pk and known.memory == memory and known.workspace == workspace
    if not same:
        raise Conflict
    return known


def _are_roots(memory: bytes | None, workspace: bytes | None, known: dict[bytes, Shape]) -> None:
    """Memory and workspace are there, and are what they should be."""
    wanted = [name for name in (memory, workspace) if name is not None]
    if absent := [name for name in wanted if name not in known]:
        raise admitting.Missing(absent)
    if memory is not None and known[memory].kind not in ROOTS:
        raise BadNode("the manifest's memory is no memory")
    if memory is not None and known[memory].length > MOST_TEXT:
        raise TooMuch(f"a memory of {known[memory].length:,} bytes; at most {MOST_TEXT:,} can be put back")
    if workspace is not None and known[workspace].kind != b"D ":
        raise BadNode("the manifest's workspace is no directory")


def _row(
    header: Header,
    instance: Instance,
    memory: bytes | None,
    workspace: bytes | None,
    earlier: queries.Earlier,
    admitted: admitting.Admitted,
    at: dt.datetime,
    now: dt.datetime,
) -> Checkpoint:
    """The row, with all that is derived from the rows before it.

    A parent that retention has dropped, or that is not this agent's, is none: the history begins anew.
    """
    _, parent, newest = earlier
    shapes = admitted.known
    facts = header.facts
    found = Checkpoint(
        id=uuid.UUID(header.id), run_id=uuid.UUID(header.run), project_id=instance.agent.project_id,
        agent_id=instance.agent_id, instance=instance, received_at=now,
        at=max(at, newest.at + MICROSECOND) if newest is not None else at,
        parent=parent.pk if parent else None, dependencies=_dependencies(header, instance, newest),
        memory=memory, workspace=workspace, act=header.act, why=header.why,
        label=snapshots.text(header.label, 200), last_action=snapshots.text(header.last_action, 200),
        notes=[snapshots.text(note, 1000) for note in header.notes] or None,
        failing=facts.failing, passes=_counted(facts.verdicts.passed), fails=_counted(facts.verdicts.failed),
        unknowns=_counted(facts.verdicts.unknown), actions=_counted(facts.actions),
        unverified=_counted(facts.unverified), checks=_counted(facts.checks),
        moving=[snapshots.text(path, 200) for path in facts.moving] or None,
    )  # fmt: skip
    if memory is not None:
        found.memory_items, found.memory_length = shapes[memory].items, shapes[memory].length
    if workspace is not None:
        found.files, found.bytes = shapes[workspace].items, shapes[workspace].length
    _put_root(found, admitted)
    standings.on_arrival(found, parent, is_first=newest is None, resumed=facts.resumed)
    found.root = name_of(manifest_of(found, parent.root if parent else None).plain())
    found.crc = crc_of(found)
    return found


def _put_root(found: Checkpoint, admitted: admitting.Admitted) -> None:
    root = admitted.root
    if root is None:
        return
    found.root_body, found.root_base, found.root_chain = root.body, root.base, admitted.chain
    found.root_enc, found.root_depth, found.root_kind = root.enc, root.depth, root.kind
    found.root_plain, found.root_height = root.plain, root.height


def _dependencies(header: Header, instance: Instance, newest: Checkpoint | None) -> Dependencies:
    said = header.manifest
    texts = {key: snapshots.text(getattr(said, key), 200) for key in ("code", "sdk", "model", "tools")}
    if newest is not None and all(getattr(newest.dependencies, key) == text for key, text in texts.items()):
        return newest.dependencies
    return Dependencies.objects.get_or_create(None, project_id=instance.agent.project_id, **texts)[0]


def manifest_of(found: Checkpoint, parent_root: bytes | None) -> Manifest:
    """What the name `root` stands for."""
    by = found.dependencies
    return Manifest(
        memory=found.memory,
        workspace=found.workspace,
        code=by.code,
        sdk=by.sdk,
        model=by.model,
        tools=by.tools,
        parent=parent_root,
    )


def crc_of(found: Checkpoint) -> int:
    """Covers what is never changed after the row was written; one flipped bit is always found."""
    said = (
        found.pk, found.run_id, found.at.timestamp(), found.received_at.timestamp(), found.project_id,
        found.agent_id, found.instance_id, found.dependencies_id, found.memory_length, found.bytes,
        found.act, found.memory_items, found.files, found.failing, found.passes, found.fails, found.unknowns,
        found.actions, found.unverified, found.checks, found.why, found.label, found.last_action,
        found.root_enc, found.root_depth, found.root_kind, found.root_plain, found.root_height,
        found.root_chain, found.notes,
        *(bytes(part or b"") for part in (found.root, found.memory, found.workspace, found.root_base)),
        *([found.moving] if found.moving else ()),
    )  # fmt: skip
    value = zlib.crc32(found.root_body or b"", zlib.crc32(repr(said).encode("utf-8", "backslashreplace")))
    return value - (1 << 32) if value >= 1 << 31 else value


def _write(found: Checkpoint, instance: Instance, now: dt.datetime) -> None:
    """The row and one line in the timeline; whoever decides is shown another checkpoint than before."""
    said = [rows.inserting(found), (NO_LEASE, [found.project_id, found.pk])]
    if found.standing == Standing.GOOD:
        said.append(standings.calling_good(found))
    said.append(watches.queueing(found))
    *_, concerned = rows.several(*said, _entry(found, instance, now), incidents.asking_concerning(instance))
    found._state.adding, found._state.db = False, connection.alias
    failpoint("taking:row")
    if found.standing == Standing.GOOD or found.why not in STANDING_STILL:
        for (pk,) in concerned:
            incidents.bump(pk)
    announce.changed_agent(found.agent_id, found.project_id)


def _entry(found: Checkpoint, instance: Instance, now: dt.datetime) -> rows.Statement:
    title = f"Checkpoint “{found.label}”" if found.label else "Checkpoint"
    return entries.writing(
        project_id=found.project_id,
        agent_id=found.agent_id,
        instance_id=instance.pk,
        at=found.at,
        kind=Kind.CHECKPOINT,
        name=found.label or found.why,
        outcome=found.standing,
        title=title,
        ref=str(found.pk),
        body={"checkpoint": found.pk, "why": found.why, "act": found.act, "standing": found.standing},
        now=now,
    )


def _name(text: str | None) -> bytes | None:
    return bytes.fromhex(text) if text else None


def _counted(number: int) -> int:
    return min(number, MOST_COUNTED)
