"""Taking checkpoints: one moment of memory and workspace, on disk before anybody waits for it.

    checks    the agent's own state checks; one that fails is a failure of the name `check`
    moment    the memory's text, and what happened since the last one, on the caller's thread
    grow      text and directory become trees; what is new is a record              (tree.grow, _workspace)
    pack      header and records in one file, a line in the index; the sender does the rest   (_packs, _shelf)

When none can be taken, the agent goes on and a signal says why, once until it works again. The next one after
a loss holds everything, so that it stands by itself.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sickbay import _standing
from sickbay._checkpoint import Checkpoint
from sickbay._checks import Checks
from sickbay._dependencies import dependencies
from sickbay._errors import BadArgument, SickbayError
from sickbay._flow import Blocking, Flow
from sickbay._guard import harmless, log
from sickbay._last_memory import LastMemory
from sickbay._mind import Mind, NoMemory
from sickbay._moment import Moment
from sickbay._packs import Packs, PacksFull
from sickbay._shelf import Shelf, Taken
from sickbay._standing import Facts

if TYPE_CHECKING:
    from pathlib import Path

    from sickbay._arguments import Arguments
    from sickbay._home import Home
    from sickbay._ledger import Ledger
    from sickbay._nodes import Nodes
    from sickbay._workspace import Snapshot, Workspace
    from sickbay.tree.grow import New, Tree
    from sickbay.tree.record import Record

CONTAINER = b"C"
TEXTS_KEPT = 64 * 1024 * 1024  # bytes of the texts of known good memories that stay at hand


class Keeper:
    """The checkpoints of one life. `taking` is a flow; everything else is safe among threads."""

    def __init__(
        self,
        given: Arguments,
        home: Home,
        ledger: Ledger,
        mind: Mind,
        checks: list[Callable[[], Any]],
        tools: Mapping[str, str],
        *,
        run: str,
    ) -> None:
        self.mind, self.home, self.ledger = mind, home, ledger
        self.directory: Path = home.directory / "checkpoints"
        self.packs = Packs(self.directory)
        self.shelf = Shelf(self.directory / "index.ndjson")
        self.facts = Facts()
        self._last = LastMemory(self.directory / "memory")
        self.workspace: Workspace | None = None
        self.snapshot: Snapshot | None = None
        self.parent: str | None = None
        self.run = run
        self.wake: Callable[[], None] = lambda: None
        self._given, self._tools, self._clock = given, tools, home.clock
        self._checks = Checks(checks, self.facts, ledger, home.clock)
        self._every, self._due = given.checkpoint_every.total_seconds(), float("inf")
        self._stateful = given.workspace is not None or given.has_memory
        self._lock = threading.RLock()
        self._tree: Tree | None = None
        self._plains: dict[bytes, bytes] = {}
        self._texts: dict[str, bytes] = {}
        self._again: tuple[bytes, dict[bytes, New]] = (b"", {})
        self._since: float | None = None  # of the last one, while none can be taken
        self._why = ""
        if given.workspace is not None:
            from sickbay._workspace import Workspace

            _made(given.workspace)
            self.workspace = Workspace(given.workspace, home=home.directory)

    # — when —

    @cached_property
    def nodes(self) -> Nodes:
        """Where nodes are found again."""
        from sickbay._nodes import Nodes

        return Nodes(self)

    @property
    def has_state(self) -> bool:
        """An agent that declares neither memory nor workspace, and has none, needs no checkpoints."""
        return self._stateful or bool(self.mind)

    @property
    def shares_files(self) -> bool:
        """Others write into the workspace as well, so no rollback touches it."""
        return self._given.shared_workspace

    def is_due(self) -> bool:
        return self._clock.boot() >= self._due and self.has_state

    def begin(self) -> None:
        self._due = self._clock.boot() + self._every

    def failed(self) -> None:
        """A failure is about to be counted: what was proven by time before it, is."""
        self.shelf.soaked(self.facts, self._clock.boot())
        self.facts.ever_failed += 1

    # — taking —

    def taking(
        self, why: str, label: str | None = None, *, sync: bool = False, restored: bool = False
    ) -> Flow[Checkpoint]:
        """Take one. What stands in the way is said and is no exception.

        `restored`: the state is that of an earlier one, from before whatever fails now.
        """
        self._due = self._clock.boot() + self._every
        if not restored and why != "rollback":  # what is left behind is not judged, and so not counted
            yield from self._checks.run()
        moment = self._moment(why, label, failing=bool(self.ledger.data.account.streak) and not restored)
        taken: Taken | None = None
        if moment is not None:
            held = moment
            taken = yield Blocking(lambda: self._kept(held, sync))
        if taken is None:
            return Checkpoint("", "refused", label, self._clock.wall(), self._why)
        return Checkpoint(taken.id, taken.standing, label, taken.at)

    def _moment(self, why: str, label: str | None, *, failing: bool) -> Moment | None:
        since = self.mind.editing.since()
        try:
            text = self.mind.text()
        except Exception as error:  # save() is the host's, and may raise anything
            self._refused(_said(error))
            return None
        with self.ledger.lock:
            facts = self.facts
            self.shelf.soaked(facts, self._clock.boot())
            wire, parent = facts.wire(failing), self.shelf.get(self.parent)
            if parent is not None and _standing.was_resumed(self.ledger.data.settled, parent.at):
                wire["resumed"] = True
            moment = Moment(
                why,
                label,
                self._clock.wall(),
                text,
                wire,
                facts.act,
                facts.last_action,
                self.home.spool.seq,
                since,
            )
            facts.begin_anew()
        return moment

    def _kept(self, moment: Moment, sync: bool) -> Taken | None:
        """From a moment to a pack; None when that failed, which has been said."""
        from sickbay._folder import WorkspaceRefused
        from sickbay.tree.grow import TooLarge

        with ExitStack() as edits:
            try:
                if self.workspace is not None:  # Who edits may take one meanwhile: their lock comes first.
                    moment.text = edits.enter_context(self.mind.with_files(moment.text, moment.since))
                with self._lock:
                    taken = self._packed(moment, sync, edits)
            except (PacksFull, WorkspaceRefused, TooLarge, NoMemory, OSError) as error:
                self._refused(_said(error))
            except Exception as error:
                log.exception("sickbay: a bug of ours while taking a checkpoint; the agent goes on")
                self._refused(f"a bug of ours: {type(error).__name__}")
            else:
                self._said_again()
                self.wake()
                return taken
            with self._lock:
                self.facts.put_back(moment.facts)
                self.begin_anew()
            return None

    def _packed(self, moment: Moment, sync: bool, edits: ExitStack) -> Taken:
        from sickbay._workspace import record_of
        from sickbay.tree.grow import grow

        draft = self.packs.draft()
        try:
            snapshot = None
            if self.workspace is not None:
                snapshot = self.workspace.snapshot(lambda found: draft.add(record_of(found)))
                moment.moved(snapshot.moving)
            edits.close()
            tree = grow(moment.text, self._tree)
            for new in tree.new:
                draft.add(self._record(new))
            id = uuid.uuid4()
            header = self._header(id, moment, tree, snapshot)
            draft.keep(header, sync=sync)
        except BaseException:
            draft.drop()
            raise
        self._remember(tree)
        self.snapshot = snapshot
        return self._shelved(str(id), draft.number, moment, tree, snapshot)

    def _record(self, new: New) -> Record:
        from sickbay.tree.pack import AGAINST, pack
        from sickbay.tree.record import Record

        encoding, payload = pack(new.plain, self._plains.get(new.base) if new.base else None)
        base = new.base if encoding >= AGAINST else b""
        return Record(new.name, encoding, base, len(new.plain), new.items, new.length, payload)

    def _header(self, id: uuid.UUID, moment: Moment, tree: Tree, snapshot: Snapshot | None) -> dict[str, Any]:
        return {
            "id": id.hex,
            "run": self.run,
            "at": moment.at,
            "label": moment.label,
            "why": moment.why,
            "manifest": {
                "memory": tree.root.hex(),
                "workspace": snapshot.root.hex() if snapshot else None,
                **dependencies(self._given, self._tools),
            },
            "parent": self.parent,
            "memory_length": len(tree.text),
            "act": moment.act,
            "last_action": moment.last_action,
            "seq": moment.seq,
            "facts": moment.facts,
            "notes": [note[:1000] for note in snapshot.notes] if snapshot else [],
        }

    def _remember(self, tree: Tree) -> None:
        """What the next one is compared with: the tree, and the nodes that deltas may be taken against."""
        self._tree = tree
        self._plains.update((new.name, new.plain) for new in tree.new if new.plain[:1] == CONTAINER)
        self._plains = {name: plain for name, plain in self._plains.items() if name in tree.names}

    def _shelved(self, id: str, number: int, moment: Moment, tree: Tree, snapshot: Snapshot | None) -> Taken:
        parent = self.shelf.get(self.parent)
        is_first = self.shelf.newest is None
        ruling = _standing.on_arrival(moment.facts, parent.ruling if parent else None, is_first=is_first)
        taken = Taken(
            id, number, moment.at, tree.root.hex(), snapshot.root.hex() if snapshot else None,
            ruling.standing, moment.label, moment.why, self.parent, ruling.tainted, ruling.proven,
            bool(moment.facts.get("moving")),
        )  # fmt: skip
        self.shelf.add(taken, self.facts, self._clock.boot())
        self.parent = id
        if ruling.standing in _standing.USABLE and len(tree.text) <= TEXTS_KEPT:
            good = [] if ruling.standing == _standing.GOOD else list(self._texts.items())[:1]
            self._texts = dict([*good, (tree.root.hex(), tree.text)])
        return taken

    # — what others ask —

    def begin_anew(self) -> None:
        """The next checkpoint holds everything: what the last ones gave may be lost."""
        with self._lock:
            self._tree, self._plains = None, {}
            if self.workspace is not None:
                self.workspace.forget()

    def came_from(self, text: bytes, parent: str | None) -> None:
        """The memory was loaded from this text, whose nodes are safe: only what differs travels next."""
        from sickbay.tree.grow import grow

        with self._lock:
            self._tree, self._plains = None, {}
            tree = grow(text)
            self._remember(tree)
            self.parent = parent

    def differs(self) -> bool:
        """Whether anything happened since the last one."""
        newest, facts = self.shelf.get(self.parent), self.facts
        if newest is None or facts.actions or facts.fails or facts.unknowns or facts.passes:
            return True
        try:
            return self._tree is None or self.mind.text() != self._tree.text or self._files_differ()
        except Exception:
            return True

    def _files_differ(self) -> bool:
        if self.workspace is None or self.snapshot is None:
            return self.workspace is not None
        return bool(self.workspace.changed_since(self.snapshot))

    def node(self, name: bytes) -> tuple[bytes, int, int] | None:
        """A node of the newest checkpoint: its plain bytes, items and length."""
        found = self._memory_nodes().get(name)
        if found is not None:
            return found.plain, found.items, found.length
        file = self.workspace.node(name) if self.workspace is not None else None
        return (file.plain, file.items, file.length) if file else None

    def _memory_nodes(self) -> dict[bytes, New]:
        """All nodes of the newest memory, made again from its text; kept for the next question."""
        from sickbay.tree.grow import grow

        with self._lock:
            tree = self._tree
            if tree is None:
                return {}
            if self._again[0] != tree.root:
                self._again = (tree.root, {new.name: new for new in grow(tree.text).new})
            return self._again[1]

    def text_at_hand(self, root: str) -> bytes | None:
        """A memory whose text is still here."""
        with self._lock:
            if self._tree is not None and self._tree.root.hex() == root:
                return self._tree.text
            here = self._texts.get(root)
        return here if here is not None else self._last.text(root)

    def safe(self, *, at_once: bool = False) -> None:
        """Nothing waits for the server: what a start without it needs, the newest usable, is kept for it."""
        with self._lock:
            newest, tree, texts = self.shelf.newest, self._tree, self._texts
        if tree is not None and (newest is None or newest.standing in _standing.USABLE):
            texts = {tree.root.hex(): tree.text}
        try:
            for root, text in list(texts.items())[-1:]:
                self._last.keep(root, text, at_once=at_once)
            if self.workspace is not None:
                self.workspace.save(at_once)
                self.workspace.get_ready(0.0 if at_once else 0.02)
        except (OSError, SickbayError) as error:
            log.debug("sickbay: %s", error)

    def set_aside(self, why: str) -> None:
        """The server cannot take one: the next stands by itself."""
        self._signal(f"a checkpoint was not accepted by the server and is kept aside: {why}", "warn")
        self.begin_anew()

    def close(self) -> None:
        if not self.home.is_forked:
            self.packs.sync()
            if not (self._given.url and self.packs.waiting()) and self.directory.exists():
                self.safe(at_once=True)
            self.shelf.close()

    # — saying —

    def say(self, title: str) -> None:
        self._signal(title, "warn")

    def _refused(self, why: str) -> None:
        """Said when it begins, and not again before it has worked."""
        self._why = why
        if self._since is not None:
            return
        newest = self.shelf.newest
        self._since = newest.at if newest else 0.0
        when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(newest.at)) + " UTC" if newest else "the start"
        self._signal(f"no checkpoint since {when}: {why}", "warn")

    def _said_again(self) -> None:
        if self._since is not None:
            self._since = None
            self._signal("checkpoints are taken again", "info")

    @harmless(None)
    def _signal(self, title: str, level: str) -> None:
        self.ledger.note({"kind": "signal", "name": "checkpoint", "level": level, "title": title[:500]})


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"the disk refused it ({error.strerror or error})"
    if isinstance(error, SickbayError | ValueError):
        return str(error)
    return f"the memory's save() raised {type(error).__name__}: {error}"


def _made(workspace: Path) -> None:
    try:
        workspace.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadArgument(
            f"workspace={str(workspace)!r} cannot be made ({error.strerror or error}): write a directory "
            "that this process may write"
        ) from error
