"""Answering for effects from a page: four answers, each with a reason, and back to where the form stood."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.template.loader import render_to_string
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import AuditEntry, Command, Effect, Incident, Instance, Project, User
from agents.services import unknown_effects
from dashboard.contexts import effects
from tests import builders
from tests.domain.rolling import Desk, make_desk

HOSTILE = "<img src=x onerror=alert(1)>{% now 'Y' %}\u202e"


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def desk(project: Project) -> Desk:
    return make_desk(project)


def effect(desk: Desk, outcome: str, key: str | None = "refund:17", act: int = 1, **more: Any) -> Effect:
    desk.wire.post_events(
        builders.action(
            "refund", external=True, outcome=outcome, act=act, key=key, at=desk.wire.now(),
            input={"order": 17}, **more,
        ),
        first=act,
    )  # fmt: skip
    return Effect.objects.get(pk__endswith=f"-{act}")


def post(client: Client, found: Effect, answer: str, reason: str, **more: str) -> Any:
    path = f"/p/main/agents/refund-desk/effects/{found.pk}/answer/"
    return client.post(path, {"answer": answer, "reason": reason, "back": "/p/main/incidents/1/", **more})


def drawn(found: list[Effect]) -> str:
    said = {"project": found[0].instance.agent.project, "may_decide": True, "now": timezone.now(), "back": ""}
    return "".join(
        render_to_string("partials/effect_answers.html", said | {"item": item})
        for item in effects.answerable(found)
    )


@pytest.mark.parametrize(
    ("outcome", "answer", "reason"),
    [
        ("ok", "accepted", "good enough"),
        ("ok", "again", "taken back"),
        ("timeout", "happened", "found there"),
        ("timeout", "did_not", "not found there"),
    ],
)
def test_each_answer_becomes_a_command_with_its_reason(
    signed_in: Client, desk: Desk, outcome: str, answer: str, reason: str
) -> None:
    """And the browser is back where the form stood, at the effect."""
    found = effect(desk, outcome)
    done = post(signed_in, found, answer, reason, note="looked it up")
    assert done["Location"] == f"/p/main/incidents/1/#answers-{found.pk}"
    command = Command.objects.get()
    assert (command.payload["answer"], command.payload["reason"]) == (answer, f"{reason}: looked it up")
    found.refresh_from_db()
    assert found.answer == answer and found.command == command
    assert AuditEntry.objects.filter(verb="answer effect").count() == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [("", "good enough"), ("accepted", ""), ("accepted", "found there"), ("all", "good enough")],
)
def test_without_an_answer_and_its_reason_nothing_is_done(
    signed_in: Client, desk: Desk, answer: str, reason: str
) -> None:
    """Whoever reads the log wants to know why."""
    assert post(signed_in, effect(desk, "ok"), answer, reason).status_code == 302
    assert not Command.objects.exists()


@pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example", "/p/elsewhere/", "/p/main/\\@x"])
def test_it_leads_nowhere_else(signed_in: Client, desk: Desk, back: str) -> None:
    """An address of another host or project is none: the agent's page it is."""
    found = effect(desk, "ok")
    answer = post(signed_in, found, "accepted", "good enough", back=back)
    assert answer["Location"] in (
        f"/p/main/agents/refund-desk/#answers-{found.pk}", f"/p/main/%5C@x#answers-{found.pk}",
    )  # fmt: skip


def test_a_viewer_may_not_answer(client: Client, bob: User, desk: Desk) -> None:
    """Bob watches."""
    client.force_login(bob)
    assert post(client, effect(desk, "ok"), "accepted", "good enough").status_code == 403


def test_another_projects_effect_is_not_there(signed_in: Client, project: Project, desk: Desk) -> None:
    """Nor is one that there never was."""
    other = effect(make_desk(builders.make_project("elsewhere")), "ok")
    assert post(signed_in, other, "accepted", "good enough").status_code == 404
    assert not Command.objects.exists()


def test_only_what_makes_sense_is_offered(desk: Desk) -> None:
    """Two answers for what may have happened, two for what was done under a key, one without a key."""
    page = drawn([effect(desk, "timeout", act=1)])
    assert "It happened" in page and "It did not" in page and "Accept it" not in page
    page = drawn([effect(desk, "ok", act=2)])
    assert "Accept it" in page and "Do it again" in page and "It happened" not in page
    page = drawn([effect(desk, "ok", None, act=3)])
    assert "Accept it" in page and "Do it again" not in page
    assert "<details" not in drawn([effect(desk, "failed", act=4)])


def test_an_effect_in_flight_is_waited_for(desk: Desk) -> None:
    """Its end will say what it did; once its process is gone, a human is asked."""
    desk.wire.post_events({"kind": "effect", "name": "refund", "act": 1, "key": "k", "at": desk.wire.now()})
    found = list(Effect.objects.all())
    assert "<details" not in drawn(found) and effects.answerable(found)[0].state == "in flight"
    Instance.objects.update(live=False, gone_since=timezone.now())
    assert "It happened" in drawn(found)


def test_an_answer_is_shown_with_whose_it_is(signed_in: Client, desk: Desk) -> None:
    """And whether the agent has heard of it; what an agent or a person wrote is plain text."""
    found = effect(desk, "ok", HOSTILE)
    post(signed_in, found, "accepted", "good enough", note=HOSTILE)
    page = drawn(list(Effect.objects.select_related("command", "instance__agent__project")))
    assert "Accepted as it is" in page and "alice@example.com" in page and "<img" not in page
    assert "The agent hears of it when it next looks or starts." in page and "<details" not in page


def test_a_worklist_costs_the_same_whatever_its_length(desk: Desk, django_assert_num_queries: Any) -> None:
    """One query says which of all of them are in flight."""
    for act in range(1, 6):
        desk.wire.post_events(
            {"kind": "effect", "name": "refund", "act": act, "at": desk.wire.now()}, first=act
        )
    found = list(Effect.objects.all())
    with django_assert_num_queries(1):
        effects.answerable(found)


def asked(desk: Desk, count: int = 1) -> Incident:
    """The incident that asks about so many."""
    for act in range(1, count + 1):
        effect(desk, "timeout", f"refund:{act}", act)
    unknown_effects.look(timezone.now())
    return Incident.objects.get()


def test_the_incident_asks_with_two_answers(signed_in: Client, desk: Desk) -> None:
    """What it is about, the two answers, and what the agent does meanwhile; an answer closes it."""
    incident = asked(desk)
    page = signed_in.get(f"/p/main/incidents/{incident.pk}/").content.decode()
    for said in (
        "refund refund:1 may have happened", "Did it happen?", "It happened", "It did not", "refund:1",
        "It goes on by itself with your answer.", "1 external action may have happened",
    ):  # fmt: skip
        assert said in page, said
    assert "All 1" not in page and "Accept it" not in page
    here = f"/p/main/incidents/{incident.pk}/"
    done = post(signed_in, Effect.objects.get(), "did_not", "not found there", back=here)
    page = signed_in.get(done["Location"]).content.decode()
    assert "Answered" in page and "It did not happen" in page and "It happened" not in page
    assert "The agent hears of it when it next looks or starts." in page
    incident.refresh_from_db()
    assert incident.state == "closed"


def ticked(page: str, answer: str) -> list[str]:
    """What the form that gives this answer to many of them has ticked."""
    form = page.partition(f'id="{answer}-all"')[2].partition("</details>")[0]
    return re.findall(r'name="effect" value="([^"]+)" checked', form)


def say_of(client: Client, marks: list[str], answer: str, reason: str) -> Any:
    said = {"effect": marks, "answer": answer, "reason": reason, "back": "/p/main/incidents/1/"}
    return client.post("/p/main/effects/answer/", said)


@pytest.mark.parametrize(("answer", "reason"), [("happened", "found there"), ("did_not", "they deny it")])
def test_many_are_answered_for_at_once(signed_in: Client, desk: Desk, answer: str, reason: str) -> None:
    """Two clicks for all of them: a command for each, and one act in the log that lists them."""
    incident = asked(desk, 5)
    page = signed_in.get(f"/p/main/incidents/{incident.pk}/").content.decode()
    assert "All 5 happened" in page
    done = say_of(signed_in, ticked(page, answer), answer, reason)
    assert done["Location"] == "/p/main/incidents/1/#asked"
    assert Command.objects.count() == 5
    row = AuditEntry.objects.get(verb="answer effects")
    assert [one["key"] for one in row.saw["effects"]] == [f"refund:{act}" for act in range(1, 6)]
    assert not AuditEntry.objects.filter(verb="answer effect").exists()
    incident.refresh_from_db()
    assert incident.state == "closed"


def test_all_that_was_done_is_accepted_at_once(signed_in: Client, desk: Desk) -> None:
    """The list names what is accepted; what is unticked stays, what may have happened is never among them."""
    desk.take(1)
    done = [effect(desk, "ok", f"refund:{act}", act) for act in range(1, 5)]
    effect(desk, "timeout", "refund:5", 5)
    effect(desk, "failed", "refund:6", 6)
    page = signed_in.get(f"/p/main/incidents/{desk.pauses().pk}/").content.decode()
    marks = ticked(page, "accepted")
    assert "Accept all 4" in page and [mark.partition("/")[0] for mark in marks] == [one.pk for one in done]
    say_of(signed_in, marks[1:], "accepted", "good enough")
    assert list(Effect.objects.order_by("begun_at", "pk").values_list("answer", flat=True)) == [
        "", "accepted", "accepted", "accepted", "", "",
    ]  # fmt: skip
    row = AuditEntry.objects.get(verb="answer effects")
    assert (row.object, row.reason) == ("3 effects", "good enough") and len(row.saw["effects"]) == 3


@pytest.mark.parametrize(
    "change", [{"answer": "again", "answered_by": "bob"}, {"verdict": "fail"}, {"state": "unknown"}]
)
def test_when_one_stands_otherwise_none_is_answered(
    signed_in: Client, desk: Desk, change: dict[str, str]
) -> None:
    """Somebody was first, or it was found not to be as expected: the page says which, and nothing is done."""
    for act in (1, 2, 3):
        effect(desk, "ok", f"refund:{act}", act)
    marks = [f"{one.pk}/{one.state}/{one.verdict}" for one in Effect.objects.all()]
    Effect.objects.filter(key="refund:2").update(**change)
    say_of(signed_in, marks, "accepted", "good enough")
    assert not Command.objects.exists() and not Effect.objects.filter(answer="accepted").exists()
    assert "Nothing was answered" in signed_in.get("/p/main/").content.decode()


def test_another_projects_effects_are_not_among_them(signed_in: Client, desk: Desk) -> None:
    """One of them that is not there, and none is answered."""
    mine = effect(desk, "ok")
    other = effect(make_desk(builders.make_project("elsewhere")), "ok", act=2)
    for strange in (f"{other.pk}/{other.state}/{other.verdict}", "x/done/", "x", "x/y/z/done"):
        say_of(signed_in, [f"{mine.pk}/{mine.state}/{mine.verdict}", strange], "accepted", "good enough")
        assert not Command.objects.exists()


@pytest.mark.parametrize(("answer", "reason"), [("accepted", "good enough"), ("happened", ""), ("", "x")])
def test_nothing_else_is_said_of_many(signed_in: Client, desk: Desk, answer: str, reason: str) -> None:
    """Of what may have happened only whether it did, with a reason; and of nothing, nothing."""
    asked(desk, 2)
    marks = [f"{one.pk}/{one.state}/{one.verdict}" for one in Effect.objects.all()]
    say_of(signed_in, marks, answer, reason)
    say_of(signed_in, [], "happened", "found there")
    assert not Command.objects.exists()


def test_a_viewer_sees_the_question(client: Client, bob: User, desk: Desk) -> None:
    """And may not answer it."""
    client.force_login(bob)
    incident = asked(desk, 2)
    page = client.get(f"/p/main/incidents/{incident.pk}/").content.decode()
    assert "It waits for a responder to say." in page and "<details name" not in page
    assert say_of(client, ["x/unknown/"], "happened", "found there").status_code == 403


def test_the_question_costs_the_same_for_many(signed_in: Client, desk: Desk) -> None:
    """A constant number of queries, and nothing an agent wrote is markup."""
    incident = asked(desk, 2)
    Effect.objects.update(name=HOSTILE, key=HOSTILE)
    with CaptureQueriesContext(connection) as few:
        page = signed_in.get(f"/p/main/incidents/{incident.pk}/").content.decode()
    assert "<img" not in page
    for act in range(3, 30):
        effect(desk, "timeout", f"refund:{act}", act)
    unknown_effects.look(timezone.now())
    with CaptureQueriesContext(connection) as many:
        signed_in.get(f"/p/main/incidents/{incident.pk}/")
    assert len(few) == len(many)
