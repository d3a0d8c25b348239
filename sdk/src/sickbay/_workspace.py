"""The workspace of an agent as a tree, at the cost of what changed.

    look     every name and its times (_walk); the rules leave out what is not the agent's work (_ignore)
    read     the files whose times are other than before, or may hide a later write (_reading)
    again    until nothing moves any more (_looking): the files are of one moment, like the memory
    close    directories become nodes, from the inside out; what did not change keeps its node (_folder)

A snapshot is a pure function of the tree on disk: what is remembered (_stat_cache) only makes it cheap. Each
new node is given to `emit` once, children before parents, while its bytes are at hand; nothing keeps them
afterwards. When `emit` raises, nothing was taken, and the next snapshot gives the same nodes again.

`Snapshot.notes` names what never stood still, and what is no part of the snapshot: that, like what the rules
ignore, stays as it is when the workspace is rolled back, and whoever would write over it must keep it aside.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import threading
import time
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sickbay import _stat_cache
from sickbay._folder import Change, Emit, Fetch, Folder, Found, Kept, WorkspaceRefused, closed, differing
from sickbay._ignore import DEFAULTS, FILENAME, Rules
from sickbay._landmark import Landmark
from sickbay._looking import Looked, Looking
from sickbay._reading import DIRECTORIES, FILES, read_again
from sickbay._walk import Limits
from sickbay.tree import files
from sickbay.tree.node import BYTES, name_of
from sickbay.tree.pack import AGAINST, copy_ops, fingerprints, pack
from sickbay.tree.record import Record

NOTES = 20
RULES_LIMIT = 65_536
PRINTED_AT_ONCE = 1 << 20  # bytes of new nodes whose fingerprints are taken within a snapshot
SAVED_AT_LEAST = 60.0  # seconds between two savings of the cache


Place = Folder | Kept | tuple[str, str, int, int]  # directory, file, offset, length


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A workspace at one time. `new`: nodes the snapshot before did not have, children before parents.

    `left`: every path that is no part of it, and why; `notes` says the same in at most 20 sentences;
    `moving`: what went on changing, when it is not of one moment.
    """

    root: bytes
    new: tuple[bytes, ...]
    files: int
    bytes: int
    notes: tuple[str, ...]
    left: dict[str, str] = field(repr=False)
    folder: Folder = field(repr=False)
    moving: tuple[str, ...] = ()

    @property
    def is_still(self) -> bool:
        """Whether all of it is of one moment."""
        return not self.moving


class Workspace:
    """A directory of which snapshots are taken. `home`: where the cache stands; no part of a snapshot."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        ignore: Iterable[str] = (),
        limits: Limits | None = None,
        home: Path | None = None,
    ) -> None:
        self.directory = Path(directory).expanduser().resolve()
        self._ignore, self._limits = tuple(ignore), limits or Limits()
        self._cache = home / "workspace.cache" if home else None
        self._homes = (home, *home.parents[:2]) if home else ()
        self._landmark = Landmark(self.directory, home) if home else None
        self._turn = int.from_bytes(os.urandom(2), "big")
        self._lock = threading.RLock()
        self._last: Folder | None = None
        self._names: set[bytes] = set()
        self._rules, self._rules_name, self._last_rules = Rules(()), b"", b""
        self._prints: dict[bytes, bytes] = {}
        self._unprinted: Iterator[bytes] | None = None
        self._places: dict[bytes, Place] | None = None
        self._save_at = 0.0
        self._loaded = self._was_still = False

    # ---------------------------------------------------------------- taking

    def snapshot(
        self, emit: Emit | None = None, *, known: Container[bytes] = (), rules: bytes | None = None
    ) -> Snapshot:
        """Take one. `known`: nodes not to be given; `rules`: instead of what .sickbayignore says now."""
        with self._lock, self._root() as root:
            self._load(root)
            taking = _Taking(self._names, known, emit, self._prints)
            taken = self._taken(root, taking, rules)
            self._last_rules, self._was_still = self._rules_name, taken.is_still
            if taken.folder is not self._last:
                self._last, self._names = taken.folder, taken.folder.names()
                prints = {**self._prints, **taking.prints}
                self._prints = {name: prints[name] for name in prints.keys() & self._names}
                self._unprinted = self._places = None
            return taken

    def forget(self) -> None:
        """The next snapshot gives every node: what the ones before gave is lost."""
        with self._lock:
            self._last, self._names, self._prints = None, set(), {}
            self._last_rules, self._unprinted, self._places, self._loaded = b"", None, None, True

    def changed_since(self, before: Snapshot | bytes, fetch: Fetch | None = None) -> list[Change]:
        """What differs now from a snapshot, or from a root whose directories `fetch` can read."""
        with self._lock, self._root() as root:
            self._load(root)
            taking = _Taking(self._names, (), None, {})
            now = self._taken(root, taking, None)
        told = before.root if isinstance(before, Snapshot) else before
        return _differing(told, now, [before.folder] if isinstance(before, Snapshot) else [], fetch)

    def edited(self) -> tuple[Folder, list[Change]] | None:
        """The last snapshot's directory, of this process or the one before, and what differs from it now.

        None when nothing is known of any.
        """
        with self._lock, self._root() as root:
            self._load(root)
            last = self._last
            if last is None:
                return None
            now = self._taken(root, _Taking(self._names, (), None, {}), None)
        return last, _differing(last.name, now, [last], None)

    def _taken(self, root: int, taking: _Taking, rules: bytes | None) -> Snapshot:
        same = self._read_rules(root, rules)
        self._turn += 1
        looking = Looking(root, self._rules, self._limits, _identities(self._homes), self._known)
        looked = looking.still(self._last, same, self._turn, taking.emit, self._was_still)
        folder = closed(looked.folder, self._last, taking.emit)
        notes = _few([*self._rules.faults, *_notes(looked)])
        new = tuple(taking.new)
        return Snapshot(
            folder.name, new, folder.items, folder.length, notes, looked.left, folder,
            tuple(sorted({*looked.moving, *looked.torn})),
        )  # fmt: skip

    def _known(self, path: str, name: str) -> Kept | None:
        folder = self._last
        for part in path.split("/")[:-1]:
            folder = folder.folders.get(part) if folder else None
        return folder.files.get(name) if folder else None

    @contextlib.contextmanager
    def _root(self) -> Iterator[int]:
        try:
            root = os.open(self.directory, DIRECTORIES)
        except OSError as error:
            raise WorkspaceRefused(
                f"the workspace {self.directory} cannot be opened ({error.strerror}): is it mounted, and may "
                "this process read it?"
            ) from error
        try:
            if self._landmark is not None:
                self._landmark.check(root)
            yield root
        finally:
            os.close(root)

    def mark(self) -> str | None:
        """By which a restore knows it; WorkspaceRefused when what is there now is another directory."""
        with self._lock, self._root():
            return self._landmark.mark if self._landmark is not None else None

    def take_as_it_is(self) -> None:
        """Whatever directory is there now is the workspace."""
        if self._landmark is not None:
            self._landmark.forget()

    def _read_rules(self, root: int, text: bytes | None) -> bool:
        """Take the rules as they are now; whether they are those of the snapshot before."""
        text = _rules_text(root) if text is None else text
        lines = [*(os.fsencode(rule) for rule in (*DEFAULTS, *self._ignore)), *text.split(b"\n")]
        name = hashlib.sha256(b"\n".join(lines)).digest()
        if name != self._rules_name:
            self._rules, self._rules_name = Rules(lines), name
        return name == self._last_rules

    # ------------------------------------------------------------- afterwards

    def node(self, name: bytes) -> Found | None:
        """A node of the last snapshot again; None when its file is no longer as it was."""
        with self._lock:
            if self._places is None:
                self._places = dict(_places(self._last)) if self._last else {}
            place = self._places.get(name)
            if place is None:
                return None
            if isinstance(place, Folder):
                return Found(name, place.plain, place.items, place.length)
            if isinstance(place, Kept):
                return _group(place, name)
            return self._read_again(name, *place)

    def _read_again(self, name: bytes, path: str, filename: str, at: int, length: int) -> Found | None:
        try:
            with self._root() as root:
                data = read_again(root, path, filename, at, length)
        except (OSError, WorkspaceRefused):
            return None
        plain = BYTES + data
        return Found(name, plain, 0, len(data)) if name_of(plain) == name else None

    def get_ready(self, seconds: float = 0.05) -> bool:
        """Take fingerprints that are missing yet, for about so long; whether all are there.

        They make the next version of a file travel as what changed. To be called when the agent is idle: a
        first snapshot of much takes none, since they cost ten times what reading and hashing costs.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with self._lock:
                if self._unprinted is None:
                    contents = self._last.contents() if self._last else set()
                    self._unprinted = iter(contents - self._prints.keys())
                name = next(self._unprinted, None)
                if name is None:
                    return True
                found = self.node(name)
                if found:
                    self._prints[name] = fingerprints(found.plain)
        return False

    def save(self, at_once: bool = False) -> None:
        """Keep over a restart what is known, once a minute at most. Call it when what is new is safe."""
        with self._lock:
            if not self._cache or not self._last or not (at_once or time.monotonic() >= self._save_at):
                return
            self._save_at = time.monotonic() + SAVED_AT_LEAST
            with self._root() as root:
                known = _stat_cache.Known(self._last, self._last_rules, self._prints)
                _stat_cache.save(self._cache, self._where(root), known)

    def _load(self, root: int) -> None:
        if self._loaded or not self._cache:
            return
        self._loaded = True
        if known := _stat_cache.load(self._cache, self._where(root)):
            self._last, self._last_rules, self._prints = known
            self._names = self._last.names()

    def _where(self, root: int) -> _stat_cache.Where:
        status = os.fstat(root)
        return _stat_cache.Where(os.fsencode(self.directory), status.st_dev, status.st_ino)


def _differing(told: bytes, now: Snapshot, known: list[Folder], fetch: Fetch | None) -> list[Change]:
    here = {f.name: f.plain for folder in (now.folder, *known) for f in folder.below() if f.name}

    def both(names: list[bytes]) -> dict[bytes, bytes]:
        away = [name for name in names if name not in here]
        return {**here, **(fetch(away) if fetch and away else {})}

    return list(differing(told, now.root, both))


class _Taking:
    """Gives each new node once, and takes the fingerprints of the first of them."""

    def __init__(
        self, had: set[bytes], known: Container[bytes], emit: Emit | None, prints: dict[bytes, bytes]
    ) -> None:
        self._had, self._known, self._emit, self._old_prints = had, known, emit, prints
        self.new: dict[bytes, None] = {}
        self.prints: dict[bytes, bytes] = {}
        self._printed = 0

    def emit(self, found: Found) -> None:
        name = found.name
        if name in self._had or name in self.new or name in self._known:
            return
        if self._emit:
            prints = self._old_prints.get(found.base, b"")
            base = found.base if found.base in self._had and (prints or found.old) else b""
            self._emit(found._replace(base=base, prints=prints))
        self.new[name] = None
        self._printed += len(found.plain)
        if self._printed <= PRINTED_AT_ONCE and found.plain[:2] == BYTES:
            self.prints[name] = fingerprints(found.plain)


def record_of(found: Found) -> Record:
    """The node as it travels, the cheapest way that its base allows."""
    script = copy_ops(found.plain, found.prints) if found.prints else None
    encoding, payload = pack(found.plain, found.old or None, script)
    base = found.base if encoding >= AGAINST else b""
    return Record(found.name, encoding, base, len(found.plain), found.items, found.length, payload)


def _rules_text(root: int) -> bytes:
    """What .sickbayignore says; nothing when it is no file that can be read."""
    try:
        file = os.open(FILENAME, FILES, dir_fd=root)
    except OSError:
        return b""
    try:
        return os.read(file, RULES_LIMIT) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(file)


def _identities(directories: Iterable[Path]) -> frozenset[tuple[int, int]]:
    """Directories by device and inode, whatever they are called."""
    found = set()
    for directory in directories:
        with contextlib.suppress(OSError):
            status = os.stat(directory)
            found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def _places(root: Folder) -> Iterator[tuple[bytes, Place]]:
    """Where each node of a snapshot can be found again."""
    for folder in root.below():
        if folder.name:
            yield folder.name, folder
        for filename, kept in folder.files.items():
            at = 0
            for length, name in kept.parts:
                yield name, (folder.path, filename, at, length)
                at += length
            for name in kept.groups:
                yield name, kept
            if not kept.parts:
                yield kept.name, (folder.path, filename, 0, kept.size)


def _group(kept: Kept, wanted: bytes) -> Found | None:
    """A node of a large file that holds names of parts only."""
    made: dict[bytes, Found] = {}

    def emit(plain: bytes, items: int, length: int) -> bytes:
        name = name_of(plain)
        made[name] = Found(name, plain, items, length)
        return name

    files.joined(kept.parts, emit)
    return made.get(wanted)


def _notes(looked: Looked) -> Iterator[str]:
    for path, why in looked.left.items():
        yield f"{shown(path)} {why}: it is left as it is"
    for path in looked.torn:
        yield f"{shown(path)} was being written each time it was read: what is kept of it may be torn"
    for path in looked.moving:
        if path not in looked.torn:
            yield f"{shown(path)} went on changing: it may be of another moment than the rest"


def _few(notes: list[str]) -> tuple[str, ...]:
    if len(notes) <= NOTES:
        return tuple(notes)
    return (*notes[: NOTES - 1], f"and {len(notes) - NOTES + 1:,} others")


def shown(path: str) -> str:
    """A path as it can be shown anywhere, at most 120 characters of it."""
    letters = (c if c.isprintable() else ascii(c)[1:-1] for c in path)
    whole = "".join(letters)
    return whole if len(whole) <= 120 else whole[:57] + " … " + whole[-60:]
