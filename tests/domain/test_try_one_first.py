"""Try one first: the others follow one that has proven itself, once, or stay paused and it is said why."""

from __future__ import annotations

import datetime as dt
import uuid
from collections import Counter

import pytest

from agents.models import (
    Agent,
    Command,
    Decision,
    Entry,
    FailureGroup,
    Incident,
    Instance,
    Pause,
    Project,
    Proposal,
    Role,
    Trial,
    User,
)
from agents.services import audit, decisions, trials
from checkpoints.services import confirming
from tests.conftest import member
from tests.domain import cast
from tests.domain.cast import MINUTE, NOW, SECOND, actor
from tests.domain.test_at_once import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(project: Project) -> Incident:
    """Three agents that failed alike with one tool."""
    return make_incident(project)


def make_incident(project: Project) -> Incident:
    pauses = [cast.spends_its_budget(cast.worker(project, name)) for name in ("one", "two", "three")]
    shared = pauses[0].incident
    for pause in pauses[1:]:
        former = pause.incident_id
        Pause.objects.filter(pk=pause.pk).update(incident=shared)
        shared.instances.add(pause.instance)
        Incident.objects.filter(pk=former).exclude(pk=shared.pk).delete()
    group = FailureGroup.objects.create(
        project=project, fingerprint="f", action="issue_refund", title="t", first_seen=NOW, last_seen=NOW
    )
    Incident.objects.filter(pk=shared.pk).update(group=group)
    shared.refresh_from_db()
    return shared


def begins(who: User, incident: Incident, agent: str = "one") -> decisions.Outcome:
    incident.refresh_from_db()
    return trials.begin(
        actor=actor(who, incident.project), incident_id=incident.pk, agent=agent, version=incident.version,
        reason="fixed outside", guidance="Cents.", now=NOW,
    )  # fmt: skip


def goes_on(incident: Incident, now: dt.datetime = NOW) -> Instance:
    """The first one obeys."""
    pause = incident.pauses.get(instance__agent__name="one")
    Command.objects.filter(pause=pause, kind="resume").update(taken_at=now + SECOND)
    cast.says(pause.instance, "probation", settled=cast.settled(pause), now=now + SECOND)
    return pause.instance


def acts(
    instance: Instance, name: str = "issue_refund", verdict: str = "pass", n: int = 1, now: dt.datetime = NOW
) -> None:
    for k in range(n):
        run = uuid.uuid4()
        at = now + MINUTE + k * SECOND
        Entry.objects.create(
            id=f"{run.hex}-1", at=at, received_at=at, project_id=instance.agent.project_id,
            agent_id=instance.agent_id, instance_id=instance.pk, run_id=run, seq=1, kind="action", name=name,
            outcome="ok", verdict=verdict, ref="", title="", body="{}",
        )  # fmt: skip


def look(after: dt.timedelta = 2 * MINUTE) -> int:
    return trials.look(NOW + after)


def states(incident: Incident) -> dict[str, str]:
    return dict(incident.pauses.values_list("instance__agent__name", "state"))


def test_one_goes_and_the_others_stay(alice: User, incident: Incident) -> None:
    """On probation, whatever was ticked; nothing follows before three actions with the tool."""
    assert begins(alice, incident).name == "decided"
    assert states(incident) == {"one": "decided", "two": "paused", "three": "paused"}
    assert Command.objects.get(kind="resume").payload["probation"] is True
    instance = goes_on(incident)
    acts(instance, n=2)
    acts(instance, name="another_tool", n=5)
    acts(instance, verdict="unknown", n=5)
    assert look() == 0 and Trial.objects.get().passed == 2
    assert states(incident)["two"] == "paused"


def test_the_others_follow(alice: User, incident: Incident) -> None:
    """After the third, by the decision of whoever tried; once."""
    begins(alice, incident)
    acts(goes_on(incident), n=3)
    assert (look(), look()) == (1, 0)
    assert states(incident) == {"one": "lifted", "two": "decided", "three": "decided"}
    followed = Decision.objects.filter(pause__instance__agent__name__in=("two", "three"))
    assert {d.by for d in followed} == {"alice@example.com"} and followed.count() == 2
    assert "one passed 3 actions with issue_refund" in followed[0].reason and followed[0].guidance == "Cents."
    assert Trial.objects.get().state == "passed" and audit.verify().broken is None


def test_without_a_tool_any_three(alice: User, incident: Incident) -> None:
    Incident.objects.update(group=None)
    begins(alice, incident)
    instance = goes_on(incident)
    acts(instance, name="a", n=2)
    acts(instance, name="b", verdict="")
    assert look() == 1 and Trial.objects.get().state == "passed"


@pytest.mark.parametrize("how", ["paused again", "stopped", "withdrawn"])
def test_when_it_fails_the_others_stay(alice: User, incident: Incident, how: str) -> None:
    """And the incident says why."""
    begins(alice, incident)
    who, now = actor(alice, incident.project), NOW + MINUTE
    if how == "withdrawn":
        version = Incident.objects.get().version
        assert decisions.withdraw(actor=who, incident_id=incident.pk, version=version, now=now).results
    else:
        instance = goes_on(incident)
        if how == "paused again":
            cast.spends_its_budget(instance, now=now)
        else:
            decisions.stop(actor=who, agent=instance.agent, reason="no", now=now)
    assert look() == 1
    trial = Trial.objects.get()
    assert trial.state == "failed" and trial.why.endswith("The others stay paused.")
    assert {states(incident)[name] for name in ("two", "three")} == {"paused"}
    assert look() == 0


def test_who_decided_about_the_others_ends_it(alice: User, incident: Incident) -> None:
    """Then nobody follows, and nothing is decided twice."""
    begins(alice, incident)
    acts(goes_on(incident), n=3)
    version = Incident.objects.get().version
    decisions.decide(
        actor=actor(alice, incident.project), incident_id=incident.pk, verb="stop", version=version,
        reason="no", now=NOW,
    )  # fmt: skip
    assert look() == 1 and Trial.objects.get().state == "ended"
    assert not Decision.objects.filter(verb="resume").exclude(pause__instance__agent__name="one").exists()


def test_it_is_called_off(alice: User, incident: Incident) -> None:
    begins(alice, incident)
    acts(goes_on(incident), n=3)
    who = actor(alice, incident.project)
    assert trials.call_off(actor=who, incident_id=incident.pk, now=NOW)
    assert not trials.call_off(actor=who, incident_id=incident.pk, now=NOW)
    assert look() == 0 and states(incident)["two"] == "paused"


def test_it_is_refused(alice: User, incident: Incident) -> None:
    """From an old version, for one alone, for one that does not wait, and twice."""
    old = trials.begin(
        actor=actor(alice, incident.project),
        incident_id=incident.pk,
        agent="one",
        version=0,
        reason="x",
        now=NOW,
    )
    assert old.name == "stale"
    assert begins(alice, incident, "four").name == "nothing_to_decide"
    begins(alice, incident)
    assert begins(alice, incident, "two").name == "nothing_to_decide"
    assert Trial.objects.count() == 1


def test_two_people_try_too(alice: User, incident: Incident, project: Project) -> None:
    """Where one of the others needs two people, trying does: it would let that one go on."""
    Agent.objects.filter(name="three").update(two_people=True)
    assert begins(alice, incident).name == "asked" and not Trial.objects.exists()
    proposal = Proposal.objects.get()
    dora = member(project, "dora@example.com", "Dora", Role.RESPONDER)
    outcome = confirming.confirm(
        actor=actor(dora, project), incident_id=incident.pk, id=proposal.pk, version=proposal.version, now=NOW
    )
    assert outcome.name == "decided"
    assert states(incident) == {"one": "decided", "two": "paused", "three": "paused"}
    acts(goes_on(incident), n=3)
    assert look() == 1 and states(incident)["three"] == "decided"


@pytest.mark.django_db(transaction=True)
def test_two_beats_let_them_follow_once(project: Project, alice: User) -> None:
    """Two workers that look at once, again and again after a kill: one decision each."""
    incident = make_incident(project)
    begins(alice, incident)
    acts(goes_on(incident), n=3)
    found = Counter(at_once(lambda _: look(), 8))
    assert found == {1: 1, 0: 7}
    assert Decision.objects.filter(verb="resume").count() == 3
    assert Command.objects.filter(kind="resume").count() == 3
