"""The SDK's own link against the real web server: both ends mean the same by every word."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from agents import access
from agents.models import Agent, Entry, Incident, Instance, Project, Quarantine, Run, User
from agents.services import decisions, pauses
from sdk.tests.durable import Heard, event, linked
from sickbay._errors import TokenRefused
from sickbay._home import Home
from sickbay._link import Link, Unreachable
from tests.builders import make_token
from tests.faults.proxy import Proxy
from tests.product import Daphne, running_daphne
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
Starting = Callable[..., Link]

WRITER = """
import sys, time
from pathlib import Path
from sdk.tests.durable import Heard, event, linked
from sickbay._home import Home
base, url, token, run = sys.argv[1:]
home = Home.open("refund-desk", "main", Path(base))
home.spool.begin(run, time.time())
link = linked(home, url, Heard(), token)
link.register()
for number in range(1_000_000):
    home.spool.append({**event(number), "at": time.time()})
    print(number, flush=True)
"""


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


@pytest.fixture
def token(transactional_db: None, project: Project) -> str:
    return make_token(project)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def start(tmp_path: Path, daphne: Daphne, token: str) -> Iterator[Starting]:
    """Starts a process' worth of agent: a home, a run, a link. All is closed in the end."""
    started: list[Link] = []

    def starting(heard: Heard, url: str = daphne.url, base: str = "home", **more: Any) -> Link:
        home = Home.open("refund-desk", "main", tmp_path / base)
        home.spool.begin(uuid.uuid4().hex, time.time())
        link = linked(home, url, heard, **{"token": token, **more})
        started.append(link)
        return link

    yield starting
    for link in started:
        link.stop()
        link.home.close()


def now(number: int = 0, **more: Any) -> dict[str, Any]:
    return {**event(number), "at": time.time(), **more}


def run_of(link: Link) -> str:
    assert link.home.spool.run is not None
    return link.home.spool.run


def stored(run: str) -> list[int]:
    """The numbers of a run's events in the timeline, in its order."""
    entries = Entry.objects.filter(run_id=uuid.UUID(run)).order_by("at", "id").values_list("seq", flat=True)
    return [seq for seq in entries if seq is not None]


def paused(owner: str = "budget") -> dict[str, Any]:
    pause = {"id": str(uuid.uuid4()), "owner": owner, "cause": "3 failures in a row", "at": time.time()}
    return {**pause, "limit": "consecutive", "failure": None, "in_flight": [], "stopped": False}


def test_what_is_recorded_stands_in_the_timeline_once_and_in_order(start: Starting, heard: Heard) -> None:
    """A thousand events, by batches, and an epoch that the server numbered."""
    link = start(heard)
    answer = link.register()
    assert not isinstance(answer, Unreachable) and answer.epoch == 1
    for number in range(1000):
        link.home.spool.append(now(number))
    assert link.flush(30)
    assert stored(run_of(link)) == list(range(1, 1001))
    assert not Entry.objects.filter(late=True).exists() and not Quarantine.objects.exists()


def test_a_pause_told_by_state_opens_its_incident_and_its_decision_comes_back(
    start: Starting, heard: Heard, alice: User, project: Project
) -> None:
    """Pause out, incident, decision, command in, receipt, settlement: the whole way round."""
    link = start(heard)
    link.register()
    pause = paused()
    heard.state |= {"status": "paused", "pause": pause}
    link.nudge(True)
    incident = until(lambda: Incident.objects.first())
    actor = access.person(alice, project)
    assert actor is not None
    decisions.decide(
        actor=actor,
        incident_id=incident.pk,
        verb="resume",
        version=incident.version,
        reason="looked at it",
        guidance="slowly",
        probation=True,
        now=timezone.now(),
    )
    until(lambda: heard.commands)
    command = heard.commands[0]
    assert command["kind"] == "resume" and command["payload"]["pause"] == pause["id"]
    assert command["payload"]["guidance"] == "slowly"
    assert link.receipt(command["id"], "taken") == "ok"
    settled = {"pause": pause["id"], "command": command["id"], "verb": "resume", "at": time.time()}
    heard.state |= {"status": "probation", "pause": None, "settled": settled}
    assert link.receipt(command["id"], "done") == "ok"
    assert link.flush()
    until(lambda: Instance.objects.get().status == "probation")


def test_a_humans_pause_is_heard_within_a_blink(
    start: Starting, heard: Heard, alice: User, project: Project
) -> None:
    """Ordered on the screen, handed on in the agent, by the socket."""
    link = start(heard)
    link.register()
    assert link._listener is not None
    until(lambda: link._listener.is_connected)  # type: ignore[union-attr]
    actor = access.person(alice, project)
    assert actor is not None
    began = time.monotonic()
    pauses.order(actor=actor, agent=Agent.objects.get(), reason="look at this", now=timezone.now())
    until(lambda: heard.commands, every=0.001)
    assert time.monotonic() - began < 3 and heard.commands[0]["kind"] == "pause"


def test_a_start_under_a_pause_is_refused_and_may_flush(start: Starting, heard: Heard) -> None:
    """No epoch, the pause in the answer, and yesterday's events still arrive."""
    first = start(Heard())
    first.register()
    first._snapshot = lambda: {**heard.state, "status": "paused", "pause": paused()}
    first.nudge(True)
    until(lambda: Incident.objects.exists())
    first.stop()
    first.home.spool.append(now(1))
    first.home.close()
    heard.state |= {"status": "paused", "pause": first._state["pause"]}
    second = start(heard)
    answer = second.register()
    assert not isinstance(answer, Unreachable) and answer.epoch is None and answer.pause is not None
    assert second.flush() and stored(first._run) == [1]
    assert Run.objects.count() == 1


def test_a_newer_process_elsewhere_fences_this_one(start: Starting, heard: Heard) -> None:
    """Same identity from another machine: the older is told, its events are stored and marked late."""
    older, newer = start(heard), start(Heard(), base="another machine")
    older.register()
    newer.register()
    until(lambda: heard.fenced)
    older.home.spool.append(now(1))
    assert older.flush() and stored(run_of(older)) == [1]
    assert Entry.objects.get(run_id=uuid.UUID(run_of(older)), seq=1).late
    assert older.receipt(str(uuid.uuid4()), "taken") in ("fenced", "unreachable")


def test_poison_is_quarantined_and_its_neighbours_flow(start: Starting, heard: Heard) -> None:
    """Events the server will not store are acknowledged as quarantined, and never sent again."""
    link = start(heard)
    link.register()
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    link.home.spool.append(now(1), now(2, input=deep), {"kind": "nonsense"}, now(4), now(5, input="\x00"))
    assert link.flush() and link.home.spool.unsent == 0
    assert stored(run_of(link)) == [1, 4]
    assert sorted(Quarantine.objects.values_list("seq", flat=True)) == [2, 3, 5]


def test_a_refused_token_and_a_wrong_address_have_their_own_words(
    start: Starting, heard: Heard, daphne: Daphne, project: Project
) -> None:
    """The first is an error at start, the second a warning that names SICKBAY_URL."""
    with pytest.raises(TokenRefused):
        start(heard, token="sb_unknown").register()
    with pytest.raises(TokenRefused):
        start(heard, base="two", token=make_token(project, "operator")).register()
    answer = start(heard, base="three", url=daphne.url + "/somewhere").register()
    assert isinstance(answer, Unreachable) and "SICKBAY_URL" in answer.why


def test_lost_answers_and_cuts_store_nothing_twice(start: Starting, heard: Heard, daphne: Daphne) -> None:
    """Through a network that loses answers, every event stands once, and none is a conflict."""
    with Proxy(("127.0.0.1", daphne.port)) as proxy:
        link = start(heard, url=proxy.url)
        link.register()
        for number in range(300):
            link.home.spool.append(now(number), sync=number % 50 == 0)
            if number % 50 == 0:
                proxy.drop_answers += 1
            if number % 70 == 0:
                proxy.cut()
        until(lambda: link.flush(5), 60)
        link.stop()
    assert stored(run_of(link)) == list(range(1, 301))
    assert not (link.home.directory / "aside.ndjson").exists()


def test_an_agent_killed_again_and_again_loses_nothing_it_recorded(
    tmp_path: Path, daphne: Daphne, token: str, start: Starting, heard: Heard
) -> None:
    """kill -9 while it records and sends: what it was told is recorded arrives, once, by the next start."""
    runs: dict[str, int] = {}
    path = os.pathsep.join(sys.path)
    for round in range(4):
        run = uuid.uuid4().hex
        command = [sys.executable, "-c", WRITER, str(tmp_path / "home"), daphne.url, token, run]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        ) as writer:
            assert writer.stdout is not None
            for text in writer.stdout:
                if int(text) >= 300 + 211 * round:
                    break
            writer.kill()
            runs[run] = int((writer.stdout.read().rpartition("\n")[0].rpartition("\n")[2]) or text) + 1
    link = start(heard)
    link.register()
    assert link.flush(60)
    for run, recorded in runs.items():
        seqs = stored(run)
        assert seqs == list(range(1, len(seqs) + 1)) and recorded <= len(seqs) <= recorded + 1


def test_flush_by_hand_brings_an_offline_agent_to_the_server(
    tmp_path: Path, daphne: Daphne, token: str
) -> None:
    """An agent that never saw the server appears with its events."""
    home = Home.open("night-shift", "main", tmp_path)
    run = uuid.uuid4().hex
    home.spool.begin(run, time.time())
    home.spool.append(now(1), now(2))
    home.spool.end()
    home.close()
    command = [sys.executable, "-m", "sickbay", "flush", "--home", str(tmp_path)]
    env = {**os.environ, "SICKBAY_URL": daphne.url, "SICKBAY_TOKEN": token}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "night-shift/main: 2 events sent\n"), done.stderr
    assert stored(run) == [1, 2]
