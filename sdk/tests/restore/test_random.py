"""Any two workspaces, and any mixture of them: after a restore it is the one that was asked for."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sdk.tests.restore.trees import Link, Program, Spec, Store, kinds, lay, on_disk, snapped
from sickbay._restore import restore

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # where fsync costs nothing
NAMES = st.sampled_from(["a", "b", "c", "A", "\u00e9", "e\u0301", " x", "-rf", "a.b", "conftest.py"])
CONTENTS = st.sampled_from([b"", b"x", b"y", b"x" * 5_000])
LEAVES = st.one_of(
    CONTENTS, CONTENTS.map(Program), st.sampled_from([b"a", b"c/b", b"./nowhere", b"a/../b"]).map(Link)
)
SPECS: Any = st.dictionaries(
    NAMES,
    st.recursive(LEAVES, lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=12),
    max_size=5,
)


def honest(spec: Spec, depth: int = 0) -> Spec:
    """Without the links that lead out from where they stand, which no snapshot has."""
    kept: Spec = {}
    for name, what in spec.items():
        if isinstance(what, dict):
            kept[name] = honest(what, depth + 1)
        elif not (isinstance(what, Link) and b".." in what):
            kept[name] = what
    return kept


@settings(max_examples=40, deadline=None)
@given(SPECS, SPECS, st.booleans(), st.booleans())
def test_any_workspace_becomes_any_other(before: Spec, after: Spec, known: bool, ignored: bool) -> None:
    """The files are exactly those of the tree, beside what is ignored; and back again."""
    before, after, store = honest(before), honest(after), Store()
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        work = Path(directory) / "work"
        lay(work, before)
        if ignored:
            lay(work / "cache.tmp", {"deep": {"er": b"cached"}})
        here = [{"cache.tmp": {"deep": {"er": b"cached"}}}] if ignored else [{}]
        for spec in (after, before, after):
            restore(
                work,
                store.grow(spec),
                store,
                current=snapped(work) if known else None,
                rules=lambda text: lambda path, found: path.startswith(b"cache.tmp"),
            )
            assert on_disk(work) == kinds(spec | here[0])


@settings(max_examples=40, deadline=None)
@given(SPECS, SPECS, SPECS)
def test_what_no_snapshot_had_is_found_aside(before: Spec, edited: Spec, after: Spec) -> None:
    """Whatever the edits were, each file that a snapshot does not have is in its place or aside."""
    before, edited, after, store = honest(before), honest(edited), honest(after), Store()
    with tempfile.TemporaryDirectory(dir=MEMORY) as directory:
        work = Path(directory) / "work"
        lay(work, before)
        known = snapped(work)
        restore(work, store.grow(edited), store, keep_aside=False)
        done = restore(work, store.grow(after), store, current=known)
        aside = on_disk(done.aside) if done.aside else {}
        for path, what in _files(kinds(edited)).items():
            if what[0] is not Link and path not in _files(kinds(before)) and path not in _files(kinds(after)):
                assert _files(aside)[path] == what


def _files(spec: Spec, path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, what in spec.items():
        found |= _files(what, f"{path}{name}/") if isinstance(what, dict) else {path + name: what}
    return found
