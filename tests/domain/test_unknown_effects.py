"""What may have happened is asked about: once, on one incident, that closes when all is answered."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from agents.models import Agent, AlertTarget, Cause, Effect, Entry, Incident, Outbox, Project, User
from agents.services import cards, decisions, unknown_effects, watchdog, worklist
from tests import builders
from tests.domain.rolling import Desk, actor, make_desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(project: Project) -> Desk:
    AlertTarget.objects.create(project=project, kind="email", label="on-call", address="a@example.com")
    return make_desk(project)


def effect(desk: Desk, act: int = 1, **more: Any) -> Effect:
    """One whose end is unknown; `died`: its intent is all that there is."""
    said = {"name": "refund", "act": act, "key": f"refund:{act}", "at": desk.wire.now()}
    event = {"kind": "effect", **said, **more}
    if not more.pop("died", False):
        event = builders.action(external=True, outcome="failed", effect="unknown", **said, **more)
    assert desk.wire.post_events(event, first=act).status_code == 200
    return Effect.objects.get(pk__endswith=f"-{act}")


def answer(user: User, found: Effect, said: Any) -> worklist.Answered:
    project = found.instance.agent.project
    return worklist.answer(
        actor=actor(user, project), agent=found.instance.agent, effect_id=found.pk, said=said,
        reason="looked it up", now=timezone.now(),
    )  # fmt: skip


def look(now: datetime | None = None) -> int:
    return unknown_effects.look(now or timezone.now())


def test_a_time_out_is_asked_about_once(desk: Desk) -> None:
    """One incident of the cause effect, and one alert, however often anybody looks."""
    found = effect(desk)
    assert [look(), look()] == [1, 0]
    incident = Incident.objects.get()
    assert (incident.cause, incident.title) == (Cause.EFFECT, "refund refund:1 may have happened")
    found.refresh_from_db()
    assert found.incident == incident and list(incident.instances.all()) == [found.instance]
    card = Outbox.objects.get()
    assert cards.headline(card) == "refund-desk asks: an effect may have happened"
    assert "say whether it happened" in cards.body(card)
    assert Entry.objects.filter(name="effect", outcome="asked").count() == 1


def test_the_watchdog_looks(desk: Desk) -> None:
    """With everything else that nobody reports."""
    effect(desk)
    assert watchdog.look(timezone.now()).asked_about == 1


def test_an_effect_in_flight_is_not_asked_about(desk: Desk) -> None:
    """While its run goes on; once the run has vanished, it is."""
    effect(desk, died=True)
    assert look() == 0 and not Incident.objects.exists()
    desk.wire.post_events({"kind": "run", "name": "finished", "at": desk.wire.now()}, first=2)
    assert look() == 1


def test_what_ended_is_not_asked_about(desk: Desk) -> None:
    """Done, done wrong, refused, and what reached nothing because its key was done."""
    for act, said in enumerate(
        ({"effect": "done"}, {"outcome": "failed", "verdict": "fail", "effect": "done"},
         {"outcome": "failed", "effect": "failed"}, {"outcome": "already", "effect": "none"},
         {"outcome": "failed", "effect": "none"}), start=1,
    ):  # fmt: skip
        event = builders.action("refund", external=True, act=act, key="k", **{"effect": "done", **said})
        desk.wire.post_events(event, first=act)
    assert look() == 0
    assert sorted(Effect.objects.values_list("state", "verdict")) == [
        ("done", ""), ("done", "fail"), ("failed", ""),
    ]  # fmt: skip


def test_more_of_them_share_the_incident(desk: Desk, alice: User) -> None:
    """Its title counts what is left, and its version goes up."""
    first = effect(desk)
    look()
    second = effect(desk, 2)
    look()
    incident = Incident.objects.get()
    assert incident.title == "2 effects may have happened" and incident.version == 2
    answer(alice, first, "happened")
    incident.refresh_from_db()
    assert incident.title == "refund refund:2 may have happened"
    assert incident.state == "acknowledged" and incident.acknowledged_by == alice
    answer(alice, second, "did_not")
    incident.refresh_from_db()
    assert incident.state == "closed" and incident.closed_at is not None
    assert Outbox.objects.filter(about=Outbox.About.CLOSED).count() == 1
    assert look() == 0 and Incident.objects.count() == 1


def test_an_acknowledged_one_closes_too(desk: Desk, alice: User) -> None:
    """Whoever has seen it may answer."""
    found = effect(desk)
    look()
    Incident.objects.update(state="acknowledged", acknowledged_at=timezone.now())
    answer(alice, found, "happened")
    assert Incident.objects.get().state == "closed"


def test_who_can_find_out_is_given_ten_minutes(desk: Desk) -> None:
    """`confirm=` is asked first; then a human."""
    effect(desk, died=True, confirms=True)
    desk.wire.post_events({"kind": "run", "name": "finished", "at": desk.wire.now()}, first=2)
    assert look() == 0
    assert look(timezone.now() + timedelta(minutes=11)) == 1


def test_what_confirm_cannot_tell_is_asked_about_at_once(desk: Desk) -> None:
    """The agent says so."""
    found = effect(desk, died=True, confirms=True)
    said = {"kind": "effect", "name": "refund", "of": found.pk, "outcome": "unknown", "at": desk.wire.now()}
    desk.wire.post_events(said, first=2)
    assert look() == 1


@pytest.mark.parametrize("state", ["done", "failed"])
def test_what_the_agent_finds_out_closes_it(desk: Desk, state: str) -> None:
    """Nobody needs to answer any more."""
    found = effect(desk)
    look()
    said = {"kind": "effect", "name": "refund", "of": found.pk, "outcome": state, "at": desk.wire.now()}
    desk.wire.post_events(said, first=2)
    look()
    found.refresh_from_db()
    assert found.state == state and Incident.objects.get().state == "closed"


def test_what_a_human_said_is_not_overwritten(desk: Desk, alice: User) -> None:
    """The agent's later finding stands in the timeline; the answer stays the answer."""
    found = effect(desk)
    answer(alice, found, "did_not")
    said = {"kind": "effect", "name": "refund", "of": found.pk, "outcome": "done", "at": desk.wire.now()}
    desk.wire.post_events(said, first=2)
    found.refresh_from_db()
    assert (found.state, found.answer) == ("failed", "did_not")


def test_nobody_settles_another_instances_effect(project: Project, desk: Desk) -> None:
    """An agent speaks for its own ledger alone."""
    found = effect(desk)
    other = make_desk(project, "other")
    other.wire.post_events(
        {"kind": "effect", "name": "x", "of": found.pk, "outcome": "done", "at": desk.wire.now()}
    )
    found.refresh_from_db()
    assert found.state == "unknown"


def test_an_end_that_comes_late_closes_it(desk: Desk) -> None:
    """A process that was only unreachable says how it ended."""
    effect(desk, died=True)
    desk.wire.post_events({"kind": "run", "name": "finished", "at": desk.wire.now()}, first=3)
    look()
    late = builders.action("refund", external=True, act=1, key="refund:1", effect="done")
    desk.wire.post_events(late, first=2)
    look()
    assert Incident.objects.get().state == "closed"


def test_stopping_the_agent_is_open_too(desk: Desk, alice: User, project: Project) -> None:
    """Nothing is held by the question; a stop holds first, and the answer can still be given."""
    found = effect(desk)
    look()
    incident = Incident.objects.get()
    done = decisions.decide(
        actor=actor(alice, project), incident_id=incident.pk, verb="stop", version=incident.version,
        reason="does harm", now=timezone.now(),
    )  # fmt: skip
    assert done.name == "decided"
    assert answer(alice, found, "happened").name == "answered"
    assert Agent.objects.get().status in ("pausing", "stopped")
