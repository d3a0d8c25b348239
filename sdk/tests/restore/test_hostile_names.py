"""Names and links that lead elsewhere: refused as a whole, before the first write, and shown safely."""

from __future__ import annotations

import os

import pytest

from sdk.tests.restore.trees import entry, folder, link
from sdk.tests.restore.victim import Victim
from sickbay import _names, _place
from sickbay._errors import RestoreRefused
from sickbay._restore import restore

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
