"""Answers about effects: the first counts, the agent hears of it, nothing is asked that makes no sense."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from agents.models import Agent, AuditEntry, Command, Effect, Entry, Instance, Project, User
from agents.services import worklist
from tests import builders
from tests.domain.rolling import Desk, actor, make_desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(project: Project) -> Desk:
    return make_desk(project)


def effect(desk: Desk, outcome: str | None = "ok", key: str | None = "refund:17") -> Effect:
    """One that ended so; without an outcome only its intent is known."""
    said: dict[str, Any] = {"act": 1, "key": key, "at": desk.wire.now(), "input": {"order": 17}}
    if outcome is None:
        desk.wire.post_events({"kind": "effect", "name": "refund", **said})
    else:
        desk.wire.post_events(builders.action("refund", external=True, outcome=outcome, **said))
    return Effect.objects.get()


def answer(user: User, project: Project, found: Effect, said: Any) -> worklist.Answered:
    return worklist.answer(
        actor=actor(user, project), agent=Agent.objects.get(project=project), effect_id=found.pk, said=said,
        reason="looked it up", now=timezone.now(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outcome", "said", "state"),
    [
        ("ok", "accepted", "done"),
        ("ok", "again", "done"),
        ("failed", "again", "failed"),
        ("timeout", "happened", "done"),
        ("timeout", "did_not", "failed"),
    ],
)
def test_the_agent_hears_of_an_answer(
    project: Project, alice: User, desk: Desk, outcome: str, said: str, state: str
) -> None:
    """A command with the key and the answer; audited, and in the timeline."""
    found = effect(desk, outcome)
    assert answer(alice, project, found, said).name == "answered"
    (command,) = desk.wire.commands().json()["commands"]
    assert (command["kind"], command["payload"]["key"], command["payload"]["answer"]) == (
        "effect",
        "refund:17",
        said,
    )
    found.refresh_from_db()
    assert (found.answer, found.state, found.answered_by) == (said, state, "alice@example.com")
    assert AuditEntry.objects.get(verb="answer effect").saw["answer"] == said
    assert Entry.objects.get(kind="verdict").outcome == said
    assert desk.wire.receipt(command["id"], "taken").status_code == 200
    assert desk.wire.receipt(command["id"], "done").status_code == 200


def test_the_first_answer_counts(project: Project, alice: User, desk: Desk) -> None:
    """The second is told whose it was."""
    found = effect(desk)
    answer(alice, project, found, "accepted")
    second = answer(alice, project, found, "again")
    assert second.name == "lost" and "alice@example.com said before you" in second.sentence
    assert Command.objects.count() == 1


@pytest.mark.parametrize(
    ("outcome", "key", "said", "name"),
    [
        ("ok", "k", "happened", "wrong_answer"),
        ("timeout", "k", "again", "wrong_answer"),
        ("ok", None, "again", "no_key"),
        (None, "k", "happened", "in_flight"),
    ],
)
def test_an_answer_that_makes_no_sense_is_refused(
    project: Project, alice: User, desk: Desk, outcome: str | None, key: str | None, said: str, name: str
) -> None:
    """With the ones that do; an effect in flight is waited for."""
    refused = answer(alice, project, effect(desk, outcome, key), said)
    assert refused.name == name and not Command.objects.exists()


def test_an_intent_whose_process_died_may_have_happened(project: Project, alice: User, desk: Desk) -> None:
    """So it can be answered."""
    found = effect(desk, None)
    Instance.objects.update(live=False, gone_since=timezone.now())
    assert answer(alice, project, found, "did_not").name == "answered"


def test_another_projects_effect_is_not_there(project: Project, alice: User, desk: Desk) -> None:
    """Nor is another agent's."""
    found = effect(make_desk(builders.make_project("elsewhere")))
    assert answer(alice, project, found, "accepted").name == "not_found"
