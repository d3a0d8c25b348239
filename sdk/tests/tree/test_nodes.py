"""Nodes, directories, files, manifests and records: one spelling each, and nothing else is read."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdk.tests.tree import states
from sickbay.tree import directory, files, node, pack, read, record
from sickbay.tree.directory import Entry
from sickbay.tree.grow import grow
from sickbay.tree.manifest import Manifest, manifest_of
from sickbay.tree.node import BadNode
from sickbay.tree.text import dump

NAME = bytes(range(32))


@given(st.integers(0, 2**63 - 1))
def test_a_number_has_one_spelling(number: int) -> None:
    """A varint reads back, and a longer one for the same number is refused."""
    text = node.varint(number)
    assert node.Reader(text).number() == number
    if len(text) < node.VARINT_LIMIT:
        with pytest.raises(BadNode):
            node.Reader(bytes((*text[:-1], text[-1] | 0x80, 0))).number()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 10**6))
def test_a_damaged_node_is_refused_or_spelled_the_same(seed: int, flip: int) -> None:
    """Bytes with one bit turned either do not parse, or are exactly what they parse to."""
    dice = random.Random(seed)
    with states.small_format():
        tree = grow(dump({"a": [states.value(dice, 1) for _ in range(30)]}))
    plain = bytearray(dice.choice([new.plain for new in tree.new if new.plain[:1] in b"CN"]))
    plain[flip // 8 % len(plain)] ^= 1 << flip % 8
    try:
        pieces = node.pieces_of(bytes(plain))
    except BadNode:
        return
    assert node.container(bytes(plain[:2]), pieces) == plain


@pytest.mark.parametrize(
    "body",
    [
        b"\x06\x01",
        b"\x00\x00\x00",
        b"\x00\x02\x01x",
        b"\x00\x01\x05abc",
        b"\x01\x01\x01" + NAME[:31],
        b"\x02\x03key\x01" + NAME,
        b"\x04\x00\x05\x02T[",
    ],
)
def test_what_is_no_piece_is_refused(body: bytes) -> None:
    """Unknown tags, empty runs, short bodies, keys in lists, leaves in place."""
    with pytest.raises(BadNode):
        node.pieces_of(b"C[" + body)


@pytest.mark.parametrize(
    "entries",
    [
        [Entry(b"..", 0, 1, NAME)],
        [Entry(b".", 0, 1, NAME)],
        [Entry(b"", 0, 1, NAME)],
        [Entry(b"a/b", 0, 1, NAME)],
        [Entry(b"a\0", 0, 1, NAME)],
        [Entry(b"x" * 256, 0, 1, NAME)],
        [Entry(b"b", 0, 1, NAME), Entry(b"a", 0, 1, NAME)],
        [Entry(b"a", 0, 1, NAME), Entry(b"a", 1, 1, NAME)],
        [Entry(b"a", 2, body=b"")],
        [Entry(b"a", 4, body=directory.body_of([Entry(b"..", 0, 1, NAME)]))],
        [Entry(b"a", 4, body=b"\x01")],
        [Entry(b"a", 5, body=b"x")],
    ],
)
def test_no_directory_holds_such_names(entries: list[Entry]) -> None:
    """Names that lead elsewhere, stand twice or out of order, empty links, unknown kinds."""
    with pytest.raises(BadNode):
        directory.entries_of(node.DIRECTORY + directory.body_of(entries))


def test_a_directory_reads_back() -> None:
    """Every kind of entry, one in place included."""
    inner = directory.body_of([Entry(b"deep", 1, 3, NAME)])
    entries = [
        Entry(b"file", 0, 12, NAME),
        Entry(b"inner", 4, body=inner),
        Entry(b"link", 2, body=b"../up"),
        Entry(b"sub", 3, name=NAME),
        Entry("ü".encode(), 1, 0, NAME),
    ]
    plain = node.DIRECTORY + directory.body_of(entries)
    assert directory.entries_of(plain) == entries
    assert [link.length for link in read.links(plain)] == [12, 3, -1, 0]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_cut_of_a_file_does_not_depend_on_its_blocks(data: st.DataObject) -> None:
    """However a file is read, its parts are the same and join to it."""
    dice = random.Random(data.draw(st.integers(0, 2**32)))
    size = dice.choice((0, 10, 5_000, 300_000, 900_000))
    letters = dice.choice((b"ab \n", b"abcdef", b"\0", b"a, \0\n"))
    content = bytes(dice.choices(letters, k=size))
    parts = list(files.parts_of([content]))
    assert b"".join(parts) == content
    blocks, at = [], 0
    while at < size:
        step = dice.choice((1_000, 4_096, 70_001, 250_000))
        blocks.append(content[at : at + step])
        at += step
    assert list(files.parts_of(blocks)) == parts


def test_an_edit_in_the_middle_of_a_file_moves_little() -> None:
    """A line inserted into 8 MB of lines changes a part or two."""
    dice = random.Random(3)
    lines = [bytes(dice.choices(b"abcdefgh ", k=60)) + b"\n" for _ in range(130_000)]
    before = set(files.parts_of([b"".join(lines)]))
    lines.insert(65_000, b"new\n")
    after = set(files.parts_of([b"".join(lines)]))
    assert len(before) > 20
    assert len(after - before) <= 2


def test_a_file_of_zeros_is_cut() -> None:
    """Without lines and gaps that end, a part is as long as a part may be."""
    assert {len(part) for part in files.parts_of([bytes(3_000_000)])} <= set(
        range(1, 2 * files.TARGET + 4_097)
    )


def test_a_manifest_reads_back_and_no_other_spelling_does() -> None:
    """The manifest's bytes are the only ones that are read as it."""
    manifest = Manifest(memory=NAME, code="3f2a", sdk="0.1", parent=NAME[::-1])
    plain = manifest.plain()
    assert manifest_of(plain) == manifest
    for other in (plain + b" ", plain.replace(b'"format":1', b'"format":2'), plain.replace(b"null", b'"00"')):
        with pytest.raises(BadNode):
            manifest_of(other)


def test_records_read_back_one_after_the_other() -> None:
    """What was written is read, and a torn end is refused."""
    records = [
        record.Record(NAME, pack.PLAIN, b"", 5, 0, 3, b"B abc"),
        record.Record(NAME[::-1], pack.AGAINST, NAME, 2**40, 7, 9, b"payload"),
    ]
    data = b"".join(map(record.write, records))
    assert list(record.read(data)) == records
    for torn in (data[:-1], data[:3], data + b"\x05ab"):
        with pytest.raises(BadNode):
            list(record.read(torn))
