"""The writer is fenced, not the event: what an outdated process had spooled arrives, and moves nothing."""

from __future__ import annotations

import uuid

import pytest

from agents.models import Entry, Incident, Instance, Minute, Pause, Project, Run, User
from tests.builders import Wire, action, order_pause, pause, state

pytestmark = pytest.mark.django_db


@pytest.fixture
def newer(wire: Wire) -> Wire:
    """A second process of the same instance, started after the first."""
    newer = Wire(wire.token)
    newer.register()
    return newer


def test_epochs_are_numbered_by_the_server(wire: Wire, newer: Wire) -> None:
    """Each start is one more, whatever the agent says it knows."""
    assert (wire.epoch, newer.epoch) == (1, 2)


def test_an_outdated_writers_events_are_stored_late(wire: Wire, newer: Wire) -> None:
    """Its events are in their place, and it is told that it is fenced."""
    answer = wire.post_events(action()).json()
    assert (answer["stored"], answer["fenced"], answer["pause"]) == (1, True, None)
    assert Entry.objects.get(run_id=wire.run).late is True
    assert newer.post_events(action()).json()["fenced"] is False
    assert Entry.objects.get(run_id=newer.run).late is False


def test_an_outdated_writers_state_moves_nothing(wire: Wire, newer: Wire) -> None:
    """Neither its status nor its pause nor its end reaches the instance."""
    newer.post_events(state=state("running", doing="working"))
    said = state("paused", doing="nothing", pause=pause())
    end = {"kind": "run", "name": "finished", "at": 1_700_000_000.0, "title": "finished"}
    wire.post_events(end, state=said)
    instance = Instance.objects.get()
    assert (instance.status, instance.doing, instance.live) == ("running", "working", True)
    assert not Pause.objects.exists()


def test_an_outdated_process_obeys_nothing(wire: Wire, newer: Wire, alice: User, project: Project) -> None:
    """It is shown no command, and its receipt is refused."""
    order_pause(alice, project)
    assert wire.commands().json() == {"commands": [], "commands_version": 2, "fenced": True}
    [command] = newer.commands().json()["commands"]
    refused = wire.receipt(command["id"])
    assert (refused.status_code, refused.json()["error"]) == (409, "fenced")
    assert newer.receipt(command["id"]).json() == {"state": "taken"}


def test_an_earlier_run_of_the_same_spool_is_late_but_its_sender_is_believed(wire: Wire) -> None:
    """A run that was never registered is created on sight; the sender's own state is taken."""
    earlier = uuid.uuid4().hex
    answer = wire.post_events(action("old"), run=earlier, state=state("running", doing="now")).json()
    assert (answer["stored"], answer["fenced"]) == (1, False)
    assert Entry.objects.get(run_id=earlier).late is True
    assert Run.objects.get(pk=earlier).epoch is None
    assert Instance.objects.get().doing == "now"


def test_a_late_pause_opens_its_incident_on_arrival(wire: Wire) -> None:
    """State travels as state, with a batch of old events or with none."""
    said = pause()
    wire.post_events(action("old"), run=uuid.uuid4().hex, state=state("paused", pause=said))
    assert str(Pause.objects.get().pk) == said["id"]
    assert Incident.objects.get().state == "open"


def test_events_count_in_their_minutes_once(wire: Wire) -> None:
    """Repeats add nothing to the bars."""
    events = [action(), action(outcome="failed"), action(outcome="cancelled")]
    wire.post_events(*events)
    wire.post_events(*events)
    assert list(Minute.objects.values_list("ok", "failed")) in ([(1, 1)], [(1, 0), (0, 1)])


def test_a_run_that_finished_is_no_longer_alive(wire: Wire) -> None:
    """The run's own last line ends it; nobody will call it silent."""
    wire.post_events({"kind": "run", "name": "finished", "at": wire.now(), "title": "finished"})
    assert Run.objects.get(pk=wire.run).state == "finished"
    assert Instance.objects.get().live is False


@pytest.mark.parametrize("counted, crashes", [(True, 1), (False, 0)])
def test_a_vanished_run_is_one_crash_at_most(wire: Wire, counted: bool, crashes: int) -> None:
    """Its own machine tells of it at the next start; twice told is once counted."""
    gone = wire.run
    wire.post_events(action())
    newer = Wire(wire.token)
    newer.register()
    told = {
        "kind": "run",
        "name": "vanished",
        "at": wire.now(),
        "run": gone,
        "in_flight": counted,
        "counted": counted,
        "title": "the process vanished",
    }
    newer.post_events(told, told)
    assert Run.objects.get(pk=gone).state == "vanished"
    assert Entry.objects.filter(kind="failure", outcome="crash", ref=f"crash-{gone}").count() == crashes
