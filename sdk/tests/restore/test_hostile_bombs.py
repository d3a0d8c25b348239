"""Trees that are too much: deep, wide, large, or small and shared without end."""

from __future__ import annotations

import pytest

from sdk.tests.restore.trees import HELLO, Store, entry, folder, link
from sdk.tests.restore.victim import Victim
from sickbay._restore import Limits, restore
from sickbay.tree.directory import IN_PLACE, SUBDIRECTORY
from sickbay.tree.node import DIRECTORY, name_of, varint


def shared(store: Store, levels: int, width: int) -> bytes:
    """A tree whose every directory stands `width` times in the one above."""
    below = store.put(DIRECTORY + entry(b"x"))
    for _ in range(levels):
        rest = [entry(b"d%04d" % n, SUBDIRECTORY, below) for n in range(width)]
        below = store.put(DIRECTORY + b"".join(rest))
    return below


@pytest.mark.parametrize(
    ("levels", "width"),
    [(2, 4_000), (3, 300), (4, 60), (8, 8), (12, 4), (24, 2), (40, 2), (100, 2), (127, 2), (120, 9)],
)
def test_shared_subtrees_that_multiply(victim: Victim, levels: int, width: int) -> None:
    """Millions of files out of a few nodes: counted by node, so refusing costs no more than the nodes."""
    said = victim.refuses_root(shared(victim.store, levels, width))
    assert "10,000,000 entries" in said
    assert len(victim.store.asked) <= levels + 1


@pytest.mark.parametrize("levels", [129, 130, 150, 200, 500, 1_000, 1_500, 2_000, 5_000, 20_000])
def test_directories_too_deep(victim: Victim, levels: int) -> None:
    """A chain of directories, one in another: refused without recursion."""
    assert "deep" in victim.refuses_root(shared(victim.store, levels, 1))
    assert len(victim.store.asked) <= 130


@pytest.mark.parametrize("levels", [129, 140, 160, 180, 200, 220, 230, 240, 250, 300])
def test_directories_in_place_too_deep(victim: Victim, levels: int) -> None:
    """The same within one node."""
    made = b""
    for _ in range(levels):
        made = entry(b"d", IN_PLACE, varint(len(made)) + made)
    assert victim.refuses_root(victim.store.forged(made))


def test_a_deep_directory_reached_twice(victim: Victim) -> None:
    """Depth is counted along the deepest way, not the first one found."""
    chain = [shared(victim.store, n, 1) for n in range(120)]
    rest = [entry(b"d%04d" % n, SUBDIRECTORY, name) for n, name in enumerate(chain)]
    top = victim.store.put(DIRECTORY + b"".join(rest))
    for _ in range(20):
        top = victim.store.put(DIRECTORY + entry(b"a", SUBDIRECTORY, top))
    assert "deep" in victim.refuses_root(top)


SIZES = [1 << 37 | 1, 1 << 38, 1 << 40, 1 << 41, 1 << 45, 1 << 50, 1 << 60, (1 << 63) - 1, 1 << 62, 3 << 40]


@pytest.mark.parametrize("size", SIZES)
def test_files_too_large(victim: Victim, size: int) -> None:
    """A file says how large it is before anything of it is fetched."""
    assert "bytes" in victim.refuses(entry(b"x", rest=varint(size) + name_of(HELLO)))
    assert name_of(HELLO) not in victim.store.asked


def test_files_too_large_together(victim: Victim) -> None:
    """A thousand files of 100 GB, each of which would be allowed."""
    rest = varint(100 << 30) + name_of(HELLO)
    assert "bytes" in victim.refuses(*(entry(b"x%04d" % n, rest=rest) for n in range(1_000)))
    assert "full" in victim.refuses(*(entry(b"x%04d" % n, rest=rest) for n in range(10)))


def test_limits_are_the_callers(victim: Victim) -> None:
    """Entries, links, depth and bytes may be fewer."""
    many = [
        entry(b"a"),
        entry(b"b"),
        folder(b"c", folder(b"d", entry(b"e"))),
        link(b"f", b"a"),
        link(b"g", b"a"),
    ]
    for limits in (Limits(entries=6), Limits(links=1), Limits(depth=1), Limits(bytes=17), Limits(file=5)):
        assert victim.refuses(*many, limits=limits)
    restore(victim.work, victim.store.forged(*many), victim.store, limits=Limits(7, 2, 18, 6, 2))
