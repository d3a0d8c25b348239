"""Two people: where the policy asks for it, nobody lets an agent go on alone."""

from __future__ import annotations

import datetime as dt
import uuid

import pytest
from django.utils import timezone

from agents import access
from agents.models import (
    Agent,
    AuditEntry,
    Command,
    Decision,
    Incident,
    Membership,
    Project,
    Proposal,
    Role,
    Scope,
    User,
)
from agents.services import approvals, audit, decisions, incidents, people, tokens
from checkpoints.models import Rollback
from checkpoints.services import aiming, confirming
from tests.conftest import member
from tests.domain import cast, rolling
from tests.domain.cast import NOW, actor

pytestmark = pytest.mark.django_db


@pytest.fixture
def dora(project: Project) -> User:
    return member(project, "dora@example.com", "Dora", Role.RESPONDER)


@pytest.fixture
def carol(project: Project) -> User:
    return member(project, "carol@example.com", "Carol", Role.ADMIN)


@pytest.fixture
def incident(project: Project) -> Incident:
    """refund-desk waits, and needs two people."""
    instance = cast.worker(project)
    Agent.objects.update(two_people=True)
    return cast.spends_its_budget(instance).incident


def asks(who: access.Actor, incident: Incident, **more: object) -> decisions.Outcome:
    said: dict = {"verb": "resume", "version": incident.version, "reason": "known bug", "now": NOW} | more
    return decisions.decide(actor=who, incident_id=incident.pk, **said)


def confirms(who: access.Actor, incident: Incident, **more: object) -> decisions.Outcome:
    proposal = Proposal.objects.latest("at")
    said: dict = {"id": proposal.pk, "version": proposal.version, "now": NOW} | more
    return confirming.confirm(actor=who, incident_id=incident.pk, **said)


def test_one_person_only_asks(project: Project, alice: User, incident: Incident) -> None:
    """Nothing is ordered; what was said and seen is kept, the version stays, and it is in the log."""
    outcome = asks(actor(alice, project), incident, guidance="Cents.")
    assert outcome.name == "asked" and "alice@example.com" in outcome.sentence
    assert not Command.objects.filter(kind="resume").exists() and not Decision.objects.exists()
    proposal = Proposal.objects.get()
    assert (proposal.words["guidance"], proposal.version) == ("Cents.", incident.version)
    incident.refresh_from_db()
    assert incident.version == proposal.version and incident.state == "open"
    assert AuditEntry.objects.get(verb="ask: resume").saw["version"] == proposal.version


def test_a_second_person_makes_it_so(project: Project, alice: User, dora: User, incident: Incident) -> None:
    """One decision in both names, with the first one's words."""
    asks(actor(alice, project), incident, guidance="Cents.")
    outcome = confirms(actor(dora, project), incident)
    assert outcome.name == "decided"
    command = Command.objects.get(kind="resume")
    assert command.payload["by"] == "alice@example.com and dora@example.com"
    assert command.payload["guidance"] == "Cents."
    assert Proposal.objects.get().state == "confirmed"
    assert AuditEntry.objects.filter(verb__in=("ask: resume", "resume", "confirm: resume")).count() == 3
    assert audit.verify().broken is None


def test_nobody_is_their_own_second(project: Project, alice: User, incident: Incident) -> None:
    """Not from another window, not by a token they made, not by one that nobody made."""
    asks(actor(alice, project), incident)
    mine = tokens.make(project=project, scope=Scope.OPERATOR, label="mine", by="alice", user=alice, now=NOW)
    nobodys = tokens.make(project=project, scope=Scope.OPERATOR, label="shell", by="shell", now=NOW)
    found = [
        confirms(who, incident).name
        for who in (
            actor(alice, project),
            access.program(mine.token),
            access.program(nobodys.token),
            access.automation("watch", project.pk),
        )
    ]
    assert found == ["own", "own", "nobody", "nobody"]
    assert not Decision.objects.exists() and Proposal.objects.get().state == "waiting"


def test_a_token_stands_for_whoever_made_it(
    project: Project, alice: User, dora: User, incident: Incident
) -> None:
    """dora's token may be the second; a token of nobody cannot even ask."""
    made = tokens.make(project=project, scope=Scope.OPERATOR, label="d", by="dora", user=dora, now=NOW)
    nobodys = tokens.make(project=project, scope=Scope.OPERATOR, label="shell", by="shell", now=NOW)
    assert asks(access.program(nobodys.token), incident).name == "nobody"
    asks(actor(alice, project), incident)
    assert confirms(access.program(made.token), incident).name == "decided"


def test_it_is_stale_when_the_incident_changed(
    project: Project, alice: User, dora: User, incident: Incident
) -> None:
    """P9 holds for the second one too, and the proposal waits no more."""
    asks(actor(alice, project), incident)
    incidents.bump(incident.pk)
    outcome = confirms(actor(dora, project), incident)
    assert outcome.name == "stale" and "moved on" in outcome.sentence
    assert Proposal.objects.get().state == "stale" and not Decision.objects.exists()


def test_the_second_names_what_they_saw(
    project: Project, alice: User, dora: User, incident: Incident
) -> None:
    """A page of another version confirms nothing, and the proposal goes on waiting."""
    asks(actor(alice, project), incident)
    assert confirms(actor(dora, project), incident, version=0).name == "stale"
    assert Proposal.objects.get().state == "waiting"


def test_it_lapses(project: Project, alice: User, dora: User, incident: Incident) -> None:
    """After half an hour it is nobody's any more: refused, and tidied away once, in the log."""
    asks(actor(alice, project), incident)
    late = NOW + approvals.LAPSES_AFTER
    assert approvals.lapse(late - dt.timedelta(seconds=1)) == 0
    assert (approvals.lapse(late), approvals.lapse(late)) == (1, 0)
    assert confirms(actor(dora, project), incident, now=late).name == "lost"
    assert AuditEntry.objects.filter(verb="let lapse: resume").count() == 1
    assert asks(actor(dora, project), incident, now=late).name == "asked"


def test_a_lost_role_confirms_nothing(project: Project, alice: User, dora: User, incident: Incident) -> None:
    """The right is looked at again when it counts, not when the page was drawn."""
    asks(actor(alice, project), incident)
    second = actor(dora, project)
    Membership.objects.filter(user=dora).update(role=Role.VIEWER)
    assert confirms(second, incident).name == "not_allowed"
    assert not Decision.objects.exists()


@pytest.mark.parametrize("how", ["removed", "demoted", "switched off", "deleted"])
def test_what_a_person_asked_goes_with_them(
    project: Project, alice: User, dora: User, carol: User, incident: Incident, how: str
) -> None:
    """Who may not decide any more has not decided."""
    asks(actor(alice, project), incident)
    mine = Membership.objects.get(user=alice)
    if how == "removed":
        people.remove(actor=actor(carol, project), pk=mine.pk, now=NOW)
    elif how == "demoted":
        people.set_role(actor=actor(carol, project), pk=mine.pk, role=Role.VIEWER, now=NOW)
    elif how == "switched off":
        User.objects.filter(pk=alice.pk).update(is_active=False)
    else:
        alice.delete()
    assert confirms(actor(dora, project), incident).name == "lapsed"
    assert not Decision.objects.exists() and Proposal.objects.get().state == "lapsed"


def test_it_is_declined_or_taken_back(project: Project, alice: User, dora: User, incident: Incident) -> None:
    """By the second or the first; then another may ask."""
    for who, said in ((dora, "Declined"), (alice, "Taken back")):
        asks(actor(alice, project), incident)
        found = approvals.decline(
            actor=actor(who, project), incident_id=incident.pk, id=Proposal.objects.latest("at").pk,
            reason="no", now=NOW,
        )  # fmt: skip
        assert found is not None and found.sentence.startswith(said)
        Proposal.objects.update(at=NOW - cast.MINUTE)
    assert not Decision.objects.exists()


def test_only_one_waits(project: Project, alice: User, dora: User, incident: Incident) -> None:
    """The second to ask is told who was first, and what for."""
    asks(actor(alice, project), incident)
    outcome = asks(actor(dora, project), incident)
    assert outcome.name == "waits" and "alice@example.com was first" in outcome.sentence


def test_a_stop_needs_nobody(project: Project, alice: User, dora: User, incident: Incident) -> None:
    """What makes it safer is done at once; starting it again needs two."""
    asks(actor(alice, project), incident)
    assert asks(actor(dora, project), incident, verb="stop").name == "decided"
    pause = incident.pauses.get()
    agent = pause.instance.agent
    cast.says(pause.instance, "stopped", settled=cast.settled(pause, "stop"))
    started = decisions.start(actor=actor(alice, project), agent=agent, reason="fixed", now=NOW + cast.SECOND)
    assert started.name == "asked" and not Command.objects.filter(kind="start").exists()
    assert confirms(actor(dora, project), incident, now=NOW + cast.SECOND).name == "decided"
    assert Command.objects.get(kind="start").payload["by"] == "alice@example.com and dora@example.com"


def test_another_projects_proposal_is_not_there(
    project: Project, alice: User, charlie: User, incident: Incident
) -> None:
    asks(actor(alice, project), incident)
    other = actor(charlie, Project.objects.exclude(pk=project.pk).get())
    assert confirms(other, incident).name == "not_found"
    gone = approvals.decline(actor=other, incident_id=incident.pk, id=uuid.uuid4(), reason="", now=NOW)
    assert gone is None


def test_a_rollback_goes_where_both_saw(project: Project, alice: User, dora: User) -> None:
    """The checkpoint that was shown; when another one is the last known good now, it is refused."""
    desk = rolling.make_desk(project)
    good = desk.take(1, label="one")
    incident = desk.pauses()
    Agent.objects.update(two_people=True)
    assert rolling.decide(alice, incident).name == "asked"
    proposal = Proposal.objects.get()
    assert list(proposal.targets.values()) == [str(good.pk)] and not Rollback.objects.exists()
    now = timezone.now()
    assert confirms(actor(dora, project), incident, now=now).name == "decided"
    assert Rollback.objects.get().checkpoint == good.pk


def test_a_rollback_elsewhere_is_refused(project: Project, alice: User, dora: User) -> None:
    """The first good checkpoint was condemned meanwhile."""
    desk = rolling.make_desk(project)
    first, second = desk.take(1, label="one"), desk.take(2, label="two")
    incident = desk.pauses()
    Agent.objects.update(two_people=True)
    rolling.decide(alice, incident)
    assert list(Proposal.objects.get().targets.values()) == [str(second.pk)] and first.pk != second.pk
    Proposal.objects.update(targets=dict.fromkeys(Proposal.objects.get().targets, str(first.pk)))
    outcome = confirms(actor(dora, project), incident, now=timezone.now())
    assert outcome.name == "stale" and "another checkpoint" in outcome.sentence
    assert not Rollback.objects.exists()


def test_no_way_around_by_the_agents_page(project: Project, alice: User) -> None:
    """A rollback that leaves it paused, or one of a running agent, is asked for in an incident."""
    desk = rolling.make_desk(project)
    good = desk.take(1)
    Agent.objects.update(two_people=True)
    with pytest.raises(aiming.Refused, match="two people"):
        rolling.order(alice, project, good)
