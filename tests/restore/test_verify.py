"""Damage is found: by verify, by reading, bit by bit; and what is damaged is never shown as good."""

from __future__ import annotations

import random
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from agents.models import Agent, Project
from checkpoints import store
from checkpoints.models import Checkpoint
from checkpoints.services import verifying
from sickbay.tree.read import Damaged, text_of
from tests import builders
from tests.contract.test_operators_api import Operator
from tests.restore.taker import Taker

pytestmark = pytest.mark.django_db
FLIPS = 500
NODE = ("hash", "base", "body", "length", "items", "plain", "crc", "depth", "enc", "kind", "height")
ROW = (
    "root_body", "root", "memory", "root_base", "memory_length", "memory_items", "act", "crc", "root_plain",
    "root_enc", "root_kind", "root_depth", "root_chain", "files", "passes", "actions", "label", "last_action",
)  # fmt: skip


@pytest.fixture
def history(taker: Taker) -> Taker:
    """Twelve checkpoints, deltas and leaves among them, and one without news."""
    rng = random.Random(3)
    memory: dict[str, Any] = {"messages": [], "scratch": {}}
    for step in range(12):
        words = " ".join(rng.choices(("alpha", "beta", "gamma", "delta", "epsilon"), k=300))
        memory["messages"].append({"role": "user", "content": f"{rng.random()} {words}"})
        memory["scratch"]["cursor"] = step
        assert taker.take(memory, label=f"step {step}").status_code == 200
    assert taker.take(memory).status_code == 200
    return taker


def verify(project: Project) -> verifying.Found:
    return verifying.verify(project, timezone.now())


def flipped(value: Any, rng: random.Random) -> Any:
    if isinstance(value, int):
        return value ^ (1 << rng.randrange(15))
    raw = bytearray(value.encode() if isinstance(value, str) else value)
    raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(7 if isinstance(value, str) else 8)
    return raw.decode() if isinstance(value, str) else bytes(raw)


def flip_one(rng: random.Random) -> str:
    """Some bit of some column of some row; what it was."""
    table, key, columns = rng.choice(
        [("checkpoints_node", "hash", NODE), ("checkpoints_checkpoint", "id", ROW)]
    )
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {key} FROM {table} ORDER BY {key}")
        row = rng.choice(cursor.fetchall())[0]
        for _ in range(50):
            column = rng.choice(columns) if rng.random() < 0.5 else columns[2 if key == "hash" else 0]
            cursor.execute(f"SELECT {column} FROM {table} WHERE {key} = %s", [row])
            value = cursor.fetchone()[0]
            if value is not None and value != "" and value != b"":
                new = flipped(value, rng)
                if new != value and (not isinstance(new, str) or "\0" not in new):
                    cursor.execute(f"UPDATE {table} SET {column} = %s WHERE {key} = %s", [new, row])
                    return f"{table}.{column}"
    raise AssertionError("nothing to flip")


def test_every_flipped_bit_is_found(history: Taker, project: Project) -> None:
    """P11: 500 of 500, in nodes and in rows, each with a checkpoint that it hurts or a node's name."""
    assert verify(project).is_whole
    rng, missed = random.Random(11), []
    for _ in range(FLIPS):
        with transaction.atomic():
            where = flip_one(rng)
            if verify(project).is_whole:
                missed.append(where)
            transaction.set_rollback(True)
    assert missed == []
    assert verify(project).is_whole


def test_what_is_damaged_is_bad_and_stays_so(history: Taker, project: Project) -> None:
    """Every checkpoint that needs the node; nobody can call it good, and last known good is another."""
    first = Checkpoint.objects.order_by("at")[0]
    assert Agent.objects.get().last_good == first.pk
    with connection.cursor() as cursor:
        cursor.execute("UPDATE checkpoints_node SET body = set_byte(body, 20, get_byte(body, 20) # 1)")
    found = verify(project)
    hurt = Checkpoint.objects.filter(standing="bad")
    assert found.damaged and set(hurt.values_list("pk", flat=True)) == set(found.damaged)
    newest = Checkpoint.objects.order_by("-at")[0]
    assert newest.standing == "bad" and newest.reason.startswith("damaged: node")
    said = {"standing": "good", "reason": "looks fine to me"}
    status, body = Operator(project).post(f"checkpoints/{newest.pk}/judge/", said)
    assert (status, body["error"]) == (409, "damaged")
    assert Agent.objects.get().last_good == first.pk


FLIP = "UPDATE checkpoints_node SET body = set_byte(body, 20, get_byte(body, 20) # 1)"


def test_what_was_repaired_is_unproven_again(history: Taker, project: Project) -> None:
    """Rows that came back from a backup are no longer called damaged, and a human may judge them."""
    with connection.cursor() as cursor:
        cursor.execute(FLIP)
        hurt = verify(project).damaged
        cursor.execute(FLIP)
    assert verify(project).mended == len(hurt) and verify(project).mended == 0
    rows = Checkpoint.objects.filter(pk__in=list(hurt))
    assert set(rows.values_list("standing", "judged_by")) == {("unproven", "")}
    said = {"standing": "good", "reason": "compared it with the backup"}
    assert Operator(project).post(f"checkpoints/{rows[0].pk}/judge/", said)[0] == 200


def test_the_command_names_agents_and_answers_for_the_one_asked(history: Taker, project: Project) -> None:
    """A line says whose checkpoint it is; whoever asks for one agent is not failed by another's damage."""
    builders.make_agent(project, "other")
    with connection.cursor() as cursor:
        cursor.execute(FLIP)
    said = StringIO()
    with pytest.raises(CommandError, match="there is damage"):
        call_command("verify", stdout=said)
    assert " of refund-desk, " in said.getvalue() and "“step 11”" in said.getvalue()
    said = StringIO()
    call_command("verify", "--agent", "other", stdout=said)
    assert "the checkpoints of other are whole" in said.getvalue()


def test_damage_is_found_on_every_read(history: Taker, project: Project) -> None:
    """An agent is told, and given no bytes."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE checkpoints_node SET body = set_byte(body, 20, get_byte(body, 20) # 1)")
    newest = Checkpoint.objects.order_by("-at")[0]
    assert newest.memory is not None
    with pytest.raises(Damaged):
        text_of(newest.memory, lambda names: store.fetch(project.pk, names))
    names = store.names_of(project.pk)
    answer = history.post("read/", b"".join(names))
    assert (answer.status_code, answer.json()["error"]) == (409, "damaged")


def test_a_missing_node_is_damage(history: Taker, project: Project) -> None:
    """The checkpoints that need it are named."""
    name = next(iter(store.names_of(project.pk)))
    store.sweep(project.pk, [name])
    found = verify(project)
    assert found.damaged and any("missing" in why for why in found.damaged.values())


def test_the_command_says_what_is_damaged(history: Taker, project: Project) -> None:
    """Quietly when all is whole; with names, and a failure, when not."""
    out = StringIO()
    call_command("verify", project="main", stdout=out)
    assert "13 checkpoints" in out.getvalue() and "all of it is whole" in out.getvalue()
    Checkpoint.objects.filter(label="step 3").update(act=99)
    with pytest.raises(CommandError):
        call_command("verify", agent="refund-desk", stdout=out)
    assert "its row was changed" in out.getvalue()
