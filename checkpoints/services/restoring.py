"""What the agent says of a rollback, and whether it is proven.

    restoring   it has begun; said again, with a reason, when something is in the way and it tries on
    applied     it is done, with the names of what is there now: *verified* only if they are the checkpoint's
    failed      nothing was changed, and why

Each is a conditional update under the instance's lock; said twice, it has the same answer. A rollback that
the agent makes by itself (a failed verdict, healing, `run.rollback()`) has its row made on sight, by its id.
What ends a decision's pause is the receipt or the snapshot that follows, as with every decision; a receipt
before the proof is refused. Whatever lies between the checkpoint and the rollback is condemned.
"""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

import msgspec
from django.db import transaction

from agents import announce
from agents.failpoint import failpoint
from agents.models import Cause, Command, Instance, Kind
from agents.services import entries, epochs, incidents, pauses, settling
from agents.services import restoring as shown
from agents.services.snapshots import text
from checkpoints import blast, proving, queries, store
from checkpoints.diffs import workspace
from checkpoints.models import Checkpoint, HandEdits, Rollback, Standing, Why
from checkpoints.proving import Roots
from checkpoints.services import standing
from checkpoints.services.taking import Name, Writer
from sickbay.tree.node import BadNode

BEGUN = (Rollback.State.ORDERED, Rollback.State.RESTORING)
Line = Annotated[str, msgspec.Meta(max_length=1_024)]
AskedBy = Literal["agent", "verdict"]
COMPARED_AT_MOST = 8 * 1024 * 1024  # bytes of directories
CONDEMNED = "condemned by a rollback"
WRITTEN = "Something still writes there: end that, and roll back again."


class ScopeSaid(msgspec.Struct, frozen=True):
    memory: bool = True
    workspace: bool = True
    paths: Annotated[list[Line], msgspec.Meta(max_length=proving.MOST_PATHS)] | None = None


class Said(msgspec.Struct, frozen=True):
    """One report. `asked_by`, `checkpoint`, `scope` and `reason` are of a rollback that nobody ordered."""

    state: Literal["restoring", "applied", "failed"]
    memory: Name | None = None
    workspace: Name | None = None
    paths: dict[Line, Name | None] | None = None
    why: Annotated[str, msgspec.Meta(max_length=10_000)] = ""
    kept: Annotated[list[Line], msgspec.Meta(max_length=1_000)] = []
    before: uuid.UUID | None = None
    asked_by: AskedBy | None = None
    checkpoint: uuid.UUID | None = None
    scope: ScopeSaid = ScopeSaid()
    reason: Annotated[str, msgspec.Meta(max_length=10_000)] = ""


class EditsSaid(msgspec.Struct, frozen=True):
    """Paths that were changed by hand since the last snapshot, and how many more there are."""

    paths: Annotated[list[Line], msgspec.Meta(max_length=200)]
    more: Annotated[int, msgspec.Meta(ge=0, lt=2**31)] = 0


class Unacceptable(Exception):
    """Not this process's to report, or not reportable now; `name` is for programs."""

    def __init__(
        self, name: Literal["fenced", "taken", "not_taken", "overtaken", "unknown", "no_checkpoint"]
    ) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Ended:
    """How it ended, and why not otherwise."""

    state: Rollback.State
    why: str = ""
    differs: bool = False


def progress(writer: Writer, id: uuid.UUID, process: str, said: Said, now: dt.datetime) -> Rollback:
    """Take one report; the row as it is then."""
    with transaction.atomic():
        instance = epochs.lock(writer.project_id, writer.agent, writer.instance)
        if not epochs.may_obey(instance, writer.epoch):
            raise Unacceptable("fenced")
        row = _found(instance, id, said, now)
        if row.state not in BEGUN:
            return row
        _refuse_others(row, process)
        target = queries.of_agent(row.agent_id, row.checkpoint)
        if target is None:
            raise Unacceptable("no_checkpoint")
        if said.state == "restoring":
            _begin(row, instance, said, now)
        else:
            ended = _judged(row, target, said) if said.state == "applied" else _gave_up(said)
            _end(row, instance, target, said, ended, now)
        announce.changed_agent(row.agent_id, row.project_id)
        failpoint("rollback:told")
    failpoint("rollback:kept")
    return queries.rollbacks().get(pk=row.pk)


@transaction.atomic
def edited(writer: Writer, said: EditsSaid, now: dt.datetime) -> None:
    """What was changed by hand; the newest report replaces the one before."""
    instance = epochs.lock(writer.project_id, writer.agent, writer.instance)
    if not epochs.may_obey(instance, writer.epoch):
        raise Unacceptable("fenced")
    known = {"at": now, "paths": [text(path, 1_024) for path in said.paths], "more": said.more}
    HandEdits.objects.update_or_create(instance=instance, defaults=known)
    announce.changed_agent(instance.agent_id, instance.agent.project_id)


def _found(instance: Instance, id: uuid.UUID, said: Said, now: dt.datetime) -> Rollback:
    row = queries.rollbacks().filter(pk=id).first()
    if row is not None and row.instance_id != instance.pk:
        raise Unacceptable("unknown")
    if row is not None:
        return row
    if said.asked_by is None or said.checkpoint is None:
        raise Unacceptable("unknown")
    target = queries.of_agent(instance.agent_id, said.checkpoint)
    if target is None or target.instance_id != instance.pk:
        raise Unacceptable("no_checkpoint")
    _give_up_on_earlier(instance, now)
    return Rollback.objects.create(
        id=id,
        project_id=target.project_id,
        agent_id=instance.agent_id,
        instance=instance,
        checkpoint=target.pk,
        asked_by=said.asked_by,
        scope=msgspec.to_builtins(said.scope),
        by=instance.agent.name,
        reason=text(said.reason, 500),
        ordered_at=now,
    )


def _give_up_on_earlier(instance: Instance, now: dt.datetime) -> None:
    """The agent's own, whose process died and whose journal is gone: a new one has begun."""
    lost = Rollback.objects.filter(instance=instance, state__in=BEGUN, command=None)
    lost.update(state=Rollback.State.FAILED, ended_at=now, why="its process never said how it ended")


def _refuse_others(row: Rollback, process: str) -> None:
    """A command is reported by the process that took it; what was withdrawn or overtaken by none."""
    command = row.command
    if command is None or command.state == Command.State.DONE:
        return
    if command.state == Command.State.ORDERED:
        raise Unacceptable("not_taken")
    if command.state != Command.State.TAKEN:
        raise Unacceptable("overtaken")
    if command.taken_by != process:
        raise Unacceptable("taken")


def _begin(row: Rollback, instance: Instance, said: Said, now: dt.datetime) -> None:
    """It runs; what is in its way, if anything, is kept as the reason and named in the timeline."""
    rows = Rollback.objects.filter(pk=row.pk, state__in=BEGUN)
    before = said.before or row.before
    why = text(said.why, 1_000)
    rows.update(state=Rollback.State.RESTORING, began_at=row.began_at or now, before=before, why=why)
    if row.command_id is not None:
        shown.begin(instance, now)
    if why and why != row.why:
        _note(row, "restoring", f"The rollback waits: {why}", {"why": why}, now)
        _bump(row, instance)


def _judged(row: Rollback, target: Checkpoint, said: Said) -> Ended:
    """Proven only if what is there now is what the checkpoint has, within the scope."""
    scope = proving.scope_of(row.scope)
    wanted = Roots(_bytes(target.memory), _bytes(target.workspace))
    found = Roots(_name(said.memory), _name(said.workspace), said.paths)
    if scope.paths is not None:
        try:
            wanted = replace(wanted, paths=_entries(target, wanted.workspace, scope.paths))
            if found.paths is None and found.workspace is not None:
                found = replace(found, paths=_entries(target, found.workspace, scope.paths))
        except BadNode as error:
            return Ended(Rollback.State.FAILED, f"the files cannot be compared: {error}", differs=True)
    differs = proving.differences(scope, wanted, found, lambda: _files(target, wanted, found))
    if differs:
        why = f"{'; '.join(differs)}. {WRITTEN}"
        return Ended(Rollback.State.FAILED, why, differs=True)
    return Ended(Rollback.State.VERIFIED)


def _files(target: Checkpoint, wanted: Roots, found: Roots) -> list[bytes]:
    """The paths by which what is there differs; none where the newer tree is not here, or is too large."""

    def fetch(names: list[bytes]) -> dict[bytes, bytes]:
        return store.fetch(target.project_id, names)

    try:
        differing = workspace.compare(wanted.workspace, found.workspace, fetch, most=COMPARED_AT_MOST)
    except BadNode:
        return []
    return [change.path for change in differing.changes]


def _entries(target: Checkpoint, root: bytes | None, paths: tuple[str, ...]) -> dict[str, str | None]:
    """The names of these paths in a workspace of the project; one that was taken after it is there, too."""

    def fetch(names: list[bytes]) -> dict[bytes, bytes]:
        return store.fetch(target.project_id, names)

    return {path: proving.entry_name(proving.entry_at(root, path, fetch)) for path in paths}


def _gave_up(said: Said) -> Ended:
    return Ended(Rollback.State.FAILED, said.why or "the agent did not say why")


def _end(
    row: Rollback, instance: Instance, target: Checkpoint, said: Said, ended: Ended, now: dt.datetime
) -> None:
    began_at = row.began_at or now
    rows = Rollback.objects.filter(pk=row.pk, state__in=BEGUN)
    moved = rows.update(
        state=ended.state, began_at=began_at, ended_at=now, before=said.before or row.before,
        memory=_name(said.memory), workspace=_name(said.workspace), paths=said.paths,
        why=text(ended.why, 1_000), kept=[text(path, 1_024) for path in said.kept],
    )  # fmt: skip
    if not moved:
        return
    failpoint("rollback:ended")
    row.refresh_from_db()
    shown.end(instance, now)
    if ended.state == Rollback.State.VERIFIED:
        _verified(row, target, now)
    else:
        _failed(row, instance, ended, now)
    outcome = "verified" if ended.state == Rollback.State.VERIFIED else "failed"
    _note(row, outcome, _title(row, target, outcome), _body(row), now)
    _bump(row, instance)


def _verified(row: Rollback, target: Checkpoint, now: dt.datetime) -> None:
    """The command may be receipted now, and what the rollback took back is condemned."""
    command = row.command
    if command is not None:
        Command.objects.filter(pk=command.pk).update(payload={**command.payload, "verified": True})
    if not _covers(proving.scope_of(row.scope), target, row):
        return
    _reinstate(row, target)
    lost = blast.between(row.instance_id, target.at, _until(row, target, now))
    by = row.by if row.asked_by == Rollback.AskedBy.HUMAN else f"{row.by} ({row.asked_by})"
    reason = f"{CONDEMNED}: {row.reason}" if row.reason else CONDEMNED
    row.condemned = standing.condemn(ids=lost, agent_id=row.agent_id, by=by, reason=reason, now=now)
    Rollback.objects.filter(pk=row.pk).update(condemned=row.condemned)


def _until(row: Rollback, target: Checkpoint, now: dt.datetime) -> dt.datetime:
    """Up to when checkpoints were taken back: not the one that was taken just after, from the target on."""
    before = queries.of_agent(row.agent_id, row.before) if row.before else None
    if before is not None:
        return before.at
    newest = queries.newest(row.agent_id, row.instance_id)
    if newest is not None and newest.parent == target.pk and newest.why == Why.ROLLBACK:
        return newest.at - dt.timedelta(microseconds=1)
    return row.began_at or now


def _covers(scope: proving.Scope, target: Checkpoint, row: Rollback) -> bool:
    """Whether all that the checkpoint has was put back, as far as it may be."""
    files = scope.workspace or target.workspace is None or row.agent.shared_workspace
    return scope.paths is None and files and (scope.memory or target.memory is None)


def _reinstate(row: Rollback, target: Checkpoint) -> None:
    """Whoever goes back to a bad one on purpose wants the next start to come from there, too."""
    rows = Checkpoint.objects.filter(pk=target.pk, standing__in=(Standing.BAD, Standing.SUSPECT))
    rows.exclude(judged_by=blast.DAMAGE).update(
        standing=Standing.UNPROVEN, proven_by="", tainted=True, judged_by=row.by,
        reason=text(f"rolled back to it: {row.reason}", 500),
    )  # fmt: skip


def _failed(row: Rollback, instance: Instance, ended: Ended, now: dt.datetime) -> None:
    """Whoever decided is asked again. Where nobody did, a state that nobody knows is held still."""
    if row.command is not None:
        settling.refuse(row.command, ended.why, now)
    if not ended.differs or pauses.holding(instance) is not None:
        return
    title = f"the rollback of {instance.agent.name} could not be verified"
    incident = incidents.open_or_join(
        agent=instance.agent, instances=[instance], cause=Cause.DETECTOR, title=title, now=now
    )
    pauses.hold(instance, incident, text(f"{title}: {ended.why}", 500), now)
    pauses.refresh_agent(instance.agent_id, now)


def _bump(row: Rollback, instance: Instance) -> None:
    concerned = set(incidents.concerning(instance).values_list("pk", flat=True))
    for pk in sorted(concerned | ({row.incident} if row.incident is not None else set())):
        incidents.bump(pk)


def _title(row: Rollback, target: Checkpoint, outcome: str) -> str:
    where = f"“{target.label}”" if target.label else f"the checkpoint of {target.at:%H:%M:%S}"
    if outcome == "verified":
        return f"Rolled back to {where}, verified"
    return f"The rollback to {where} failed: {row.why}"


def _body(row: Rollback) -> dict[str, Any]:
    return {
        "checkpoint": row.checkpoint,
        "before": row.before,
        "by": row.by,
        "asked_by": row.asked_by,
        "reason": row.reason,
        "scope": row.scope,
        "kept": row.kept[:100],
        "condemned": row.condemned,
        "why": row.why,
        "incident": row.incident,
    }


def _note(row: Rollback, outcome: str, title: str, body: dict[str, Any], now: dt.datetime) -> None:
    entries.write(
        project_id=row.project_id,
        agent_id=row.agent_id,
        instance_id=row.instance_id,
        at=now,
        kind=Kind.ROLLBACK,
        name="rollback",
        outcome=outcome,
        title=title,
        ref=str(row.pk),
        body={"rollback": row.pk, **body},
        now=now,
    )


def _name(hex: str | None) -> bytes | None:
    return bytes.fromhex(hex) if hex is not None else None


def _bytes(name: bytes | None) -> bytes | None:
    return bytes(name) if name is not None else None
