"""What the vectors of `trees.json` are made of: states that any language can make by counting."""

from __future__ import annotations

from typing import Any

from sickbay.tree import files
from sickbay.tree.directory import Entry
from sickbay.tree.manifest import Manifest
from sickbay.tree.node import name_of

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


def file_root(content: bytes) -> tuple[bytes, int]:
    """The name of a file's tree, and how many nodes it has."""
    nodes: set[bytes] = set()

    def emit(plain: bytes, items: int, length: int) -> bytes:
        nodes.add(name_of(plain))
        return name_of(plain)

    return files.grown(content, emit), len(nodes)
