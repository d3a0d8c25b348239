"""What the vectors of `trees.json` are made of: states that any language can make by counting."""

from __future__ import annotations

from typing import Any

from sickbay.tree import files
from sickbay.tree.directory import Entry
from sickbay.tree.manifest import Manifest
from sickbay.tree.node import (
    BLOB,
    INLINE,
    LEAF,
    NODE,
    RUN,
    SUB,
    Piece,
    container,
    items_in,
    name_of,
    text_length,
)

WORDS = ["refund", "order", "of", "the", "flight", "amount", "sorry"]


def said(n: int) -> str:
    """Sixty words, chosen by counting."""
    return " ".join(WORDS[(n * 7 + i * i) % len(WORDS)] for i in range(60))


MESSAGES = [{"role": "user" if n % 2 else "assistant", "id": n, "content": said(n)} for n in range(1_200)]
DEEP: Any = said(1)
for _ in range(60):
    DEEP = {"in": [DEEP, said(2), said(3)]}

MEMORIES: dict[str, Any] = {
    "null": None,
    "empty list": [],
    "empty object": {},
    "small": {"a": 1, "b": [True, None, 1.0, "é\n"], "c": {}},
    "conversation": {"instructions": "You refund.", "messages": MESSAGES, "scratch": {"cursor": 3}},
    "numbers": list(range(40_000)),
    "object that is cut": {f"path/{n}": n * n for n in range(6_000)},
    "many in place": {f"box{n}": [said(n + i) for i in range(40)] for n in range(30)},
    "runs before big values": {
        "all": [x for n in range(40) for x in (said(n), [said(i) for i in range(60)])]
    },
    "huge string": {"before": 1, "page": "\n".join(said(n) for n in range(3_000)), "after": 2},
    "deep": {"deep": [DEEP] * 40},
}
LINES = b"".join(f"{n},{n * n % 9973},{said(n)}\n".encode() for n in range(12_000))
FILES: dict[str, bytes] = {
    "empty": b"",
    "one line": b"hello\n",
    "a mebibyte": bytes(1 << 20),
    "zeros above it": bytes(3_000_000),
    "lines": LINES,
    "one long line": LINES.replace(b"\n", b";"),
}
NAME = bytes(range(32))
DIRECTORY_ENTRIES = [
    Entry(b"a", 0, 12, NAME),
    Entry(b"inner", 4, body=b"\x04deep\x01\x03" + NAME),
    Entry(b"link", 2, body=b"../up"),
    Entry(b"sub", 3, name=NAME),
    Entry("ü".encode(), 1, 0, NAME),
]
MANIFEST = Manifest(memory=NAME, code="3f2a1c", sdk="0.1.0", model="gpt-x", tools="9b", parent=NAME[::-1])


class Hostile:
    """Nodes made by hand, each spelled right; `node` gives the piece that stands for one in its parent."""

    def __init__(self) -> None:
        self.nodes: list[tuple[bytes, int, int]] = []

    def node(self, tag: int, plain: bytes, items: int, length: int, key: bytes = b"") -> Piece:
        self.nodes.append((plain, items, length))
        return Piece(tag, 1 if key else items, length, name_of(plain), key)

    def leaf(self, *members: bytes) -> Piece:
        text = b",".join(members)
        return self.node(LEAF, b"T{" + text, len(members), len(text))

    def group(self, *pieces: Piece) -> Piece:
        return self.node(NODE, container(b"N{", pieces), items_in([*pieces]), text_length([*pieces]))

    def string(self, *parts: bytes) -> Piece:
        for part in parts:
            self.nodes.append((b"B " + part, 0, len(part)))
        links = [(len(part), name_of(b"B " + part)) for part in parts]
        length = sum(map(len, parts))
        return self.node(BLOB, files.file_node(links), len(parts), length, b'"page"')._replace(items=1)

    def root(self, *pieces: Piece) -> Hostile:
        self.node(SUB, container(b"C{", pieces), items_in([*pieces]), text_length([*pieces]) + 2)
        return self


def run(text: bytes, items: int = 1) -> Piece:
    return Piece(RUN, items, len(text), text=text)


def refused() -> dict[str, Hostile]:
    """Trees whose nodes are right by themselves, and not together."""
    made = {}
    one = Hostile()
    made["one key in two leaves"] = one.root(one.leaf(b'"a":1', b'"b":2'), one.leaf(b'"c":3', b'"a":4'))
    one = Hostile()
    made["one key in a leaf and in a run"] = one.root(one.leaf(b'"a":1', b'"b":2'), run(b'"b":2'))
    one = Hostile()
    leaf = one.leaf(b'"a":1')
    made["one leaf twice"] = one.root(leaf, leaf)
    one = Hostile()
    groups = one.group(one.leaf(b'"a":1'), one.leaf(b'"b":1')), one.group(one.leaf(b'"c":1'), run(b'"b":2'))
    made["one key in two groups"] = one.root(*groups)
    one = Hostile()
    made["one key of a leaf and of a huge string"] = one.root(
        one.leaf(b'"page":1', b'"b":2'), one.string(b'"whole"')
    )
    one = Hostile()
    inner = container(b"C{", [one.leaf(b'"a":1'), run(b'"a":2')])
    made["one key twice in place"] = one.root(Piece(INLINE, 1, 13, key=b'"in"', text=inner))
    for name, text in {
        "a letter is escaped": b'"' + rb"\u0041" + b'"',
        "it ends too early": b'"whole',
        "it is a list": b"[1]",
        "there is more behind it": b'"a","b":1,"page":"c"',
    }.items():
        one = Hostile()
        made[f"a huge string: {name}"] = one.root(one.string(text[:3], text[3:]))
    return made


def file_root(content: bytes) -> tuple[bytes, int]:
    """The name of a file's tree, and how many nodes it has."""
    nodes: set[bytes] = set()

    def emit(plain: bytes, items: int, length: int) -> bytes:
        nodes.add(name_of(plain))
        return name_of(plain)

    return files.grown(content, emit), len(nodes)
