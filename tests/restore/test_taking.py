"""Taking a checkpoint over the wire: all of it is stored, once, or nothing."""

from __future__ import annotations

import copy
import random
import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents.models import Agent, Entry, Instance, Project
from checkpoints import store
from checkpoints.models import Checkpoint, Lease, Node
from sickbay.tree import pack, record
from sickbay.tree.grow import grow
from sickbay.tree.node import name_of, varint
from sickbay.tree.read import text_of
from sickbay.tree.text import dump
from tests.builders import Wire, make_project, make_token
from tests.restore.taker import Taker, whole

pytestmark = pytest.mark.django_db


def messages(count: int, size: int = 400) -> dict[str, Any]:
    listed = [{"role": "user", "n": n, "content": f"{n} words " * (size // 8)} for n in range(count)]
    return {"instructions": "be kind", "messages": listed, "scratch": {"cursor": count}}


def read_back(found: Checkpoint) -> bytes:
    assert found.memory is not None
    return text_of(found.memory, lambda names: store.fetch(found.project_id, names))


def test_what_was_taken_is_read_back_byte_by_byte(taker: Taker) -> None:
    """Every one of a growing history, whether its root is a delta or whole."""
    texts, memory = [], messages(5)
    for step in range(60):
        memory["messages"].append({"role": "user", "content": f"step {step} " * 40})
        memory["scratch"]["cursor"] = step
        assert taker.take(memory).json()["missing"] == []
        texts.append(dump(memory))
    found = list(Checkpoint.objects.order_by("at"))
    assert [read_back(one) for one in found] == texts
    assert [one.memory_length for one in found] == list(map(len, texts))
    assert max(one.root_depth for one in found) > 1
    assert {one.parent for one in found[1:]} == {one.pk for one in found[:-1]}


def test_nothing_changed_is_still_a_checkpoint(taker: Taker) -> None:
    """A row, and not one node."""
    taker.take(messages(80))
    before = Node.objects.count()
    answer = taker.take(messages(80))
    assert answer.status_code == 200 and Node.objects.count() == before
    first, second = Checkpoint.objects.order_by("at")
    assert first.memory == second.memory and second.root_body is None and first.root != second.root
    assert read_back(second) == dump(messages(80))


def test_a_checkpoint_asks_the_database_in_few_trips(taker: Taker) -> None:
    """However long the history: what was there, what it leads to, the row with its entry, the versions."""
    memory = messages(30)
    trips = []
    for step in range(12):
        memory["messages"].append({"role": "user", "content": f"step {step} " * 40})
        records = taker.records(memory)
        with CaptureQueriesContext(connection) as asked:
            assert taker.send(taker.header(), records).status_code == 200
        trips.append(len([one for one in asked if "checkpoints_" in one["sql"] or "agents_" in one["sql"]]))
    assert max(trips[2:]) <= 8, trips


def test_more_bases_than_come_at_once_are_found(taker: Taker) -> None:
    """Each of many deltas is unpacked against its own stored base."""
    taker.take(messages(1))
    texts = [random.Random(n).randbytes(300).hex() for n in range(40)]
    plains = [b"T[" + dump(text) for text in texts]
    later = [b"T[" + dump(text + "more") for text in texts]
    sent = [record.Record(name_of(p), 0, b"", len(p), 1, len(p) - 2, p) for p in plains]
    assert taker.stage(uuid.uuid4().hex, sent).status_code == 200
    deltas = []
    for base, plain in zip(plains, later, strict=True):
        enc, payload = pack.pack(plain, base)
        assert enc == pack.AGAINST
        deltas.append(
            record.Record(name_of(plain), enc, name_of(base), len(plain), 1, len(plain) - 2, payload)
        )
    for part in (deltas[:3], deltas[3:]):
        assert taker.stage(uuid.uuid4().hex, part).status_code == 200
    project = Checkpoint.objects.get().project_id
    assert store.fetch(project, [name_of(one) for one in later]) == {name_of(one): one for one in later}


def test_the_same_id_again_has_the_same_answer(taker: Taker) -> None:
    """Once stored, once told; other contents under the same id are a conflict."""
    records = taker.records(messages(3))
    header = taker.header()
    first, second = taker.send(header, records), taker.send(header, records)
    assert first.json() == second.json() and Checkpoint.objects.count() == 1
    assert Entry.objects.filter(kind="checkpoint").count() == 1
    other = taker.records(messages(4))
    assert taker.tree is not None
    changed = {**header, "manifest": {**header["manifest"], "memory": taker.tree.root.hex()}}
    refused = taker.send(changed, other)
    assert (refused.status_code, refused.json()["error"]) == (409, "conflict")


def test_one_entry_in_the_timeline_and_a_new_version(taker: Taker) -> None:
    """The agent's version goes up, and its last known good is the first."""
    before = Agent.objects.get().version
    answer = taker.take(messages(3), label="after refund")
    entry = Entry.objects.get(kind="checkpoint")
    assert (entry.ref, entry.outcome, entry.name) == (answer.json()["id"], "good", "after refund")
    agent = Agent.objects.get()
    assert agent.version > before and str(agent.last_good) == answer.json()["id"]


def test_missing_nodes_are_named_and_then_taken(taker: Taker) -> None:
    """Children and bases that are not there are asked for; nothing is stored before."""
    taker.take(messages(100))
    fresh = Taker(taker.wire)
    fresh.records(messages(300))
    assert fresh.tree is not None
    root = next(new for new in fresh.tree.new if new.name == fresh.tree.root)
    answer = fresh.send(fresh.header(), [whole(root)])
    wanted = {bytes.fromhex(name) for name in answer.json()["missing"]}
    assert answer.status_code == 409 and answer.json()["error"] == "missing_nodes" and wanted
    assert Checkpoint.objects.count() == 1
    asked = fresh.post("missing/", b"".join(new.name for new in fresh.tree.new)).json()["missing"]
    assert {root.name.hex()} <= set(asked)
    send = [whole(new) for new in fresh.tree.new if new.name.hex() in asked]
    assert fresh.send(fresh.header(), send).status_code == 200
    assert read_back(taker.newest()) == dump(messages(300))


def test_another_projects_nodes_are_missing(taker: Taker) -> None:
    """A hash alone grants nothing: not to name, not to build on, not to read."""
    taker.take(messages(100))
    assert taker.tree is not None
    names = sorted(taker.tree.names)
    foreign = Wire(make_token(make_project("elsewhere")))
    foreign.register()
    other = Taker(foreign)
    other.tree, other.plains = taker.tree, taker.plains
    assert len(other.post("missing/", b"".join(names)).json()["missing"]) == len(names)
    assert other.post("read/", b"".join(names)).content == b""
    assert other.send(other.header(), []).json()["missing"] == [taker.tree.root.hex()]
    delta = other.records(messages(101))
    assert other.send(other.header(), delta).status_code == 409
    assert other.get(f"{taker.parent}/").status_code == 404


def test_nodes_are_read_back_as_they_were_asked(taker: Taker) -> None:
    """By themselves, in order; unknown names are left out."""
    for count in (100, 101, 102):
        taker.take(messages(count))
    assert taker.tree is not None
    names = [taker.tree.root, b"\0" * 32, *sorted(taker.tree.names - {taker.tree.root})]
    answer = taker.post("read/", b"".join(names))
    found = list(record.read(answer.content))
    assert [one.name for one in found] == [name for name in names if name != b"\0" * 32]
    assert all(not one.base for one in found) and answer.headers["Sickbay-Read"] == str(len(names))


def test_a_large_one_arrives_in_parts_under_a_lease(taker: Taker) -> None:
    """Its nodes wait; the checkpoint ends the lease."""
    taker.records(messages(300))
    header = taker.header()
    assert taker.tree is not None
    nodes = [whole(new) for new in taker.tree.new]
    for start in range(0, len(nodes), 4):
        assert taker.stage(header["id"], nodes[start : start + 4]).status_code == 200
    assert Lease.objects.filter(upload=uuid.UUID(header["id"])).count() == -(-len(nodes) // 4)
    assert not Checkpoint.objects.exists()
    assert taker.send(header, []).status_code == 200
    assert not Lease.objects.exists() and read_back(taker.newest()) == dump(messages(300))


def test_an_outdated_writer_is_fenced(taker: Taker) -> None:
    """A newer process has started: nothing of the old one is taken, not even nodes."""
    newer = Wire(taker.wire.token)
    newer.register()
    records = taker.records(messages(100))
    for answer in (taker.send(taker.header(), records), taker.stage(uuid.uuid4().hex, records)):
        assert (answer.status_code, answer.json()["error"]) == (409, "fenced")
    assert not Checkpoint.objects.exists() and not Node.objects.exists()


def test_the_newest_usable_one_is_what_a_run_goes_on_from(taker: Taker) -> None:
    """Not a suspect one; 404 when there is none."""
    assert taker.get("newest/").status_code == 404
    good = taker.take(messages(3)).json()["id"]
    assert taker.take(messages(4), facts={"failing": True}).json()["standing"] == "suspect"
    told = taker.get("newest/").json()
    assert told["id"] == good and told["standing"] == "good" and told["workspace"] is None
    assert taker.get(f"{taker.parent}/").json()["standing"] == "suspect"


def test_order_is_the_servers_whatever_the_agents_clock_says(taker: Taker) -> None:
    """An hour back between two checkpoints of an instance: the second still comes second."""
    taker.take(messages(3))
    taker.take(messages(4), at=taker.wire.now() - 3600)
    first, second = Checkpoint.objects.order_by("act")
    assert second.at > first.at


def test_a_checkpoint_needs_its_agent(project: Project) -> None:
    """Without a register there is no instance to take one of."""
    wire = Wire(make_token(project))
    assert Taker(wire).get("newest/").status_code == 404
    assert not Instance.objects.exists()


def bad(taker: Taker, changed: record.Record) -> tuple[int, str]:
    records = [changed if one.name == changed.name else one for one in map(whole, taker.tree.new)]  # type: ignore[union-attr]
    answer = taker.send(taker.header(), records)
    return answer.status_code, answer.json()["error"]


@pytest.mark.parametrize("wrong", ["name", "items", "length", "plain", "payload", "encoding"])
def test_a_record_that_is_not_what_it_says_is_refused(taker: Taker, wrong: str) -> None:
    """And with it the whole upload."""
    taker.records(messages(100))
    assert taker.tree is not None
    one = whole(taker.tree.new[0])
    changes: dict[str, Any] = {
        "name": {"payload": whole(taker.tree.new[1]).payload, "plain_length": len(taker.tree.new[1].plain)},
        "items": {"items": one.items + 1},
        "length": {"length": one.length - 1},
        "plain": {"plain_length": one.plain_length - 1},
        "payload": {"payload": one.payload[:-1]},
        "encoding": {"encoding": 0},
    }
    assert bad(taker, one._replace(**changes[wrong])) == (422, "bad_node")
    assert not Node.objects.exists() and not Checkpoint.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{}", b"not json\n", b'{"id":1}\n', b"\n\n\n", b"[" * 5000 + b"\n"])
def test_a_body_that_cannot_be_read_is_refused(taker: Taker, body: bytes) -> None:
    """With the reason, and no 500."""
    assert taker.post("", body).status_code == 422
    assert taker.post("missing/", body + b"x" * 33).status_code == 422
    assert taker.post("nodes/", b"\xff" * 40, upload=uuid.uuid4().hex).status_code == 422
    assert taker.post("nodes/", b"", upload="no").status_code == 422


def test_a_delta_whose_base_is_unknown_is_missing(taker: Taker) -> None:
    """The base is named, and the same node is taken when it comes by itself."""
    taker.take(messages(100))
    taker.take(messages(101))
    tree = grow(dump(messages(102)), taker.tree)
    root = next(new for new in tree.new if new.name == tree.root)
    base = b"\7" * 32
    lost = record.Record(root.name, pack.AGAINST, base, len(root.plain), root.items, root.length, b"x")
    taker.tree = tree
    answer = taker.send(taker.header(), [lost])
    assert answer.json()["missing"] == [base.hex()]
    assert taker.send(taker.header(), map(whole, tree.new)).status_code == 200


def bomb(levels: int) -> list[record.Record]:
    """Containers that hold the one below a hundred times: 100 ** levels items of text in a few kilobytes."""
    from sickbay.tree.node import LIST, SUB, Piece, container, name_of, text_length

    plain, items, length = b"T[1,1", 2, 3
    made = [(plain, items, length)]
    plain = container(LIST, [Piece(1, 2, 3, name=name_of(plain))])
    made.append((plain, 2, 5))
    for _ in range(levels):
        name, length = name_of(made[-1][0]), made[-1][2]
        pieces = [Piece(SUB, 1, length, name=name)] * 100
        made.append((container(LIST, pieces), 100, text_length(pieces) + 2))
    return [record.Record(name_of(p), 0, b"", len(p), n, size, p) for p, n, size in made]


def test_shared_subtrees_cannot_stand_for_terabytes(taker: Taker) -> None:
    """Refused by arithmetic, with nothing kept."""
    records = bomb(7)
    taker.tree = copy.copy(grow(b"[]"))
    taker.tree.root = records[-1].name
    answer = taker.send(taker.header(), records)
    assert (answer.status_code, answer.json()["error"]) == (413, "too_much")
    assert not Node.objects.exists()


def test_ten_million_entries_are_refused(taker: Taker) -> None:
    """A list that says so is told how many are kept."""
    leaf = b"T[" + b",".join([b"1"] * 4000)
    from sickbay.tree.node import LIST, LIST_INDEX, Piece, container, name_of, text_length

    pieces = [Piece(1, 4000, len(leaf) - 2, name=name_of(leaf))] * 2500
    group = container(LIST_INDEX, pieces)
    top = container(LIST, [Piece(3, 10_000_000, text_length(pieces), name=name_of(group))])
    sizes = [(leaf, 4000, len(leaf) - 2), (group, 10_000_000, text_length(pieces))]
    sizes.append((top, 10_000_000, text_length(pieces) + 2))
    records = [record.Record(name_of(p), 0, b"", len(p), n, size, p) for p, n, size in sizes]
    taker.tree = copy.copy(grow(b"[]"))
    taker.tree.root = name_of(top)
    answer = taker.send(taker.header(), records)
    assert answer.status_code == 413 and "5,000,000 are kept" in answer.json()["message"]


def test_declared_sizes_are_judged_before_anything_is_unpacked(taker: Taker) -> None:
    """A node of a gigabyte, and a thousand of eight megabytes."""
    import zstandard

    packed = zstandard.ZstdCompressor().compress(bytes(1 << 23))
    huge = record.Record(b"\1" * 32, 1, b"", 1 << 30, 0, 1, packed)
    many = [record.Record(bytes([n]) * 32, 1, b"", 1 << 23, 0, 1, packed) for n in range(20)]
    upload = uuid.uuid4().hex
    assert taker.stage(upload, [huge]).status_code == 413
    assert taker.stage(upload, many).status_code == 413
    assert taker.stage(upload, [huge._replace(plain_length=5)]).status_code == 422


@pytest.mark.parametrize(
    "plain", [b"T[1, 2", b"T[", b"T[1.0e5", b'T{"a":1,"a":2', b"C[\x00\x02\x011", b"K {}"]
)
def test_text_that_is_not_canonical_is_refused(taker: Taker, plain: bytes) -> None:
    """A name stands for one spelling; manifests are made here."""
    from sickbay.tree.node import name_of

    one = record.Record(name_of(plain), 0, b"", len(plain), 2, len(plain) - 2, plain)
    assert taker.stage(uuid.uuid4().hex, [one]).status_code == 422


def test_a_number_that_is_longer_than_it_must_be_is_refused(taker: Taker) -> None:
    """Records are spelled one way only."""
    assert varint(0) == b"\0"
    assert taker.post("nodes/", b"\x80\x00", upload=uuid.uuid4().hex).status_code == 422
