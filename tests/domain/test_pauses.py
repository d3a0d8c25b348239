"""Pauses: what opens an incident, what holds, what is shown."""

from __future__ import annotations

import uuid

import pytest

from agents.models import Agent, Command, Incident, Pause, PauseState, Project, User
from agents.services import incidents, pauses
from tests.domain import cast
from tests.domain.cast import MINUTE, NOW, SECOND

pytestmark = pytest.mark.django_db


def test_a_pause_opens_its_incident_in_the_same_moment(project: Project) -> None:
    """A snapshot that says paused makes the agent paused, with an open incident of version 1."""
    instance = cast.worker(project)
    result = cast.says(instance, "paused", pause=cast.pause_said())
    incident = cast.only_incident()
    assert (incident.state, incident.version, incident.cause) == ("open", 1, "budget")
    assert Agent.objects.get().status == "paused"
    assert result.changed and result.pause is not None and result.pause["incident"] == incident.pk


def test_the_same_pause_twice_is_one(project: Project) -> None:
    """Repeating a snapshot opens nothing, moves no version and wakes no page."""
    instance = cast.worker(project)
    said = cast.pause_said()
    cast.says(instance, "paused", pause=said)
    assert not cast.says(instance, "paused", pause=said).changed
    assert cast.only_incident().version == 1 and Pause.objects.count() == 1


def test_what_it_does_is_not_how_it_stands(project: Project) -> None:
    """An action changes what pages draw, but not the agent's standing; a pause changes both."""
    instance = cast.worker(project)
    cast.says(instance, "running")
    acting = cast.says(instance, "running", doing="look_up")
    assert (acting.changed, acting.standing) == (True, False)
    pausing = cast.says(instance, "paused", pause=cast.pause_said())
    assert (pausing.changed, pausing.standing) == (True, True)


def test_silence_never_lifts_a_pause(project: Project) -> None:
    """P7: a snapshot that lacks the held pause is answered with it, and the agent is shown pausing."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    for status in ("running", "probation", "idle"):
        result = cast.says(instance, status)
        assert result.pause is not None and result.pause["id"] == str(pause.pk)
        assert Agent.objects.get().status == ("paused" if status == "idle" else "pausing")
    assert Pause.objects.get().state in pauses.HOLDING


def test_pausing_names_what_is_in_flight(project: Project) -> None:
    """While parallel actions end the agent is pausing, then paused; each is a new version for the decider."""
    instance = cast.worker(project)
    said = cast.pause_said(in_flight=["send_mail"])
    cast.says(instance, "pausing", pause=said)
    assert (Pause.objects.get().in_flight, Agent.objects.get().status) == ("send_mail", "pausing")
    cast.says(instance, "paused", pause={**said, "in_flight": []})
    assert (Pause.objects.get().in_flight, Pause.objects.get().state) == ("", "paused")
    assert cast.only_incident().version == 2


def test_an_agents_status_is_its_highest_instance(project: Project) -> None:
    """One paused worker of a pool makes the agent paused; when it goes on, the next highest shows."""
    agent = cast.make_agent(project)
    first, second = cast.make_instance(agent, "w1"), cast.make_instance(agent, "w2")
    cast.says(second, "healing")
    cast.spends_its_budget(first)
    agent.refresh_from_db()
    assert agent.status == "paused"


def test_two_agents_with_one_failure_share_an_incident(project: Project) -> None:
    """Within ten minutes the second agent with the same failure group joins, as a new version."""
    first, second = cast.worker(project, "a"), cast.worker(project, "b")
    cast.spends_its_budget(first, failure=cast.fails(first))
    cast.spends_its_budget(second, failure=cast.fails(second), now=NOW + 9 * MINUTE)
    incident = cast.only_incident()
    assert incident.version == 2 and incident.pauses.count() == 2
    assert incident.title == "issue_refund: ValueError"


@pytest.mark.parametrize(("exception", "later"), [("KeyError", MINUTE), ("ValueError", 11 * MINUTE)])
def test_another_failure_or_a_late_one_opens_its_own(project: Project, exception: str, later: object) -> None:
    """Another failure group, or more than ten minutes, is another incident."""
    first, second = cast.worker(project, "a"), cast.worker(project, "b")
    cast.spends_its_budget(first, failure=cast.fails(first))
    failure = cast.fails(second, exception=exception)
    cast.spends_its_budget(second, failure=failure, now=NOW + later)  # type: ignore[operator]
    assert Incident.objects.count() == 2


def test_a_late_failure_names_the_cause(project: Project) -> None:
    """An incident that came before its failure's event learns its group when that arrives."""
    instance, run = cast.worker(project), uuid.uuid4()
    cast.spends_its_budget(instance, failure=f"{run.hex}-7")
    assert cast.only_incident().group is None
    cast.fails(instance, run=run, seq=7)
    group = cast.only_incident().group
    assert group is not None and group.title == "issue_refund: ValueError"


def test_pauses_made_offline_share_an_incident_before_their_failures_arrive(project: Project) -> None:
    """The pause says itself what failed: a backlog behind it keeps no agent out of the shared incident."""
    what = {"name": "issue_refund", "failure": "error", "exception": "ValueError", "message": "refused"}
    ids = []
    for name in ("a", "b"):
        instance, run = cast.worker(project, name), uuid.uuid4()
        cast.spends_its_budget(instance, failure=f"{run.hex}-7", what=what)
        ids.append((instance, run))
    incident = cast.only_incident()
    assert (incident.pauses.count(), incident.title) == (2, "issue_refund: ValueError")
    assert incident.group is not None and incident.group.failures == 0
    for instance, run in ids:
        cast.fails(instance, run=run, seq=7)
    incident.group.refresh_from_db()
    assert incident.group.failures == 2 and Incident.objects.count() == 1


def test_a_counted_failure_is_a_new_version(project: Project) -> None:
    """P9: what the decider was shown has changed when another failure counts."""
    instance = cast.worker(project)
    cast.spends_its_budget(instance)
    cast.fails(instance)
    assert cast.only_incident().version == 2


def test_acknowledging_and_beating_move_no_version(project: Project, alice: User) -> None:
    """Acknowledgements, heartbeats and repeats leave the version alone; the second to acknowledge is told."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    who = cast.actor(alice, project)
    first = incidents.acknowledge(actor=who, incident_id=pause.incident_id, now=NOW)
    second = incidents.acknowledge(actor=who, incident_id=pause.incident_id, now=NOW)
    cast.says(instance, "paused", pause=cast.pause_said(pause.pk), doing=None)
    assert (first.name, second.name) == ("acknowledged", "already")
    assert cast.only_incident().version == 1 and cast.only_incident().state == "acknowledged"


def test_a_human_pauses_a_living_agent(project: Project, alice: User) -> None:
    """It is pausing, with a command on its way, until the agent itself says that nothing runs."""
    instance = cast.worker(project, doing="search")
    ordered = pauses.order(
        actor=cast.actor(alice, project), agent=instance.agent, reason="looks odd", now=NOW
    )
    assert ordered.paused == ["main"]
    pause = Pause.objects.get()
    assert (Agent.objects.get().status, pause.in_flight) == ("pausing", "search")
    assert Command.objects.get().payload["pause"] == str(pause.pk)
    cast.says(instance, "paused", pause=cast.pause_said(pause.pk, owner="human"))
    assert (Agent.objects.get().status, Pause.objects.get().state) == ("paused", "paused")


@pytest.mark.parametrize("reported", ["idle", "running"])
def test_a_human_pauses_an_agent_without_a_process(project: Project, alice: User, reported: str) -> None:
    """Where no process lives, nothing runs: it is paused at once, and the next start is told."""
    instance = cast.worker(project, live=False, reported=reported)
    pauses.order(actor=cast.actor(alice, project), agent=instance.agent, reason="", now=NOW)
    assert (Agent.objects.get().status, Pause.objects.get().state) == ("paused", "paused")
    assert cast.says(instance, "idle").pause is not None


def test_pausing_twice_is_told_so(project: Project, alice: User) -> None:
    """A second pause of an agent that is held opens nothing."""
    instance = cast.worker(project)
    cast.spends_its_budget(instance)
    ordered = pauses.order(actor=cast.actor(alice, project), agent=instance.agent, reason="", now=NOW)
    assert (ordered.incident, ordered.already) == (None, ["main"])


def test_the_servers_pause_wins_over_the_agents(project: Project, alice: User) -> None:
    """When both paused it, the agent takes over the server's; its own is kept as evidence, once."""
    instance = cast.worker(project)
    pauses.order(actor=cast.actor(alice, project), agent=instance.agent, reason="", now=NOW)
    held, own = Pause.objects.get(), cast.pause_said()
    for _ in range(2):
        result = cast.says(instance, "paused", pause=own)
        assert result.pause is not None and result.pause["id"] == str(held.pk)
    assert Pause.objects.get(pk=own["id"]).state == PauseState.LIFTED
    assert Incident.objects.count() == 1


def test_a_snapshot_from_before_the_receipt_reopens_nothing(project: Project) -> None:
    """A pause that was lifted a moment ago may still be named by a batch on its way."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    Pause.objects.filter(pk=pause.pk).update(state="lifted", settled_at=NOW)
    assert cast.says(instance, "paused", pause=cast.pause_said(pause.pk), now=NOW + SECOND).pause is None
    assert Incident.objects.count() == 1


def test_a_pause_that_only_the_agent_still_holds_is_asked_about_again(project: Project) -> None:
    """A home restored from a backup stands still until a human decides once more."""
    instance = cast.worker(project)
    pause = cast.spends_its_budget(instance)
    Pause.objects.filter(pk=pause.pk).update(state="lifted", settled_at=NOW)
    Incident.objects.update(state="closed")
    cast.says(instance, "paused", pause=cast.pause_said(pause.pk), now=NOW + 5 * MINUTE)
    assert Incident.objects.filter(state="open").count() == 1
    assert Pause.objects.get().state == "paused"


def test_another_instances_pause_id_is_not_taken_over(project: Project) -> None:
    """An id that belongs to somebody else's pause opens a pause of its own and moves nothing there."""
    first, second = cast.worker(project, "a"), cast.worker(project, "b")
    pause = cast.spends_its_budget(first)
    for _ in range(2):
        cast.says(second, "paused", pause=cast.pause_said(pause.pk))
    assert Pause.objects.get(pk=pause.pk).instance == first
    assert Pause.objects.filter(instance=second).count() == 1


def test_a_failure_that_arrives_after_its_pause_names_the_incident(project: Project) -> None:
    """A pause from an offline spell says what failed as soon as the failure itself is there."""
    instance, run = cast.worker(project), uuid.uuid4()
    cast.spends_its_budget(instance, failure=f"{run.hex}-7")
    assert cast.only_incident().title == "3 failures in a row, the limit is 3"
    version = cast.only_incident().version
    cast.fails(instance, run=run, seq=7)
    incident = cast.only_incident()
    assert (incident.title, incident.group is not None) == ("issue_refund: ValueError", True)
    assert incident.version > version


def test_a_question_of_the_agent_is_an_incident_of_its_own_cause(project: Project) -> None:
    """It waits for an answer: nobody paused it by hand, and no budget is spent."""
    instance = cast.worker(project)
    asked = cast.pause_said(owner="human", cause="waiting for an answer: Refund 500 €?", asks=True)
    cast.says(instance, "paused", pause=asked)
    incident = Incident.objects.get()
    assert (incident.cause, incident.title) == ("question", "waiting for an answer: Refund 500 €?")
