"""Two people, from their browsers and from programs; and showing anew who one is before a rollback."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent, AuditEntry, Command, Incident, Project, Proposal, Role, Scope, User
from agents.services import incidents, tokens
from checkpoints.models import Rollback
from tests.conftest import member
from tests.domain import rolling
from tests.pages.test_compare import words

pytestmark = pytest.mark.django_db


@pytest.fixture
def dora(project: Project) -> User:
    return member(project, "dora@example.com", "Dora", Role.RESPONDER)


@pytest.fixture
def incident(project: Project) -> Incident:
    """refund-desk waits, with a good checkpoint, and needs two people."""
    desk = rolling.make_desk(project)
    desk.take(1, label="one")
    desk.take(2, facts={"failing": True})
    found = desk.pauses()
    Agent.objects.update(two_people=True)
    found.refresh_from_db()
    return found


def of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def form(incident: Incident, **more: Any) -> dict[str, Any]:
    said = {"version": incident.version, "reason": "known bug", "note": "rates", "guidance": "Cents."}
    return said | {"probation": "on", "checkpoint": "last_known_good"} | more


def address(incident: Incident, verb: str = "") -> str:
    return f"/p/main/incidents/{incident.pk}/{verb}"


def confirm(client: Client, incident: Incident, **more: Any) -> Any:
    proposal = Proposal.objects.latest("at")
    return client.post(address(incident, f"confirm/{proposal.pk}/"), {"version": proposal.version} | more)


def test_the_second_sees_what_the_first_saw(alice: User, dora: User, incident: Incident) -> None:
    """Who asks, for what, why, where to and from which version; and one button that says what it does."""
    first = of(alice).get(address(incident)).content.decode()
    assert "need two people" in words(first)
    assert of(alice).post(address(incident, "rollback/"), form(incident)).status_code == 302
    assert not Rollback.objects.exists()
    own = words(of(alice).get(address(incident)).content.decode())
    assert "You asked for it, so somebody else confirms it" in own and "Confirm:" not in own
    page = of(dora).get(address(incident)).content.decode()
    said = words(page)
    assert "alice@example.com asks to roll back and resume" in said and "known bug: rates" in said
    assert "Cents." in said and "Confirm: roll back and resume" in said
    proposal = Proposal.objects.get()
    (target,) = proposal.targets.values()
    assert f"/p/main/checkpoints/{target}/rollback/?then=resume" in page
    assert f'value="{incident.version}"' in page and 'id="resume"' not in page


def test_the_second_confirms(alice: User, dora: User, incident: Incident) -> None:
    """One rollback, in both names."""
    of(alice).post(address(incident, "rollback/"), form(incident))
    answer = confirm(of(dora), incident)
    assert (answer.status_code, answer["Location"]) == (302, address(incident))
    assert Rollback.objects.get().by == "alice@example.com and dora@example.com"


def test_the_first_cannot_confirm(alice: User, incident: Incident) -> None:
    """By hand or otherwise; the page says why."""
    of(alice).post(address(incident, "resume/"), form(incident))
    answer = confirm(of(alice), incident)
    assert answer.status_code == 409 and "second, different person" in words(answer.content.decode())
    assert not Command.objects.filter(kind="resume").exists()


def test_a_change_is_said(alice: User, dora: User, incident: Incident) -> None:
    """The second is told that it moved on; the first finds why theirs counts no more, and may ask again."""
    of(alice).post(address(incident, "resume/"), form(incident))
    incidents.bump(incident.pk)
    answer = confirm(of(dora), incident)
    assert answer.status_code == 409 and "moved on" in words(answer.content.decode())
    page = words(of(alice).get(address(incident)).content.decode())
    assert "alice@example.com asked to resume" in page and "counts no more" in page
    assert "Resume refund-desk" in page or "Resume" in page


def test_declined_with_a_reason(alice: User, dora: User, incident: Incident) -> None:
    """The first one reads it."""
    of(alice).post(address(incident, "resume/"), form(incident))
    proposal = Proposal.objects.get()
    of(dora).post(address(incident, f"decline/{proposal.pk}/"), {"note": "rates are still wrong"})
    page = words(of(alice).get(address(incident)).content.decode())
    assert "dora@example.com declined: rates are still wrong" in page
    assert AuditEntry.objects.get(verb="decline: resume").reason == "rates are still wrong"


def test_a_viewer_only_looks(alice: User, bob: User, incident: Incident) -> None:
    """Neither confirms nor declines."""
    of(alice).post(address(incident, "resume/"), form(incident))
    assert "Confirm" not in of(bob).get(address(incident)).content.decode()
    assert confirm(of(bob), incident).status_code == 403


def test_an_agents_start_waits_too(alice: User, incident: Incident) -> None:
    """From its own page; the answer says whom it waits for."""
    of(alice).post(address(incident, "stop/"), form(incident, reason="does harm"))
    command = Command.objects.get(kind="stop")
    command.pause.__class__.objects.update(state="stopped", settled_at=timezone.now())  # type: ignore[union-attr]
    of(alice).post("/p/main/agents/refund-desk/start/", {"reason": "fixed"})
    assert Proposal.objects.get().verb == "start"


def test_a_program_asks_and_another_confirms(
    project: Project, alice: User, dora: User, incident: Incident
) -> None:
    """202 with what waits; the same person's token is refused, another one's decides."""

    def bearer(user: User, label: str) -> dict[str, Any]:
        made = tokens.make(
            project=project, scope=Scope.OPERATOR, label=label, by=user.email, user=user, now=timezone.now()
        )
        return {"headers": {"Authorization": f"Bearer {made.text}"}, "content_type": "application/json"}

    one, own, two = bearer(alice, "one"), bearer(alice, "own"), bearer(dora, "two")
    path = f"/api/v1/incidents/{incident.pk}/"
    said = {"decision": "resume", "version": incident.version, "reason": "known bug"}
    asked = Client().post(path + "decide/", json.dumps(said), **one)
    assert asked.status_code == 202 and asked.json()["results"] == []
    waits = asked.json()["asked_for"]
    assert Client().get(path, **two).json()["asked_for"]["id"] == waits["id"]
    confirm = path + f"confirm/{waits['id']}/"
    body = json.dumps({"version": waits["version"]})
    refused = Client().post(confirm, body, **own)
    assert (refused.status_code, refused.json()["error"]) == (409, "own")
    done = Client().post(confirm, body, **two)
    assert done.status_code == 200 and done.json()["results"][0]["result"] == "ordered"
    again = Client().post(confirm, body, **two)
    assert (again.status_code, again.json()["error"]) == (409, "lost")
    late = Client().post(path + f"decline/{waits['id']}/", "{}", **one)
    assert (late.status_code, late.json()["error"]) == (409, "lost")


def test_the_guard_is_an_administrators(project: Project, alice: User, incident: Incident) -> None:
    """Chosen on the policy page, audited with before and after, once; an operator may not."""
    path, carol = "/p/main/agents/refund-desk/policy/", member(project, "c@example.com", "C", Role.ADMIN)
    assert of(alice).post(path + "guard/", {}).status_code == 403
    assert "Needs the role admin" in of(alice).get(path).content.decode()
    for _ in range(2):
        assert of(carol).post(path + "guard/", {"proves_anew": "on"}).status_code == 302
    agent = Agent.objects.get()
    assert (agent.two_people, agent.proves_anew) == (False, True)
    saw = AuditEntry.objects.get(verb="change guard").saw
    assert saw["before"]["two people"] is True and saw["after"]["two people"] is False


@pytest.fixture
def anew(incident: Incident, alice: User) -> Incident:
    """One person is enough, who shows that it is them; alice has a password."""
    Agent.objects.update(two_people=False, proves_anew=True)
    alice.set_password("correct horse")
    alice.save()
    return incident


def test_a_rollback_asks_who_it_is_and_keeps_what_was_typed(alice: User, anew: Incident) -> None:
    """To the door and back: nothing was done, every word is there, and then it is done."""
    client = of(alice)
    said = form(anew)
    del said["probation"]
    answer = client.post(address(anew, "rollback/"), said)
    assert answer.status_code == 302 and answer["Location"].startswith("/accounts/reauthenticate/?next=")
    assert not Rollback.objects.exists()
    wrong = client.post(answer["Location"], {"password": "wrong"})
    assert wrong.status_code == 200
    back = client.post(answer["Location"], {"password": "correct horse"})
    assert back["Location"] == address(anew)
    page = client.get(back["Location"]).content.decode()
    assert 'value="rates"' in page and "Cents." in page and "You have shown that it is you" in page
    assert not re.search(r'id="probation"[^>]*checked', page)
    assert not Rollback.objects.exists()
    client.post(address(anew, "rollback/"), form(anew))
    assert Rollback.objects.count() == 1


def test_the_page_before_a_rollback_keeps_it_too(alice: User, anew: Incident) -> None:
    """With its address, so the scope that was chosen is there as well."""
    client, target = of(alice), Agent.objects.get().last_good
    page = f"/p/main/checkpoints/{target}/rollback/?scope=memory&then=resume"
    said = form(anew, reason="went wrong since") | {"incident": anew.pk}
    answer = client.post(page, said)
    assert answer["Location"].startswith("/accounts/reauthenticate/")
    back = client.post(answer["Location"], {"password": "correct horse"})
    assert back["Location"] == page and "Cents." in client.get(page).content.decode()
    assert client.post(page, said).status_code == 302 and Rollback.objects.count() == 1


def test_who_has_no_means_is_told_where_to_get_one(alice: User, anew: Incident) -> None:
    """Fails closed, in words."""
    alice.set_unusable_password()
    alice.save()
    answer = of(alice).post(address(anew, "rollback/"), form(anew))
    assert answer.status_code == 409 and "neither password nor passkey" in words(answer.content.decode())
    assert not Rollback.objects.exists()


def test_a_resume_does_not_ask(alice: User, anew: Incident) -> None:
    """The policy is about rollbacks."""
    of(alice).post(address(anew, "resume/"), form(anew))
    assert Command.objects.filter(kind="resume").count() == 1


def test_tokens_may_not_roll_back(project: Project, alice: User, anew: Incident) -> None:
    """And the answer says so, of an incident and of an agent."""
    made = tokens.make(
        project=project, scope=Scope.OPERATOR, label="t", by="alice", user=alice, now=timezone.now()
    )
    bearer: Any = {"headers": {"Authorization": f"Bearer {made.text}"}, "content_type": "application/json"}
    said = {"decision": "rollback", "version": anew.version, "reason": "x", "checkpoint": "last_known_good"}
    order = {"checkpoint": "last_known_good", "reason": "x"}
    for path, body in ((f"incidents/{anew.pk}/decide/", said), ("agents/refund-desk/rollback/", order)):
        answer = Client().post(f"/api/v1/{path}", json.dumps(body), **bearer)
        assert (answer.status_code, answer.json()["error"]) == (403, "person_needed")
        assert "a token cannot" in answer.json()["message"]
    assert not Rollback.objects.exists()
