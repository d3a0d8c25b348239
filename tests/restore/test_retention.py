"""Thinning and sweeping: what must stay stays, what goes frees its bytes, and no upload loses a node."""

from __future__ import annotations

import datetime as dt
import random
import threading
import uuid
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from agents import access
from agents.models import Agent, Incident, Project
from checkpoints import store, thinning
from checkpoints.models import Checkpoint, Lease, Node, Watch
from checkpoints.services import retention, sweeping, verifying
from sickbay.tree.read import text_of
from sickbay.tree.text import dump
from tests.restore.taker import Taker, whole

HOUR = dt.timedelta(hours=1)
NOW = dt.datetime(2026, 3, 4, 3, 12, tzinfo=dt.UTC)


def memory_of(step: int, rng: random.Random) -> dict[str, Any]:
    words = [f"{rng.random()}" for _ in range(900)]
    return {"messages": [{"n": step, "content": " ".join(words)}], "scratch": {"cursor": step}}


def set_policy(agent: Agent, steps: object) -> None:
    by = access.automation("the tests", agent.project_id)
    retention.set_policy(actor=by, agent=agent, steps=steps, now=NOW)


def age(project: Project, by: dt.timedelta) -> None:
    """As if everything had been taken earlier; the rows' sums are as they would be."""
    from checkpoints.services import taking

    for found in Checkpoint.objects.filter(project=project).select_related("dependencies"):
        found.at -= by
        Checkpoint.objects.filter(pk=found.pk).update(at=found.at, crc=taking.crc_of(found))


def test_thinning_keeps_one_in_each_stretch() -> None:
    """All of the last hour, then the newest good one of ten minutes, of an hour, of a day."""
    seen = [thinning.Seen(n, NOW - n * dt.timedelta(minutes=1), n % 7 == 0) for n in range(60 * 48)]
    kept = thinning.left_by_age(seen, thinning.DEFAULT, NOW)
    assert set(range(60)) <= kept
    day = [n for n in kept if isinstance(n, int) and 60 <= n < 1440]
    assert len(day) in (138, 139) and all(n % 7 == 0 for n in sorted(day)[1:-1])
    assert len(kept) - 60 - len(day) in (24, 25)
    assert thinning.left_by_age([one for one in seen if one.id in kept], thinning.DEFAULT, NOW) == kept


def test_what_a_watch_compares_with_stays(taker: Taker, project: Project) -> None:
    """Whatever its age, and no longer than it is watched."""
    history(taker, 10)
    age(project, dt.timedelta(days=3))
    agent, found = Agent.objects.get(), list(Checkpoint.objects.order_by("at"))
    set_policy(agent, [(60, 0)])
    watch = Watch.objects.create(
        agent=agent, at=NOW, by="alice", path="scratch", op="as_in", value=str(found[4].pk), where="memory"
    )
    done = retention.retain(project, timezone.now())
    assert done.kept["by watches"] == 1 and Checkpoint.objects.filter(pk=found[4].pk).exists()
    watch.delete()
    retention.retain(project, timezone.now())
    assert not Checkpoint.objects.filter(pk=found[4].pk).exists()


@pytest.mark.parametrize("steps", [[], "x", [(60, -1)], [(60, 1), (60, 2)]])
def test_a_policy_that_means_nothing_is_refused(steps: object) -> None:
    """With the reason."""
    with pytest.raises(ValueError):
        thinning.checked(steps)


def history(taker: Taker, count: int) -> list[bytes]:
    rng, memory, texts = random.Random(5), {"messages": [], "scratch": {}}, []
    for step in range(count):
        memory["messages"] += memory_of(step, rng)["messages"]  # type: ignore[operator]
        memory["scratch"] = {"cursor": step}
        assert taker.take(memory).status_code == 200
        texts.append(dump(memory))
    return texts


def read_back(found: Checkpoint) -> bytes:
    assert found.memory is not None
    return text_of(found.memory, lambda names: store.fetch(found.project_id, names))


@pytest.mark.django_db
def test_dropping_one_hurts_no_other(taker: Taker, project: Project) -> None:
    """What is left reads as before and verifies; roots that others are built on became nodes."""
    texts = history(taker, 25)
    agent = Agent.objects.get()
    found = list(Checkpoint.objects.order_by("at"))
    Checkpoint.objects.filter(pk=found[7].pk).update(pinned=True)
    set_policy(agent, [(3600, 0), (None, 86_400 * 365 * 100)])
    age(project, 2 * HOUR)
    done = retention.retain(project, timezone.now())
    left = list(Checkpoint.objects.order_by("at"))
    assert {found[0].pk, found[7].pk, found[24].pk} == {one.pk for one in left}  # last good, pinned, newest
    assert done.dropped == 22 and done.kept == {"by age": 1, "pinned": 1, "newest": 1}
    by_id = {one.pk: text for one, text in zip(found, texts, strict=True)}
    assert [read_back(one) for one in left] == [by_id[one.pk] for one in left]
    assert [one.parent for one in left] == [None, left[0].pk, left[1].pk]
    assert verifying.verify(project, timezone.now()).is_whole
    assert taker.take({"messages": [], "scratch": {}}).status_code == 200
    assert verifying.verify(project, timezone.now()).is_whole


@pytest.mark.django_db
def test_what_nothing_needs_is_freed_and_said(taker: Taker, project: Project) -> None:
    """The command names checkpoints, nodes and bytes; a second time there is nothing."""
    rng = random.Random(1)
    for step in range(6):
        assert taker.take({"messages": [memory_of(n, rng) for n in range(4)], "n": step}).status_code == 200
    agent = Agent.objects.get()
    set_policy(agent, [(1, 0)])
    age(project, 2 * HOUR)
    before, out = Node.objects.count(), StringIO()
    call_command("retain", project="main", stdout=out)
    assert "main: dropped 4 checkpoints, freed " in out.getvalue()
    assert Node.objects.count() < before
    assert retention.retain(project, timezone.now()).freed.nodes == 0
    assert verifying.verify(project, timezone.now()).is_whole


@pytest.mark.django_db
def test_what_an_incident_speaks_of_stays(taker: Taker, project: Project) -> None:
    """The last good one before it, and those up to it."""
    history(taker, 4)
    agent = Agent.objects.get()
    incident = Incident.objects.create(
        project=project, agent=agent, cause="human", title="x", opened_at=timezone.now()
    )
    incident.instances.add(taker.instance())
    history(taker, 3)
    set_policy(agent, [(1, 0)])
    age(project, 2 * HOUR)
    Incident.objects.update(opened_at=incident.opened_at - 2 * HOUR)
    retention.retain(project, timezone.now())
    assert Checkpoint.objects.count() == 5  # the four before it, and the newest


@pytest.mark.django_db
def test_an_upload_under_way_keeps_its_nodes_for_an_hour(taker: Taker, project: Project) -> None:
    """Its lease is renewed by each part; when it has run out, they go."""
    taker.records(memory_of(1, random.Random(2)))
    assert taker.tree is not None
    upload = uuid.uuid4().hex
    assert taker.stage(upload, map(whole, taker.tree.new)).json()["stored"] == len(taker.tree.new)
    assert sweeping.sweep(project.pk, timezone.now()).nodes == 0
    assert sweeping.sweep(project.pk, timezone.now() + 2 * HOUR).nodes == len(taker.tree.new)
    assert not Node.objects.exists() and not Lease.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_no_upload_loses_a_node_to_a_sweep(taker: Taker, project: Project) -> None:
    """Uploads that come back to nodes that are being swept, while another connection drops and sweeps."""
    rng = random.Random(9)
    memories = [{"messages": [memory_of(n, rng) for n in range(3)], "which": which} for which in range(4)]
    agent = Agent.objects.get()
    set_policy(agent, [(0.001, 0)])
    done, errors, swept = threading.Event(), [], []

    def keep_sweeping() -> None:
        try:
            while not done.is_set():
                swept.append(retention.retain(project, timezone.now()).freed.nodes)
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    sweeper = threading.Thread(target=keep_sweeping)
    sweeper.start()
    resent = 0
    try:
        for step in range(60):
            fresh = Taker(taker.wire)
            fresh.parent = taker.parent
            records = fresh.records(memories[step % 4])
            header = fresh.header()
            asked = fresh.post("missing/", b"".join(one.name for one in records)).json()["missing"]
            send = [one for one in records if one.name.hex() in asked]
            while (answer := fresh.send(header, send)).status_code == 409:
                wanted = answer.json()["missing"]
                send += [one for one in records if one.name.hex() in wanted]
                send.sort(key=records.index)
                resent += 1
            assert answer.status_code == 200
            taker.parent = fresh.parent
    finally:
        done.set()
        sweeper.join(60)
    assert errors == [] and sum(swept) > 0
    assert verifying.verify(project, timezone.now()).is_whole
    assert read_back(Checkpoint.objects.order_by("-at")[0]) == dump(memories[59 % 4])
