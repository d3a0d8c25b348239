"""Escalation: from step to step until somebody has it, and anew when their time is over."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from agents import access
from agents.models import (
    AlertTarget,
    AuditEntry,
    Cause,
    Escalation,
    EscalationPolicy,
    Incident,
    IncidentState,
    Membership,
    Outbox,
    Override,
    Project,
    Role,
    Schedule,
    Team,
    Turn,
    User,
)
from agents.services import decisions, escalating, having, incidents, people, sending
from tests.conftest import member
from tests.domain import cast
from tests.domain.cast import MINUTE, NOW, SECOND

pytestmark = pytest.mark.django_db

EVERYONE = {"kind": "everyone", "id": 0}


@pytest.fixture
def alices(alice: User, project: Project) -> access.Actor:
    return cast.actor(alice, project)


@pytest.fixture
def channel(project: Project) -> AlertTarget:
    return make_channel(project, "ops")


@pytest.fixture
def elsewhere() -> Project:
    return Project.objects.create(name="elsewhere")


def make_channel(project: Project, label: str, **fields: Any) -> AlertTarget:
    address = f"{label}@example.com"
    return AlertTarget.objects.create(project=project, kind="email", label=label, address=address, **fields)


def whom(kind: str, one: Any) -> dict[str, Any]:
    return {"kind": kind, "id": one.pk}


def step(*tell: dict[str, Any], wait: dt.timedelta = 5 * MINUTE) -> dict[str, Any]:
    return {"tell": list(tell), "wait_s": wait.total_seconds()}


def make_policy(project: Project, *steps: dict[str, Any], **fields: Any) -> EscalationPolicy:
    fields = {"name": "nights", "is_default": True, "repeats": 0, **fields}
    return EscalationPolicy.objects.create(project=project, steps=list(steps), **fields)


def make_rota(project: Project, *people: User, **fields: Any) -> Schedule:
    fields = {"starts_on": dt.date(2026, 3, 2), "name": "Payments", **fields}
    schedule = Schedule.objects.create(project=project, **fields)
    for place, user in enumerate(people):
        Turn.objects.create(schedule=schedule, user=user, position=place)
    return schedule


def falls_ill(project: Project, name: str = "refund-desk") -> Incident:
    pause = cast.spends_its_budget(cast.worker(project, name))
    return pause.incident


def told(incident: Incident | None = None) -> list[str]:
    """To whom messages go, in the order in which they were put."""
    rows = Outbox.objects.filter(incident=incident) if incident else Outbox.objects.all()
    return list(rows.order_by("pk").values_list("target__address", flat=True))


def test_without_a_policy_every_channel_is_told_again_until_somebody_has_it(
    project: Project, channel: AlertTarget
) -> None:
    """A project that named no policy tells every channel, and once more each quarter of an hour."""
    falls_ill(project)
    assert told() == ["ops@example.com"]
    assert escalating.run_due(NOW + 15 * MINUTE - SECOND) == 0
    assert escalating.run_due(NOW + 15 * MINUTE) == 1
    assert told() == ["ops@example.com"] * 2
    assert list(Outbox.objects.order_by("pk").values_list("about", flat=True)) == ["opened", "unseen"]


def test_steps_follow_each_other_and_end(project: Project, alice: User, bob: User) -> None:
    """Alice, then five minutes later Bob, once more from the start, and then it is spent."""
    make_policy(project, step(whom("person", alice)), step(whom("person", bob)), repeats=1)
    incident = falls_ill(project)
    for n in range(1, 6):
        escalating.run_due(NOW + n * 5 * MINUTE)
    assert told() == [alice.email, bob.email] * 2
    assert Escalation.objects.get(incident=incident).state == "spent"


def test_acknowledging_stops_the_pages_for_a_while(
    project: Project, channel: AlertTarget, alices: access.Actor
) -> None:
    """Whoever has it is asked again when the time is over, and then it is open and everybody is told."""
    make_policy(project, step(EVERYONE), seen_for_s=600)
    incident = falls_ill(project)
    incidents.acknowledge(actor=alices, incident_id=incident.pk, now=NOW + MINUTE)
    assert escalating.run_due(NOW + 10 * MINUTE) == 0
    assert escalating.run_due(NOW + 11 * MINUTE) == 1
    incident.refresh_from_db()
    assert (incident.state, incident.acknowledged_by) == (IncidentState.OPEN, None)
    assert told() == ["ops@example.com"] * 2
    assert AuditEntry.objects.filter(verb="acknowledgement expired").count() == 1


def test_giving_it_back_pages_at_once(project: Project, channel: AlertTarget, alices: access.Actor) -> None:
    """An acknowledgement that is taken back leaves the incident open, and the next round tells everybody."""
    incident = falls_ill(project)
    incidents.acknowledge(actor=alices, incident_id=incident.pk, now=NOW)
    assert having.give_back(actor=alices, incident_id=incident.pk, now=NOW + MINUTE) == "done"
    assert having.give_back(actor=alices, incident_id=incident.pk, now=NOW + MINUTE) == "nothing_to_do"
    escalating.run_due(NOW + MINUTE)
    assert told() == ["ops@example.com"] * 2


def test_keeping_it_paused_holds_the_pages_until_then(
    project: Project, channel: AlertTarget, alices: access.Actor
) -> None:
    """A snooze is an acknowledgement with an end that the person chose."""
    incident = falls_ill(project)
    until = NOW + dt.timedelta(hours=6)
    having.snooze(actor=alices, incident_id=incident.pk, until=until, reason="bank is closed", now=NOW)
    assert escalating.run_due(until - SECOND) == 0
    assert escalating.run_due(until) == 1
    incident.refresh_from_db()
    assert (incident.state, incident.snoozed_until) == (IncidentState.OPEN, None)


@pytest.mark.parametrize("until", [NOW, NOW - SECOND, NOW + dt.timedelta(days=8)])
def test_a_snooze_ends_within_a_week(until: dt.datetime, project: Project, alices: access.Actor) -> None:
    """A time that is over, or too far away, is refused with what to do instead."""
    incident = falls_ill(project)
    with pytest.raises(having.Refused, match="next seven days"):
        having.snooze(actor=alices, incident_id=incident.pk, until=until, reason="", now=NOW)


def test_what_was_taken_back_is_still_had(
    project: Project, channel: AlertTarget, alices: access.Actor
) -> None:
    """Whoever had it before the decision has it after that is withdrawn, as long as an acknowledgement."""
    make_policy(project, step(EVERYONE), seen_for_s=600)
    incident = falls_ill(project)
    incidents.acknowledge(actor=alices, incident_id=incident.pk, now=NOW)
    Incident.objects.filter(pk=incident.pk).update(state=IncidentState.DECIDED)
    escalating.run_due(NOW + 10 * MINUTE)
    incident.refresh_from_db()
    incidents.wait_again(incident, NOW + 11 * MINUTE)
    assert escalating.run_due(NOW + 21 * MINUTE - SECOND) == 0
    assert escalating.run_due(NOW + 21 * MINUTE) == 1
    assert told() == ["ops@example.com"] * 2


def test_a_decision_ends_the_pages(project: Project, channel: AlertTarget, alices: access.Actor) -> None:
    """Once it is decided nobody is told that nobody has it."""
    incident = falls_ill(project)
    incident.refresh_from_db()
    decisions.decide(
        actor=alices, incident_id=incident.pk, verb="resume", version=incident.version, reason="x", now=NOW
    )
    escalating.run_due(NOW + 15 * MINUTE)
    assert told() == ["ops@example.com"]
    assert Escalation.objects.get(incident=incident).state == "ended"


def test_who_is_on_duty_is_told(project: Project, alice: User, bob: User) -> None:
    """A rota's step tells whoever has the turn when the step is due, and says so."""
    make_policy(project, step(whom("schedule", make_rota(project, alice, bob, every_days=1))))
    falls_ill(project)
    assert [(row.target.address, row.why) for row in Outbox.objects.select_related("target")] == [
        (bob.email, f"{bob}, on duty in Payments")
    ]


def test_an_override_is_on_duty_instead(project: Project, alice: User, bob: User) -> None:
    """Who stands in is told, and the one who is stood in for sleeps."""
    schedule = make_rota(project, alice)
    Override.objects.create(
        schedule=schedule, user=bob, starts_at=NOW - MINUTE, ends_at=NOW + MINUTE, by="alice", created_at=NOW
    )
    make_policy(project, step(whom("schedule", schedule)))
    falls_ill(project)
    assert told() == [bob.email]


def test_a_gap_tells_every_channel_and_says_why(project: Project, channel: AlertTarget, bob: User) -> None:
    """A rota with nobody on duty is no reason to tell nobody."""
    make_policy(project, step(whom("schedule", make_rota(project, bob, starts_on=dt.date(2027, 1, 1)))))
    falls_ill(project)
    row = Outbox.objects.get()
    assert (row.target, row.why) == (
        channel, "nobody is reached by Payments, so every channel is told"
    )  # fmt: skip


def test_who_was_deleted_while_on_duty_leaves_no_hole(
    project: Project, channel: AlertTarget, alice: User, bob: User
) -> None:
    """The others of a rota take the turns of whoever left; a person who was named alone is a gap."""
    make_policy(project, step(whom("schedule", make_rota(project, alice, bob))), step(whom("person", alice)))
    alice.delete()
    falls_ill(project)
    escalating.run_due(NOW + 5 * MINUTE)
    assert told() == [bob.email, "ops@example.com"]


def test_who_left_the_project_is_not_told(
    project: Project, channel: AlertTarget, alice: User, bob: User
) -> None:
    """Whoever was removed reads of no agents any more: others take their turns, alone they are a gap."""
    make_policy(project, step(whom("schedule", make_rota(project, alice, bob))), step(whom("person", alice)))
    ada = cast.actor(member(project, "ada@example.com", "Ada", Role.ADMIN), project)
    assert people.remove(actor=ada, pk=Membership.objects.get(user=alice).pk, now=NOW)
    falls_ill(project)
    escalating.run_due(NOW + 5 * MINUTE)
    assert told() == [bob.email, "ops@example.com"]


def test_who_was_switched_off_is_not_told(
    project: Project, channel: AlertTarget, alice: User, bob: User
) -> None:
    """A team reaches those of it who may still sign in."""
    team = Team.objects.create(project=project, name="money")
    team.members.add(alice, bob)
    User.objects.filter(pk=alice.pk).update(is_active=False)
    make_policy(project, step(whom("team", team)))
    falls_ill(project)
    assert told() == [bob.email]


def test_a_step_reaches_no_other_project(project: Project, elsewhere: Project, channel: AlertTarget) -> None:
    """The number of another project's channel tells this project's channels, and nobody there."""
    theirs = make_channel(elsewhere, "theirs")
    make_policy(project, step(whom("channel", theirs)))
    falls_ill(project)
    assert told() == ["ops@example.com"]


def test_the_next_way_is_taken_when_one_fails(project: Project, channel: AlertTarget, bob: User) -> None:
    """A message that could not be handed over goes at once to the next way, and from there to a channel."""
    make_channel(project, "second", person=bob, position=2)
    make_channel(project, "first", person=bob, position=1)
    make_policy(project, step(whom("person", bob)))
    falls_ill(project)
    assert told() == ["first@example.com"]
    sending.send_due(lambda: NOW)  # no mail server is there: each of them fails
    assert told() == ["first@example.com", "second@example.com", "ops@example.com"]
    assert "first was not reached" in Outbox.objects.order_by("pk")[1].why


def test_one_target_is_told_once_a_step(project: Project, bob: User) -> None:
    """Whoever is named twice by one step gets one message."""
    team = Team.objects.create(project=project, name="money")
    team.members.add(bob)
    make_policy(project, step(whom("team", team), whom("person", bob)))
    falls_ill(project)
    assert told() == [bob.email]


def test_the_policy_is_copied_when_the_incident_opens(project: Project, alice: User, bob: User) -> None:
    """A change of the policy is for the next incident."""
    policy = make_policy(project, step(whom("person", alice)), step(whom("person", alice)))
    falls_ill(project)
    policy.steps = [step(whom("person", bob))]
    policy.save()
    escalating.run_due(NOW + 5 * MINUTE)
    assert told() == [alice.email] * 2


def test_an_agents_own_policy_goes_before_the_projects(project: Project, alice: User, bob: User) -> None:
    """The agent's developer may name another policy than the project's."""
    make_policy(project, step(whom("person", alice)))
    own = make_policy(project, step(whom("person", bob)), name="own", is_default=False)
    instance = cast.make_instance(cast.make_agent(project, escalation=own))
    assert told(cast.spends_its_budget(instance).incident) == [bob.email]


QUIET = {"quiet_from": dt.time(22), "quiet_until": dt.time(7)}


def test_quiet_hours_hold_back_what_is_not_paused(project: Project, channel: AlertTarget) -> None:
    """A missed start at night is told in the morning."""
    make_policy(project, step(EVERYONE), **QUIET)
    agent = cast.make_agent(project)
    incidents.open_or_join(agent=agent, instances=[], cause=Cause.MISSED, title="did not start", now=NOW)
    assert told() == []
    assert escalating.run_due(NOW.replace(hour=6, minute=59)) == 0
    escalating.run_due(NOW.replace(hour=7, minute=0, second=0))
    assert told() == ["ops@example.com"]


def test_every_step_waits_in_quiet_hours(project: Project, channel: AlertTarget) -> None:
    """Told in the evening, the next step would be at night: it comes in the morning, policy or not."""
    policy = make_policy(project, step(EVERYONE, wait=4 * 60 * MINUTE), step(EVERYONE), **QUIET)
    evening = NOW.replace(hour=19, minute=0, second=0)
    morning = evening + dt.timedelta(hours=12)
    agent = cast.make_agent(project)
    incidents.open_or_join(agent=agent, instances=[], cause=Cause.MISSED, title="did not start", now=evening)
    policy.delete()
    assert escalating.run_due(evening + 4 * 60 * MINUTE) == 1
    assert len(told()) == 1 and Escalation.objects.get().due_at == morning
    assert escalating.run_due(morning - SECOND) == 0
    escalating.run_due(morning)
    assert len(told()) == 2


def test_quiet_hours_never_silence_a_pause(project: Project, channel: AlertTarget) -> None:
    """At three in the morning a pause is told at once."""
    make_policy(project, step(EVERYONE), **QUIET)
    falls_ill(project)
    assert told() == ["ops@example.com"]


def test_giving_it_to_somebody_tells_them(
    project: Project, channel: AlertTarget, alices: access.Actor, bob: User
) -> None:
    """Who gets an incident is told by their own way, once, and it is theirs."""
    Membership.objects.filter(user=bob).update(role="responder")
    incident = falls_ill(project)
    for expected in ("done", "nothing_to_do"):
        had = having.assign(actor=alices, incident_id=incident.pk, to=bob, reason="yours", now=NOW)
        assert had == expected
    incident.refresh_from_db()
    assert (incident.assigned_to, told()) == (bob, ["ops@example.com", bob.email])


def test_it_is_given_only_to_who_may_decide(project: Project, alices: access.Actor, bob: User) -> None:
    """Somebody who may only look cannot have it."""
    with pytest.raises(having.Refused, match="may not decide"):
        having.assign(actor=alices, incident_id=falls_ill(project).pk, to=bob, reason="", now=NOW)


def test_a_note_moves_nothing(project: Project, alices: access.Actor) -> None:
    """A note is kept and written down, and the version stays."""
    incident = falls_ill(project)
    before = incidents.version_of(incident.pk)
    having.note(actor=alices, incident_id=incident.pk, words="the bank says 04:00", now=NOW)
    assert incident.notes.get().text == "the bank says 04:00"
    assert incidents.version_of(incident.pk) == before
    assert AuditEntry.objects.filter(verb="note", actor=alices.name).exists()


def test_another_projects_incident_is_not_there(project: Project, elsewhere: Project, alice: User) -> None:
    """Whoever acts in another project finds nothing to give back, snooze or write beside."""
    Membership.objects.create(project=elsewhere, user=alice, role="admin")
    there, incident = cast.actor(alice, elsewhere), falls_ill(project)
    assert having.give_back(actor=there, incident_id=incident.pk, now=NOW) == "not_found"
    assert having.note(actor=there, incident_id=incident.pk, words="x", now=NOW) is None


def test_a_round_reads_the_same_for_any_number_of_timers(
    project: Project, alice: User, bob: User, channel: AlertTarget
) -> None:
    """Five timers that are due cost as many queries as one."""
    team = Team.objects.create(project=project, name="money")
    team.members.add(alice, bob)
    make_policy(project, step(whom("team", team), EVERYONE), repeats=9)
    falls_ill(project, "first")
    escalating.run_due(NOW + 5 * MINUTE)
    counted = []
    for more, moment in ((0, 10), (4, 15)):
        for n in range(more):
            falls_ill(project, f"more-{moment}-{n}")
            Incident.objects.update(group=None)
        Escalation.objects.update(due_at=NOW + moment * MINUTE)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            escalating.run_due(NOW + moment * MINUTE)
        counted.append(len(queries))
    assert counted[0] == counted[1]
