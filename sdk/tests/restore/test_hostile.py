"""Trees that nobody grew: refused as a whole, before the first write, with the name shown safely."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.restore.trees import FILE, HELLO, Store, entry, folder, kinds, lay, link, on_disk
from sickbay import _names, _place
from sickbay._errors import RestoreRefused, RestoreUnfinished
from sickbay._restore import Limits, restore
from sickbay.tree.directory import EXECUTABLE, IN_PLACE, SUBDIRECTORY
from sickbay.tree.node import BYTES, DIRECTORY, file_node, name_of, varint
from sickbay.tree.node import FILE as FILE_NODE

BEFORE: dict[str, Any] = {"mine": b"mine", "data": {"x": b"x"}}


class Victim:
    """A workspace, with a treasure beside it, and the tree that is sent."""

    def __init__(self, directory: Path) -> None:
        self.work, self.outside = directory / "work", directory / "outside"
        lay(self.work, BEFORE)
        lay(self.outside, {"treasure": b"gold"})
        self.store = Store()
        self.store.put(HELLO)

    def refuses(self, *entries: bytes, **more: Any) -> str:
        return self.refuses_root(self.store.forged(*entries), **more)

    def refuses_root(self, root: bytes, **more: Any) -> str:
        """That it is refused and nothing anywhere is other than before; the sentence."""
        with pytest.raises(RestoreRefused) as told:
            restore(self.work, root, self.store, **more)
        assert on_disk(self.work) == kinds(BEFORE)
        assert on_disk(self.outside) == kinds({"treasure": b"gold"})
        assert not (self.work / ".sickbay/journal").exists()
        assert not list((self.work / ".sickbay/stage").glob("*"))
        said = str(told.value)
        assert said.isprintable() and len(said) < 500
        return said


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    yield Victim(tmp_path)


TRAVERSAL = [
    b"..",
    b".",
    b"",
    b"../x",
    b"../../etc/passwd",
    b"a/../../x",
    b"/",
    b"//",
    b"./x",
    b"a/",
    b"/..",
    b"..\0",
    b"x\0y",
    b"..\\x",
    b"\\..\\x",
    b"a\\b",
]
ABSOLUTE = [
    b"/etc/passwd",
    b"/tmp/x",
    b"//server/share",
    b"/",
    b"\\\\server\\share\\x",
    b"\\\\?\\C:\\x",
    b"\\\\.\\pipe\\x",
    b"\\etc",
    b"/proc/self/mem",
    b"/dev/sda",
]
DRIVES = [
    b"C:",
    b"C:\\x",
    b"c:x",
    b"Z:/x",
    b"C:.",
    b"D:\\..\\x",
    b"c:\\windows\\x",
    b"A:",
    b"x:stream",
    b"C:\\",
]
DEVICES = [
    b"CON",
    b"con",
    b"NUL",
    b"nul",
    b"PRN",
    b"AUX",
    b"COM1",
    b"com9",
    b"LPT1",
    b"CONIN$",
    b"CONOUT$",
    b"NUL ",
    b"aux.",
    "COM\u00b9".encode(),
    b"nul:",
    b"CON  ",
]
OURS = [
    b".sickbay",
    b".SICKBAY",
    b".Sickbay",
    b".sickbay.",
    b".sickbay ",
    b".sickbay...",
    ".sick\u200cbay".encode(),
    ".sickb\u00aday".encode(),
    "\uff0esickbay".encode(),
    b"SICKBA~1",
    "\ufeff.sickbay".encode(),
    ".\u017fickbay".encode(),
]


@pytest.mark.parametrize("name", [*TRAVERSAL, *ABSOLUTE, *DRIVES, *DEVICES, *OURS])
@pytest.mark.parametrize("where", ["at the top", "below"])
def test_names_that_lead_elsewhere(victim: Victim, name: bytes, where: str) -> None:
    """Traversal, absolute, drives, devices, our own directory: at the top or below, as file or directory."""
    for made in (entry(name), folder(name, entry(b"x")), link(name, b"mine")):
        said = victim.refuses(made if where == "at the top" else folder(b"d", made))
        assert _names.shown(name, 40)[:10] in said or "cannot be a file's name" in said or not name


LINKS_OUT = [
    b"/",
    b"/etc/passwd",
    b"..",
    b"../outside/treasure",
    b"../work",
    b"a/../../x",
    b"./../x",
    b"../..",
    b"/proc/self/root",
    b"a/b/../../../x",
    b"//x",
    b"../outside/",
    b".//..//outside",
]


@pytest.mark.parametrize("target", LINKS_OUT)
def test_links_that_lead_out(victim: Victim, target: bytes) -> None:
    """Absolute or by `..`, from the top and from below."""
    assert "outside of the workspace" in victim.refuses(link(b"l", target))
    if not target.startswith(b"/"):
        target = b"../" + target
    assert "outside of the workspace" in victim.refuses(folder(b"d", link(b"l", target)))


CHAINS: dict[str, list[bytes]] = {
    "through a link to a directory": [folder(b"d", link(b"up", b"..")), link(b"l", b"d/up/../outside")],
    "through a link upwards": [
        folder(b"d", folder(b"e", link(b"up", b"../.."))),
        link(b"l", b"d/e/up/../outside"),
    ],
    "a link that shortens the way": [
        link(b"a", b"d/e"),
        folder(b"d", folder(b"e")),
        link(b"l", b"a/../../../outside"),
    ],
    "two links": [link(b"a", b"b/.."), link(b"b", b"d"), folder(b"d"), link(b"l", b"a/../outside")],
    "to itself, and out": [link(b"a", b"."), link(b"l", b"a/a/a/../outside")],
    "through a name that is not there": [link(b"l", b"nowhere/../../outside")],
    "a link as a parent": [link(b"a", b".."), link(b"b", b"a/outside/treasure")],
    "into our own and back": [link(b"l", b".sickbay/../../outside")],
    "behind many": [
        *(link(b"a%02d" % n, b"a%02d" % (n + 1)) for n in range(30)),
        link(b"a30", b".."),
    ],
    "a file as a directory": [entry(b"f"), link(b"l", b"f/../../outside")],
    "dots": [link(b"l", b"./././d/./../.././outside")],
}


@pytest.mark.parametrize("entries", CHAINS.values(), ids=CHAINS)
def test_links_that_lead_out_through_others(victim: Victim, entries: list[bytes]) -> None:
    """Each harmless by itself: they are followed as a kernel would."""
    ordered = sorted(entries, key=lambda made: made[1 : 1 + made[0]])
    assert "outside of the workspace" in victim.refuses(*ordered)


def test_links_that_stay_inside_come_back(victim: Victim) -> None:
    """Upwards within the workspace, to nothing, round in a circle: honest links are kept."""
    root = victim.store.forged(
        folder(b"d", link(b"circle", b"circle"), folder(b"e", link(b"up", b"../../mine"))),
        link(b"nowhere", b"d/not/there"),
        link(b"one", b"two"),
        link(b"two", b"one"),
    )
    restore(victim.work, root, victim.store)
    assert os.readlink(victim.work / "d/e/up") == "../../mine"


def test_tangled_links_take_no_time(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Links that double at each step are followed as far as a kernel follows, and no further."""
    monkeypatch.setattr(_names, "STEPS", 200_000)
    made = [link(b"l%02d" % n, b"/".join([b"l%02d" % (n + 1)] * 60)) for n in range(40)]
    restore(victim.work, victim.store.forged(*made), victim.store)
    wide = [link(b"w%05d" % n, b"x/../" * 800 + b"y") for n in range(400)]
    assert "tangled" in _refused(victim, victim.store.forged(*wide))


def _refused(victim: Victim, root: bytes) -> str:
    with pytest.raises(RestoreRefused) as told:
        restore(victim.work, root, victim.store)
    return str(told.value)


@pytest.mark.parametrize("kind", [5, 6, 7, 8, 16, 33, 64, 99, 128, 254, 255])
def test_special_kinds(victim: Victim, kind: int) -> None:
    """No devices, pipes, sockets: a kind that is none of ours is refused."""
    assert "unknown" in victim.refuses(entry(b"x", kind))


FOLDED = [
    (b"A", b"a"),
    (b"Makefile", b"makefile"),
    ("\u00c9".encode(), "\u00e9".encode()),
    (b"README.MD", b"ReadMe.md"),
    ("\u00e9".encode(), "e\u0301".encode()),
    ("\u1e9e".encode(), b"ss"),
    ("\ufb01".encode(), "\ufb01".upper().encode()),
    ("\u03c3".encode(), "\u03c2".encode()),
    (b".git", b".GIT"),
    ("\u212a".encode(), b"k"),
    (b"x", b"X"),
    ("a\u200db".encode(), b"ab"),
]


@pytest.mark.parametrize("pair", FOLDED)
def test_names_that_are_one_file(
    victim: Victim, monkeypatch: pytest.MonkeyPatch, pair: tuple[bytes, bytes]
) -> None:
    """Where the file system folds case or normal forms, two such names are refused; else they are two."""
    one, two = sorted(pair)
    root = victim.store.forged(entry(one), entry(two))
    with monkeypatch.context() as patched:
        patched.setattr(_names, "probed", lambda directory: _names.Folding(case=True, form=True))
        assert "one file" in victim.refuses_root(root)
        assert "one file" in victim.refuses(folder(one, entry(b"x")), folder(two, entry(b"y")))
    with _place.held(victim.work) as place:
        folds = _names.probed(place.own_fd) != _names.Folding()
    if not folds:
        restore(victim.work, root, victim.store)
        assert sorted(map(os.fsencode, os.listdir(victim.work))) == sorted([b".sickbay", one, two])


FOLDED_AWAY = [
    b"x.",
    b"x ",
    b"x. .",
    b".git.",
    b".git ",
    b"aux.c",
    b"NUL.txt",
    b"com1.log",
    b"\xff\xfe",
    b"\xc3",
    b"con.tar.gz",
    b"LPT9.x",
]


@pytest.mark.parametrize("name", FOLDED_AWAY)
def test_names_that_a_folding_file_system_changes(
    victim: Victim, monkeypatch: pytest.MonkeyPatch, name: bytes
) -> None:
    """Dots and spaces at the end, devices with an extension, no UTF-8: refused where they are not kept."""
    assert _names.fault(name, _names.Folding()) is None
    monkeypatch.setattr(_names, "probed", lambda directory: _names.Folding(case=True))
    assert victim.refuses(entry(name))


def test_another_spelling_on_disk_makes_room_first(victim: Victim, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `MINE` and `mine` are one file, the old one goes before the new one comes, never after."""
    from sickbay import _journal

    written: list[_journal.Plan] = []
    original = _journal.write

    def write(place: _place.Place, plan: _journal.Plan) -> None:
        written.append(plan)
        original(place, plan)

    monkeypatch.setattr(_names, "probed", lambda directory: _names.Folding(case=True))
    monkeypatch.setattr(_journal, "write", write)
    restore(victim.work, victim.store.forged(entry(b"MINE")), victim.store)
    assert [(step.op, step.path) for step in written[0].steps][:2] == [("drop", b"mine"), ("put", b"MINE")]


# ----------------------------------------------------------------------- bombs


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


# ------------------------------------------------------------ what was damaged


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
        victim.refuses(entry(b"good"), entry(b"x", rest=varint(said) + what))


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
        victim.refuses_root(root)


def test_one_bad_name_among_many(victim: Victim) -> None:
    """A thousand good files do not come before the bad one is found."""
    victim.refuses(*(entry(b"a%04d" % n, EXECUTABLE) for n in range(1_000)), link(b"z", b"../x"))
    assert FILE and name_of(HELLO) not in victim.store.asked


def test_a_name_is_shown_safely(victim: Victim) -> None:
    """Escapes, bidi, markup that would end a line: bounded, and as text."""
    said = victim.refuses(entry(b"\x1b]0;owned\x07\n\xe2\x80\xae\\" + b"A" * 200))
    assert "\\x1b]0;owned\\x07\\n\\u202e" in said
    assert "A" * 120 not in said


# ----------------------------------------------------------------------- races


def test_our_own_directory_is_no_link(victim: Victim) -> None:
    """A `.sickbay` that leads elsewhere, or is a file, is not written to."""
    for make in (lambda at: at.symlink_to(victim.outside), lambda at: at.write_bytes(b"x")):
        make(victim.work / ".sickbay")
        with pytest.raises(RestoreRefused, match=r"\.sickbay"):
            restore(victim.work, victim.store.forged(entry(b"a")), victim.store)
        (victim.work / ".sickbay").unlink()
    assert os.listdir(victim.outside) == ["treasure"]


@pytest.mark.parametrize("inner", ["stage", "aside", "journal", "journal.new"])
def test_nothing_in_our_own_directory_is_followed(victim: Victim, inner: str) -> None:
    """Links planted where the stage, the journal or the aside would be do not lead our writes out."""
    (victim.work / ".sickbay").mkdir()
    (victim.work / ".sickbay" / inner).symlink_to(victim.outside / ("treasure" if "j" in inner else ""))
    root = victim.store.forged(entry(b"a"))
    if inner in ("aside", "journal"):
        with pytest.raises(RestoreRefused):
            restore(victim.work, root, victim.store)
        assert on_disk(victim.work) == kinds(BEFORE)
    else:
        restore(victim.work, root, victim.store)
        assert on_disk(victim.work) == kinds({"a": b"hello\n"})
    assert on_disk(victim.outside) == kinds({"treasure": b"gold"})


@pytest.mark.parametrize("failpoint", ["after_plan", "kept", "drop", "hollow", "make", "put", "in_place"])
@pytest.mark.parametrize("swapped", ["data", "data/deep", "data/deep/er"])
def test_a_swapped_parent_does_not_lead_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failpoint: str, swapped: str
) -> None:
    """A directory that becomes a link in the middle of it: nothing outside is written or removed."""
    from sickbay import _redo, _restore

    work, outside = tmp_path / "work", tmp_path / "outside"
    lay(
        work,
        {
            "data": {
                "deep": {"er": {"x": b"old", "gone": b"gone", "g": {"h": b"h"}}, "x": b"old"},
                "x": b"old",
            }
        },
    )
    lay(
        outside,
        {
            "x": b"gold",
            "gone": b"gold",
            "g": {"h": b"gold"},
            "deep": {"er": {"x": b"gold"}},
            "er": {"x": b"g"},
        },
    )
    treasure, store = on_disk(outside), Store()
    root = store.grow({"data": {"deep": {"er": {"x": b"new", "m": {"n": b"n"}}, "x": b"new"}, "x": b"new"}})

    def swap(name: str) -> None:
        if name == f"restore:{failpoint}" and not (work / swapped).is_symlink():
            (work / swapped).rename(tmp_path / "moved")
            (work / swapped).symlink_to(outside)

    for module in (_redo, _restore):
        monkeypatch.setattr(module, "failpoint", swap)
    try:
        restore(work, root, store)
    except RestoreUnfinished as error:
        assert "cannot" in error.reason
    assert on_disk(outside) == treasure
