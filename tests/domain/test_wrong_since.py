"""Wrong since here: what was taken from there on is bad, and the last known good one is before."""

from __future__ import annotations

import uuid

import pytest
from django.utils import timezone

from agents.models import Agent, AuditEntry, Entry, Incident, Pause, Project, User
from checkpoints import blast, queries
from checkpoints.models import Checkpoint, Report
from checkpoints.services import reports
from tests import builders
from tests.domain.rolling import Desk, actor, decide, make_desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(project: Project) -> Desk:
    return make_desk(project)


def wrong(user: User, project: Project, named: str, reason: str = "order 4711") -> reports.Reported:
    agent = Agent.objects.get(project=project)
    place = reports.place_of(agent, named)
    assert place is not None
    return reports.wrong_since(
        actor=actor(user, project), agent=agent, place=place, named=named, reason=reason, now=timezone.now()
    )


def test_wrong_since_a_checkpoint(project: Project, alice: User, desk: Desk) -> None:
    """The agent is paused, an incident says so; that one and the later are bad, the earlier is good."""
    good, first, later = desk.take(1), desk.take(2), desk.take(3)
    done = wrong(alice, project, str(first.pk))
    incident = Incident.objects.get()
    assert (incident.cause, [i.pk for i in done.incidents]) == ("reported", [incident.pk])
    assert "order 4711" in incident.title and Pause.objects.get().state in ("pausing", "paused")
    standings = dict(Checkpoint.objects.values_list("pk", "standing"))
    assert standings == {good.pk: "good", first.pk: "bad", later.pk: "bad"}
    assert done.last_known_good == good and Agent.objects.get().last_good == good.pk
    assert queries.last_known_good_of(incident, incident.agent_id) == good
    entry = AuditEntry.objects.get(verb="report as wrong")
    assert (entry.reason, entry.saw["condemned"]) == ("order 4711", 2)
    assert Entry.objects.filter(name="wrong since here", outcome="reported").count() == 1


def test_wrong_since_an_entry(project: Project, alice: User, desk: Desk) -> None:
    """An action by its run and number, the server's own entry by its id; effects from there on are listed."""
    good = desk.take(1)
    effect = builders.action("refund", external=True, act=7, key="refund:17", at=desk.wire.now())
    desk.wire.post_events(builders.action(at=desk.wire.now()), effect)
    desk.take(2)
    agent = Agent.objects.get()
    own = Entry.objects.filter(kind="checkpoint").order_by("-at").first()
    assert own is not None and reports.place_of(agent, own.id) is not None
    done = wrong(alice, project, f"{desk.wire.run}-2")
    assert (done.condemned, done.last_known_good) == (1, good)
    listed = blast.worklist_of_incident(Incident.objects.get())
    assert [(one.name, one.key) for one in listed] == [("refund", "refund:17")]


def test_what_is_held_already_keeps_its_incident(project: Project, alice: User, desk: Desk) -> None:
    """The report is about the incident that holds it, whose version goes up, and whose target moves back."""
    good = desk.take(1)
    later = desk.take(2)
    incident = desk.pauses()
    assert queries.last_known_good_of(incident, incident.agent_id) == later
    version = Incident.objects.get().version
    done = wrong(alice, project, str(later.pk))
    incident.refresh_from_db()
    assert Incident.objects.count() == 1 and incident.version > version and done.ordered.already == ["main"]
    assert decide(alice, incident).name == "decided"
    assert queries.rollbacks().get().checkpoint == good.pk


@pytest.mark.parametrize(
    "named", ["", "x", "1-2", str(uuid.UUID(int=7)), f"{uuid.UUID(int=7).hex}-1", "-5", "a-b-c"]
)
def test_what_is_not_there_is_no_place(project: Project, desk: Desk, named: str) -> None:
    """Nor is another project's checkpoint or entry."""
    desk.take(1)
    other = make_desk(builders.make_project("elsewhere"))
    theirs = other.take(1)
    agent = Agent.objects.get(project=project)
    assert reports.place_of(agent, named) is None
    assert reports.place_of(agent, str(theirs.pk)) is None
    assert reports.place_of(agent, Entry.objects.get(agent_id=theirs.agent_id, kind="checkpoint").id) is None
    assert not Report.objects.exists()
