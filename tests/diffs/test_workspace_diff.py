"""What changed between two workspaces: by path, with renames, and without opening what is the same."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from checkpoints.diffs import words, workspace
from sickbay.tree import directory, files
from sickbay.tree.directory import Entry
from sickbay.tree.node import DIRECTORY, name_of

Tree = dict[str, Any]  # a name to bytes, or to a directory


class Disk:
    """Workspaces as nodes."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}

    def emit(self, plain: bytes, items: int = 0, length: int = 0) -> bytes:
        self.nodes[name_of(plain)] = plain
        return name_of(plain)

    def body(self, tree: Tree) -> bytes:
        entries = []
        for name, inside in sorted(tree.items(), key=lambda item: item[0].encode()):
            if isinstance(inside, bytes):
                entries.append(Entry(name.encode(), 0, len(inside), files.grown(inside, self.emit)))
            else:
                body = self.body(inside)
                small = len(body) <= directory.SMALL
                where = {"body": body} if small else {"name": self.emit(DIRECTORY + body)}
                entries.append(Entry(name.encode(), 4 if small else 3, **where))
        return directory.body_of(entries)

    def compare(self, old: Tree, new: Tree) -> list[tuple[str, str]]:
        roots = [self.emit(DIRECTORY + self.body(tree)) for tree in (old, new)]
        diff = workspace.compare(roots[0], roots[1], self.fetch)
        assert diff.complete
        return [(change.op, change.path.decode()) for change in diff.changes]

    def fetch(self, names: list[bytes]) -> dict[bytes, bytes]:
        return {name: self.nodes[name] for name in names}


def flat(tree: Tree, path: str = "") -> dict[str, bytes]:
    out: dict[str, bytes] = {}
    for name, inside in tree.items():
        if isinstance(inside, bytes):
            out[path + name] = inside
        else:
            out.update(flat(inside, f"{path}{name}/"))
    return out


def some_tree(dice: random.Random, depth: int = 0) -> Tree:
    names = [f"{letter}{number}" for letter in "abc" for number in range(3)]
    tree: Tree = {}
    for name in dice.sample(names, dice.randrange(len(names))):
        if depth < 3 and dice.random() < 0.4:
            tree[name] = some_tree(dice, depth + 1)
        else:
            tree[name] = bytes(dice.choices(b"xyz", k=dice.randrange(3)))
    return tree


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_the_changes_are_those_of_the_files(seed: int) -> None:
    """Whatever two workspaces hold: the same changes as a plain comparison of all their files."""
    dice = random.Random(seed)
    old, new = some_tree(dice), some_tree(dice)
    before, after = flat(old), flat(new)
    told = Disk().compare(old, new)
    assert {path for op, path in told if op == "change"} == {
        path for path in before.keys() & after.keys() if before[path] != after[path]
    }
    come = {path for op, path in told if op in ("add", "move")}
    assert come == after.keys() - before.keys()
    assert len({path for op, path in told if op == "remove"}) + sum(op == "move" for op, _ in told) == len(
        before.keys() - after.keys()
    )


def test_a_renamed_file_is_one_change() -> None:
    """The same bytes under another name."""
    told = Disk().compare({"work": {"ledger.csv": b"1,2\n"}}, {"work": {"book.csv": b"1,2\n"}, "x": b"y"})
    assert told == [("move", "work/book.csv"), ("add", "x")]


def test_what_became_a_directory_is_gone_and_come() -> None:
    """A file in the place of a directory, and the other way round."""
    assert Disk().compare({"a": b"1"}, {"a": {"b": b"2"}}) == [("remove", "a"), ("add", "a/b")]


@settings(max_examples=100, deadline=None)
@given(st.text("ab \n.", max_size=60), st.text("ab \n.", max_size=60))
def test_a_text_is_both_texts(old: str, new: str) -> None:
    """The spans that stayed and went are the old text, those that stayed and came the new one."""
    spans = words.compare(old, new)
    assert "".join(span.text for span in spans if span.kind != "add") == old
    assert "".join(span.text for span in spans if span.kind != "del") == new


def test_a_changed_word_is_the_word_alone() -> None:
    """Not the sentence."""
    spans = words.compare("The refund is 50 euros today.", "The refund is 500 euros today.")
    assert [tuple(span) for span in spans if span.kind != "same"] == [("del", "50"), ("add", "500")]
