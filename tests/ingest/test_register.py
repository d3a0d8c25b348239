"""Register: an epoch, or the pause that keeps the process from starting."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from django.utils import timezone

from agents.models import Agent, Entry, Heartbeat, Incident, Instance, Project, Run, User
from tests.builders import Wire, action, make_project, make_token, order_pause, pause, state

pytestmark = pytest.mark.django_db


@pytest.fixture
def new(project: Project) -> Wire:
    """A process that has not registered yet."""
    return Wire(make_token(project))


def test_the_first_register_makes_the_agent(new: Wire) -> None:
    """An agent exists from its first run on; nobody creates it by hand."""
    said = {"about": "refunds", "budget": {"max_consecutive": 5, "max_hourly": 20}, "every_s": 60, "pid": 812}
    answer = new.register(**said).json()
    assert (answer["epoch"], answer["pause"], answer["guidance"]) == (1, None, None)
    agent = Agent.objects.get()
    assert (agent.name, agent.about, agent.max_consecutive) == ("refund-desk", "refunds", 5)
    assert agent.due_at is not None
    instance = Instance.objects.get()
    assert (instance.live, instance.pid, instance.epoch) == (True, 812, 1)
    assert Run.objects.get(pk=new.run).epoch == 1


def test_the_same_register_again_gets_the_same_answer(new: Wire) -> None:
    """An answer that was lost on the way costs no epoch."""
    first = new.register().json()
    again = new.register(epoch=0).json()
    assert again["epoch"] == first["epoch"] == 1
    assert Run.objects.count() == 1


def test_a_new_run_of_the_same_home_is_the_next_epoch(new: Wire) -> None:
    """Each life of the process is a run of its own."""
    new.register()
    new.run = uuid.uuid4().hex
    assert new.register().json()["epoch"] == 2
    assert list(Run.objects.order_by("epoch").values_list("epoch", flat=True)) == [1, 2]


def test_an_epoch_is_never_taken_back(new: Wire) -> None:
    """A home that knows a higher epoch than we do, after our restore from a backup, goes on above it."""
    assert new.register(epoch=41).json()["epoch"] == 42


def test_a_held_instance_does_not_start(wire: Wire, alice: User, project: Project) -> None:
    """Silence never lifts a pause: a snapshot that lacks it is answered with it, and no run begins."""
    held = order_pause(alice, project)
    fresh = Wire(wire.token)
    answer = fresh.register().json()
    assert answer["epoch"] is None
    assert (answer["pause"]["id"], answer["pause"]["incident"]) == (str(held.pk), held.incident_id)
    assert not Run.objects.filter(pk=fresh.run).exists()
    assert Instance.objects.get().epoch == 1


def test_refused_starts_are_one_folded_entry(wire: Wire, alice: User, project: Project) -> None:
    """A supervisor that restarts all night leaves one line, and moves no version of the incident."""
    order_pause(alice, project)
    version = Incident.objects.get().version
    for _ in range(3):
        Wire(wire.token).register()
    entry = Entry.objects.get(name="refused to start")
    assert entry.title == "refused to start 3 times"
    assert Instance.objects.get().refused_starts == 3
    assert Incident.objects.get().version == version


def test_a_refused_start_tells_of_the_crash_that_led_to_it(wire: Wire) -> None:
    """The run before is over, and its crash stands among the failures once, over many starts."""
    fresh = Wire(wire.token)
    told = {
        "run": wire.run,
        "counted": True,
        "doing": "pay",
        "title": "the process vanished; pay was in flight",
    }
    for _ in range(2):
        answer = fresh.register(epoch=1, state=state("paused", pause=pause()), vanished=told).json()
    assert answer["epoch"] is None and Run.objects.get(pk=wire.run).state == "vanished"
    crash = Entry.objects.get(kind="failure", outcome="crash")
    assert (crash.name, crash.ref) == ("pay", f"crash-{wire.run}")
    assert Instance.objects.get().live is False


def test_what_a_dead_process_left_is_no_sign_of_life(wire: Wire) -> None:
    """Another program may send it; the agent stays as silent as it is."""
    then = timezone.now() - dt.timedelta(minutes=5)
    Heartbeat.objects.update(last_seen=then)
    Instance.objects.update(status="silent", gone_since=then)
    assert wire.post_events(action(), state=state("idle", living=False)).status_code == 200
    assert Heartbeat.objects.get().last_seen == then
    found = Instance.objects.get()
    assert (found.status, found.gone_since) == ("silent", then)


def test_waiting_for_a_decision_is_no_refused_start(wire: Wire, alice: User, project: Project) -> None:
    """A process that came to wait is not counted as one that wanted to run."""
    order_pause(alice, project)
    answer = Wire(wire.token).register(wants="wait").json()
    assert answer["epoch"] is None
    assert Instance.objects.get().refused_starts == 0


def test_a_process_without_an_epoch_may_obey_while_none_lives(
    wire: Wire, alice: User, project: Project
) -> None:
    """A new home that waits sees the command and takes it; beside a living process it may not."""
    order_pause(alice, project)
    fresh = Wire(wire.token)
    fresh.register(wants="wait")
    assert fresh.commands().json()["fenced"] is True
    Instance.objects.update(live=False)
    [command] = fresh.commands().json()["commands"]
    assert fresh.receipt(command["id"]).json() == {"state": "taken"}


def test_a_pause_in_the_snapshot_is_always_taken(wire: Wire) -> None:
    """Also from a home whose last epoch is long past; the rest of its state is not."""
    newer = Wire(wire.token)
    newer.register()
    newer.post_events(state=state("running", doing="working"))
    said = pause()
    old = Wire(wire.token, epoch=1)
    answer = old.register(state=state("paused", doing="dreaming", pause=said)).json()
    assert (answer["epoch"], answer["pause"]["id"]) == (None, said["id"])
    assert Incident.objects.get().cause == "budget"
    assert Instance.objects.get().doing != "dreaming"


def test_an_offline_run_is_numbered_when_it_gets_through(new: Wire) -> None:
    """What it recorded before is its own run's, and nothing of it is late."""
    new.epoch = 0
    new.register(started_at=new.now() - 3600)
    new.post_events(action(at=new.now() - 1800))
    assert Entry.objects.get(run_id=new.run).late is False
    age = timezone.now() - Run.objects.get(pk=new.run).started_at
    assert 3590 < age.total_seconds() < 3610


def test_projects_share_no_names(new: Wire) -> None:
    """The same name in two projects is two agents."""
    new.register()
    Wire(make_token(make_project("elsewhere"))).register()
    assert Agent.objects.filter(name="refund-desk").count() == 2


WRONG = {
    "agent": ["UPPER", "", 17],
    "run": ["x", None],
    "process": ["x", 3],
    "wants": ["everything"],
    "epoch": [-1, "1"],
    "budget": [{"max_consecutive": 0}, {"max_hourly": "10"}, 3],
    "every_s": [-1, 0, "60"],
    "pid": [-1, "812"],
    "state": ["x", {"status": "x"}],
    "sent_at": ["now", 1e300],
}


@pytest.mark.parametrize("field, value", [(field, value) for field in WRONG for value in WRONG[field]])
def test_wrong_types_are_422(new: Wire, field: str, value: object) -> None:
    """A registration that is none makes no agent."""
    answer = new.register(**{field: value})
    assert (answer.status_code, answer.json()["error"]) == (422, "unreadable")
    assert not Agent.objects.exists()


def test_overlong_descriptions_are_cut(new: Wire) -> None:
    """A long description does not keep an agent from being seen; unknown fields are ignored."""
    assert new.register(about="x" * 10_000, host="h" * 999, of_tomorrow=[1]).status_code == 200
    assert len(Agent.objects.get().about) == 500
