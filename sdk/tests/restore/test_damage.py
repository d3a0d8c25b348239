"""Trees that are damaged or lie: nothing of them is restored."""

from __future__ import annotations

import re

from sdk.tests.restore.trees import FILE, HELLO, Store, entry, folder, link
from sdk.tests.restore.victim import Victim
from sickbay._restore import restore
from sickbay.tree.directory import EXECUTABLE, SUBDIRECTORY
from sickbay.tree.node import BYTES, DIRECTORY, file_node, name_of, varint
from sickbay.tree.node import FILE as FILE_NODE


def large(store: Store) -> tuple[bytes, bytes, int]:
    """A file of many parts: its name, the name of a part, its size."""
    content = b"".join(b"%d %d\n" % (n, n * n) for n in range(200_000))
    name = store.file(content)
    return (
        name,
        next(node for node in store.nodes if store.nodes[node][:2] == BYTES and node != name_of(HELLO)),
        len(content),
    )


def test_nodes_that_are_missing(victim: Victim) -> None:
    """Of a directory, a file, a part: what cannot be had is said, and nothing is done by halves."""
    name, part, size = large(victim.store)
    sub = victim.store.put(DIRECTORY + entry(b"x", rest=varint(size) + name))
    root = victim.store.forged(entry(b"a"), entry(b"b", SUBDIRECTORY, sub))
    for gone in (root, sub, name, part, name_of(HELLO)):
        plain = victim.store.nodes.pop(gone)
        assert "missing" in victim.refuses_root(root)
        victim.store.nodes[gone] = plain
    restore(victim.work, root, victim.store)


def test_nodes_whose_bytes_have_another_name(victim: Victim) -> None:
    """One flipped bit anywhere in any node of the tree is found before anything is restored."""
    name, _, size = large(victim.store)
    sub = victim.store.put(DIRECTORY + entry(b"x", rest=varint(size) + name))
    root = victim.store.forged(entry(b"a"), entry(b"b", SUBDIRECTORY, sub))
    for node, plain in list(victim.store.nodes.items()):
        for place in {0, 2, len(plain) // 2, len(plain) - 1}:
            victim.store.nodes[node] = plain[:place] + bytes([plain[place] ^ 4]) + plain[place + 1 :]
            assert "damaged" in victim.refuses_root(root)
        victim.store.nodes[node] = plain


def test_files_that_are_not_what_was_said(victim: Victim) -> None:
    """Sizes that lie, parts that are empty, too small, too deep, of another kind: refused when staged."""
    store, hello = victim.store, name_of(HELLO)
    name, _, size = large(store)
    empty = store.put(BYTES)
    byte = store.put(BYTES + b"x")
    deep = hello
    for _ in range(40):
        deep = store.put(file_node([(6, deep)]))
    small = store.put(file_node([(1, byte)] * 4_000))
    wrong = [
        (5, hello),
        (7, hello),
        (0, hello),
        (1 << 20, hello),
        (size + 1, name),
        (size - 1, name),
        (2 << 20, hello),
        (0, store.put(file_node([(0, empty)]))),
        (2 << 20, store.put(file_node([(2 << 20, hello)]))),
        (2 << 20, store.put(file_node([(0, empty), (2 << 20, name)]))),
        (6, deep),
        (4_000, small),
        (200_000, store.put(file_node([(1, byte)] * 200_000))),
        (6, store.put(DIRECTORY + entry(b"x"))),
        (2 << 20, store.put(FILE_NODE + b"\x01")),
        (6, store.put(b"T[hello\n")),
        (2 << 20, store.put(b"ZZ")),
    ]
    for said, what in wrong:
        told = victim.refuses(entry(b"good"), entry(b"x", rest=varint(said) + what))
        assert re.search("was not restored, and nothing in it was changed|cannot be used", told), told
    restore(victim.work, store.forged(entry(b"good"), entry(b"x", rest=varint(size) + name)), store)
    assert (victim.work / "x").stat().st_size == size


def test_directories_that_are_none(victim: Victim) -> None:
    """Out of order, twice, torn, of another type, with bytes to spare."""
    store = victim.store
    for root in (
        store.forged(entry(b"b"), entry(b"a")),
        store.forged(entry(b"a"), entry(b"a")),
        store.forged(entry(b"a"), folder(b"a")),
        store.forged(entry(b"a")[:-1]),
        store.forged(entry(b"a") + b"\0"),
        store.forged(entry(b"x" * 256)),
        store.forged(link(b"l", b"")),
        store.forged(link(b"l", b"x" * 4_096)),
        store.forged(link(b"l", b"x\0y")),
        store.forged(entry(b"d", SUBDIRECTORY, name_of(HELLO))),
        store.forged(folder(b"d", *(entry(b"%04d" % n) for n in range(100)))),
        store.forged(b"\x80\x00"),
        name_of(HELLO),
        store.put(b"D"),
        store.put(b""),
        store.put(b"K {}"),
        b"",
        b"\0" * 32,
    ):
        assert "cannot be used" in (told := victim.refuses_root(root)), told


def test_one_bad_name_among_many(victim: Victim) -> None:
    """A thousand good files do not come before the bad one is found."""
    victim.refuses(*(entry(b"a%04d" % n, EXECUTABLE) for n in range(1_000)), link(b"z", b"../x"))
    assert FILE and name_of(HELLO) not in victim.store.asked


def test_a_name_is_shown_safely(victim: Victim) -> None:
    """Escapes, bidi, markup that would end a line: bounded, and as text."""
    said = victim.refuses(entry(b"\x1b]0;owned\x07\n\xe2\x80\xae\\" + b"A" * 200))
    assert "\\x1b]0;owned\\x07\\n\\u202e" in said
    assert "A" * 120 not in said
