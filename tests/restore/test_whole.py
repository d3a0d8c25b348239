"""Parts that are right by themselves and not together: refused at the door, and found in what is stored."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

import sickbay.tree
from agents.models import Project
from checkpoints import measuring, store, whole
from checkpoints.models import Checkpoint, Node, Standing
from checkpoints.services import admitting, verifying
from sdk.tests.tree.test_bombs import Bomb
from sickbay.tree import record
from sickbay.tree.grow import grow
from sickbay.tree.node import LEAF, NODE, BadNode, Piece, container, name_of
from tests.restore.taker import Taker

pytestmark = pytest.mark.django_db
KEPT: dict[str, Any] = json.loads((Path(sickbay.tree.__file__).parent / "vectors/refused.json").read_text())


def records_of(name: str) -> list[record.Record]:
    found = []
    for one in KEPT[name]["nodes"]:
        plain = bytes.fromhex(one["plain"])
        found.append(record.Record(name_of(plain), 0, b"", len(plain), one["items"], one["length"], plain))
    return found


def forge(taker: Taker, name: str) -> None:
    """What the taker says it holds is the vector's tree."""
    taker.tree = copy.copy(grow(b"[]"))
    taker.tree.root = bytes.fromhex(KEPT[name]["root"])


@pytest.mark.parametrize("name", KEPT)
def test_they_are_refused_at_the_door(taker: Taker, name: str) -> None:
    """With the checkpoint, and in the requests before it; nothing of them is kept."""
    forge(taker, name)
    *parts, root = records_of(name)
    answer = taker.send(taker.header(), [*parts, root])
    assert answer.status_code == 422 and (
        "key twice" in answer.content.decode() or "string" in answer.content.decode()
    )
    assert taker.stage(uuid.uuid4().hex, [*parts, root]).status_code == 422
    assert not Node.objects.exists() and not Checkpoint.objects.exists()
    assert not parts or taker.stage(uuid.uuid4().hex, parts).status_code == 200
    assert taker.send(taker.header(), [root]).status_code == 422


@pytest.mark.parametrize("name", KEPT)
def test_they_are_found_where_they_are_stored(
    taker: Taker, project: Project, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As from before they were refused: `verify` names them, and the checkpoint is bad."""
    monkeypatch.setattr(admitting, "MOST_JUDGED", -1)
    good = taker.take({"messages": ["hello"]}).json()["id"]
    forge(taker, name)
    assert taker.send(taker.header(), records_of(name)).status_code == 200
    bad = taker.parent
    assert bad is not None
    later = taker.take({"messages": ["hello", "again"]}).json()["id"]
    found = verifying.verify(project, timezone.now())
    assert list(map(str, found.damaged)) == [bad]
    said = found.damaged[uuid.UUID(bad)]
    assert "key twice" in said or "string" in said
    standings = {str(one.pk): one.standing for one in Checkpoint.objects.all()}
    assert standings[bad] == Standing.BAD and Standing.BAD not in (standings[good], standings[later])


def test_what_the_base_proves_is_not_loaded_again(taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    """A huge string and a large object that stay cost a step nothing; a new key has it looked at."""
    memory: dict[str, Any] = {
        "page": "word " * 40_000,
        "orders": {f"order/{n}": "x" * 90 for n in range(900)},
    }
    assert taker.take({**memory, "n": 0}).status_code == 200
    loaded: list[int] = []
    fetch = store.fetch

    def counted(at: int, names: Collection[bytes]) -> dict[bytes, bytes]:
        loaded.append(len(names))
        return fetch(at, names)

    monkeypatch.setattr(store, "fetch", counted)
    for n in range(1, 4):
        assert taker.take({**memory, "n": n}).status_code == 200
    assert not sum(loaded)
    memory["orders"]["one more"] = "y" * 90
    assert taker.take({**memory, "n": 4}).status_code == 200 and sum(loaded)


def test_a_memory_that_no_agent_could_put_back_is_refused(taker: Taker) -> None:
    """A few lists that stand in each other for gigabytes: told how much they say to be; nothing is kept."""
    bomb = Bomb()
    root = bomb.lists(9, 10)
    found = [(name, plain, measuring.read(plain)) for name, plain in bomb.nodes.items()]
    records = [
        record.Record(name, 0, b"", len(plain), one.items, one.length, plain) for name, plain, one in found
    ]
    taker.tree = copy.copy(grow(b"[]"))
    taker.tree.root = root
    answer = taker.send(taker.header(), records)
    assert answer.status_code in (413, 422) and "can be put back" in answer.content.decode()
    assert not Node.objects.exists() and not Checkpoint.objects.exists()


def test_groups_of_an_object_that_stand_in_each_other_are_not_walked() -> None:
    """A group that is there twice has its keys twice: known before it is read, whatever it multiplies to."""
    bomb = Bomb()
    name, items, length, tag = bomb.put(b'T{"a":1'), 1, 5, LEAF
    for _ in range(16):
        pair = container(b"N{", [Piece(tag, items, length, name)] * 2)
        name, items, length, tag = bomb.put(pair), items * 2, 2 * length + 1, NODE
    root = container(b"C{", [Piece(tag, items, length, name)])
    with pytest.raises(BadNode, match="key twice"):
        whole.Wholes(bomb.fetch).judge(whole.parts_of(root), whole.parts_of(None))
    assert bomb.asked == 1
