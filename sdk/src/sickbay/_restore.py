"""Putting a workspace back to a tree: all of it or nothing, once, whatever dies in between.

    judge    the whole tree is read and its names, links and sizes judged    _target, _names
    compare  with the files on disk; only what differs is touched           _changes
    stage    complete in .sickbay/stage, proven and on the disk              _stage
    plan     written to .sickbay/journal: from here it will be finished      _journal
    redo     renames into place, removals last, then the plan goes           _redo

Until the plan is written the workspace is untouched, and RestoreRefused says why. After it RestoreUnfinished
names what is in the way; `finish`, which the next start calls before anything else, goes on where it stopped.
"""

from __future__ import annotations

import os
import re
import stat
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from sickbay import _journal, _names, _place, _redo, _stage, _target
from sickbay._below import READ, Below, removed_tree
from sickbay._changes import Changes, Comparison, Known, LeavesOut, Scope, outside_of
from sickbay._errors import BadArgument, RestoreRefused, RestoreUnfinished
from sickbay._failpoints import failpoint
from sickbay._journal import DROP, PUT, Plan, is_pending
from sickbay._names import shown
from sickbay._place import Place
from sickbay._redo import Redo
from sickbay._stage import ASIDE, Stage
from sickbay._target import Limits, Target
from sickbay.tree.directory import EXECUTABLE, PLAIN_FILE
from sickbay.tree.node import BadNode
from sickbay.tree.read import Fetch, data_of

Rules = Callable[[bytes], LeavesOut]
RULES_FILE, RULES_LIMIT = b".sickbayignore", 256 * 1024
ID = re.compile(r"[A-Za-z0-9-]{1,64}")
__all__ = [
    "Limits",
    "Outlook",
    "Restored",
    "finish",
    "foresee",
    "is_pending",
    "mark_of",
    "outside_of",
    "restore",
]
PER_FILE = 8_192  # bytes of disk that a file takes beyond its own, at most


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. Paths are as they may be shown; `aside` is where `kept` lies, None when nothing is.

    `stays` is what snapshots leave out and was not touched. `called_out`: (path, why) of what came back that
    runs code or steers agents. `rules`: for the snapshot that proves it, what `.sickbayignore` says now, and
    the directories that are not the tree's and stay only for the sake of what is left out in them.
    """

    id: str
    root: bytes
    written: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    stays: tuple[str, ...]
    called_out: tuple[tuple[str, str], ...]
    aside: Path | None
    rules: bytes


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a restore would do, for whoever must agree to it."""

    written: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    stays: tuple[str, ...]
    called_out: tuple[tuple[str, str], ...]
    bytes: int


def restore(
    workspace: Path,
    root: bytes,
    fetch: Fetch,
    *,
    id: str | None = None,
    current: Known | None = None,
    rules: Rules | None = None,
    scope: Iterable[str | bytes] | None = None,
    mark: str | None = None,
    keep_aside: bool = True,
    limits: Limits | None = None,
) -> Restored:
    """Make the files of a workspace those of a tree.

    Args:
        id: of the rollback; names the stage and what is kept aside.
        current: the directory as the last snapshot read it; None: whatever differs is kept aside.
        rules: given the text of `.sickbayignore`, answers which paths snapshots leave out.
        scope: paths that are restored, with what is below them; None: all.
        mark: of the workspace that is expected (`mark_of`); another one is refused.
        keep_aside: whether what no snapshot has goes aside before it is replaced.

    Raises RestoreRefused with nothing changed, or RestoreUnfinished with the plan in the journal.
    """
    order = _Order(_checked(id), root, fetch, current, rules, Scope(scope), keep_aside, limits or Limits())
    with _place.held(workspace, mark) as place:
        stuck = _settled(place, fetch)
        try:
            plan, stage = _prepared(place, order)
        except (OSError, BadNode, RestoreRefused) as error:
            raise stuck or _refused(error, workspace) from error
        failpoint("restore:after_plan")
        _redone(place, plan, stage, proven=True)
        return _restored(place, plan)


def foresee(
    workspace: Path,
    root: bytes,
    fetch: Fetch,
    *,
    current: Known | None = None,
    rules: Rules | None = None,
    scope: Iterable[str | bytes] | None = None,
    limits: Limits | None = None,
) -> Outlook:
    """What `restore` would do now; refuses what it would refuse."""
    order = _Order("", root, fetch, current, rules, Scope(scope), False, limits or Limits())
    with _place.held(workspace) as place:
        try:
            _, changes = _compared(place, order)
        except (OSError, BadNode) as error:
            raise _refused(error, workspace) from error
        return Outlook(
            _paths(step.path for step in changes.puts),
            _paths(step.path for step in changes.steps if step.op == DROP),
            _paths(changes.kept),
            _paths(changes.stays),
            tuple(changes.called_out),
            changes.bytes,
        )


def finish(workspace: Path, fetch: Fetch | None = None, *, mark: str | None = None) -> Restored | None:
    """Finish the restore that has begun here, if there is one. To be called before anything else.

    `fetch` brings back what was staged and is damaged; without it that is said and stays.
    """
    if mark is None and not is_pending(workspace):
        return None
    with _place.held(workspace, mark) as place:
        plan = _journal.read(place)
        if plan is None:
            _stage.cleared(place)
            return None
        return _finished(place, plan, fetch)


def mark_of(workspace: Path) -> str:
    """The mark of a workspace, made the first time; `restore` and `finish` refuse another one's."""
    with _place.held(workspace) as place:
        return place.marked()


@dataclass(frozen=True, slots=True)
class _Order:
    """What was asked for."""

    id: str
    root: bytes
    fetch: Fetch
    current: Known | None
    rules: Rules | None
    scope: Scope
    keep_aside: bool
    limits: Limits


def _settled(place: Place, fetch: Fetch) -> RestoreUnfinished | None:
    """What an earlier restore began is finished; what it only prepared goes.

    Where it cannot be finished, the restore that is asked for may replace it, since it compares every file
    anew; until its own plan is written the earlier one stays as it is.
    """
    try:
        plan = _journal.read(place)
        if plan is not None:
            _finished(place, plan, fetch)
        _stage.cleared(place)
        removed_tree(_journal.NEW, place.own_fd)
    except RestoreUnfinished as stuck:
        return stuck
    except OSError as error:
        raise _refused(error, place.workspace) from error
    return None


def _finished(place: Place, plan: Plan, fetch: Fetch | None) -> Restored:
    try:
        stage = Stage(place, plan.stage, fetch)
        _redone(place, plan, stage, proven=False)
    except (OSError, BadNode) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise RestoreUnfinished(f"the restore of {place.workspace} cannot go on: {said}") from error
    return _restored(place, plan)


def _redone(place: Place, plan: Plan, stage: Stage, *, proven: bool) -> None:
    try:
        Redo(place, plan, stage, proven=proven).run()
    except (OSError, BadNode) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise RestoreUnfinished(f"the restore of {place.workspace} cannot go on: {said}") from error
    finally:
        stage.close()


def _prepared(place: Place, order: _Order) -> tuple[Plan, Stage]:
    """Everything up to the plan. Whatever goes wrong, nothing of it is left."""
    stage = Stage(place, f"{order.id}.{uuid.uuid4().hex[:8]}", order.fetch)
    try:
        folding, changes = _compared(place, order)
        _has_room(place, changes)
        failpoint("restore:compared")
        stage.fill(changes.puts, changes.modes)
        _keep(place, stage, changes.kept if order.keep_aside else [])
        failpoint("restore:staged")
        stage.flush(changes.puts)
        failpoint("restore:stage_flushed")
        aside, folds = _free_aside(place, order.id), folding.case or folding.form
        plan = Plan(
            order.id, order.root, stage.name, aside, folds, changes.steps, changes.stays, changes.hollow
        )
        _journal.write(place, plan)
    except BaseException:
        stage.close()
        if not _journal.names(place, stage.name):
            stage.remove(place)
        raise
    finally:
        place.files.close()
    return plan, stage


def _compared(place: Place, order: _Order) -> tuple[_names.Folding, Changes]:
    folding = _names.probed(place.own_fd)
    target = _target.read(order.root, order.fetch, folding, order.limits)
    leaves_out = _leaves_out(place, target, order)
    comparison = Comparison(place, target, folding=folding, leaves_out=leaves_out, scope=order.scope)
    return folding, comparison.run(order.current)


def _leaves_out(place: Place, target: Target, order: _Order) -> LeavesOut:
    """The rules as they will be once the target is there, since the next snapshot goes by them."""
    rules = order.rules
    if rules is None:
        return lambda path, found: False
    if not order.scope.covers(RULES_FILE):
        return rules(_rules_on_disk(place))
    for entry in target.top:
        is_rules = entry.filename == RULES_FILE and entry.kind in (PLAIN_FILE, EXECUTABLE)
        if is_rules and entry.size <= RULES_LIMIT:
            return rules(data_of(entry.name, order.fetch, entry.size))
    return rules(b"")


def _rules_on_disk(place: Place) -> bytes:
    try:
        with open(os.open(RULES_FILE, READ, dir_fd=place.fd), "rb") as file:
            return file.read(RULES_LIMIT)
    except OSError:
        return b""


def _has_room(place: Place, changes: Changes) -> None:
    room = os.fstatvfs(place.own_fd)
    free, needed = room.f_bavail * room.f_frsize, changes.bytes + PER_FILE * len(changes.puts)
    if room.f_blocks and needed > free:
        raise RestoreRefused(
            f"the disk of {place.workspace} is too full: {needed:,} bytes are needed, {free:,} are free; "
            "nothing was restored",
            what_to_do="make room and roll back again",
        )


def _keep(place: Place, stage: Stage, paths: list[bytes]) -> None:
    to = Below(stage.fd)
    try:
        for path in paths:
            head, _, name = path.rpartition(b"/")
            directory = to.directory(ASIDE + (b"/" + head if head else b""), make=True)
            _redo.kept(place.files, path, directory, name)
    finally:
        to.close()


def _free_aside(place: Place, id: str) -> str:
    there = place.own.stat(ASIDE)
    if there is not None and not stat.S_ISDIR(there.st_mode):
        raise RestoreRefused("is in the way of what is kept aside", path=".sickbay/aside")
    names = [id, *(f"{id}-{number}" for number in range(2, 1_000))]
    return next(name for name in names if place.own.stat(ASIDE + b"/" + name.encode()) is None)


def _restored(place: Place, plan: Plan) -> Restored:
    kept = _redo.listed(place, plan.aside)
    put = {step.path for step in plan.of(PUT)}
    return Restored(
        plan.id,
        plan.root,
        _paths(step.path for step in plan.of(PUT)),
        _paths(step.path for step in plan.of(DROP) if step.path not in put),
        _paths(kept),
        _paths(plan.stays),
        tuple((shown(path, 0), why) for path in sorted(put) if (why := _names.steers(path))),
        place.workspace / ".sickbay" / "aside" / plan.aside if kept else None,
        b"\n".join([_rules_on_disk(place), *map(_rule_of, plan.hollow)]),
    )


def _rule_of(directory: bytes) -> bytes:
    """The line of `.sickbayignore` that means this directory and nothing else."""
    return b"/" + re.sub(rb"([\\*?\[\]! #])", rb"\\\1", directory) + b"/"


def _paths(paths: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(shown(path, 0) for path in sorted(paths))


def _checked(id: str | None) -> str:
    if id is not None and not ID.fullmatch(id):
        raise BadArgument(f"{id!r:.80} cannot name a restore: letters, digits and dashes, at most 64")
    return id or uuid.uuid4().hex


def _refused(error: Exception, workspace: Path) -> RestoreRefused:
    if isinstance(error, RestoreRefused):
        return error
    said = error.strerror or str(error) if isinstance(error, OSError) else str(error)
    return RestoreRefused(f"{workspace} was not restored, and nothing in it was changed: {said}")
