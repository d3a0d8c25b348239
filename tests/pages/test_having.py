"""Who has an incident, on its page: given back, kept paused, given to somebody, notes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import AuditEntry, Escalation, Incident, Membership, Note, Outbox, Project, User
from agents.services import escalating
from tests.domain.test_escalation import make_policy, make_rota, step, whom
from tests.pages import story
from tests.pages.states import HOSTILE
from tests.pages.test_compare import words

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def incident(project: Project, alice: User, bob: User) -> Incident:
    """It waits, and a policy says who is told: Alice's rota, then Bob."""
    rota = make_rota(project, alice, starts_on=timezone.now().date() - timedelta(days=3))
    make_policy(project, step(whom("schedule", rota)), step(whom("person", bob)))
    return story.make_paused(project, timezone.now()).incident


def page(client: Client, incident: Incident) -> str:
    return words(client.get(f"/p/main/incidents/{incident.pk}/").content.decode())


def do(client: Client, incident: Incident, verb: str, **form: Any) -> int:
    return client.post(f"/p/main/incidents/{incident.pk}/{verb}/", form).status_code


def test_it_says_who_is_told_next(client: Client, incident: Incident) -> None:
    """While nobody has it, the page names whom the next page goes to, and when."""
    assert "Next" in (said := page(client, incident)) and ": Bob ." in said.replace("Bob.", "Bob .")


def test_an_acknowledgement_says_until_when_it_holds(client: Client, incident: Incident) -> None:
    """And it can be given back."""
    do(client, incident, "acknowledge")
    said = page(client, incident)
    assert "Everybody is told again" in said and "Give it back" in said
    do(client, incident, "give-back")
    incident.refresh_from_db()
    assert incident.state == "open"


def test_keeping_it_paused(client: Client, incident: Incident) -> None:
    """For four hours, with a reason that the log keeps."""
    do(client, incident, "snooze", minutes="240", note="the bank is closed")
    assert "Kept paused by you" in page(client, incident)
    due = Escalation.objects.get(incident=incident).due_at
    assert timedelta(hours=3, minutes=59) < due - timezone.now() <= timedelta(hours=4)
    assert AuditEntry.objects.get(verb="keep paused").reason == "the bank is closed"


@pytest.mark.parametrize("form", [{}, {"minutes": "0"}, {"minutes": "9" * 18}, {"until": "yesterday"}])
def test_a_time_that_is_none_keeps_nothing(form: dict[str, str], client: Client, incident: Incident) -> None:
    """The page says what may be chosen, and the incident is as it was."""
    assert do(client, incident, "snooze", **form) == 302
    assert "next seven days" in page(client, incident)
    incident.refresh_from_db()
    assert (incident.state, incident.snoozed_until) == ("open", None)


def test_giving_it_to_somebody(client: Client, incident: Incident, bob: User) -> None:
    """Who may decide is offered and told; who may only look is not."""
    do(client, incident, "assign", person=bob.pk)
    assert "Choose somebody who may decide" in page(client, incident)
    Membership.objects.filter(user=bob).update(role="responder")
    assert do(client, incident, "assign", person=bob.pk) == 302
    assert "It was given to Bob" in page(client, incident)
    assert Outbox.objects.filter(about="assigned", target__person=bob).count() == 1


def test_a_note_stays_beside_it(client: Client, incident: Incident) -> None:
    """Shown as text, whoever wrote what."""
    do(client, incident, "note", note=f"called the bank {HOSTILE}")
    html = client.get(f"/p/main/incidents/{incident.pk}/").content.decode()
    assert "called the bank" in html and "<img src=x" not in html
    assert do(client, incident, "note", note="  ") == 302 and Note.objects.count() == 1


def test_it_is_spent_and_says_so(client: Client, incident: Incident) -> None:
    """Every step was told and nobody answered: that stands in red."""
    for hours in (1, 2):
        escalating.run_due(timezone.now() + timedelta(hours=hours))
    assert "nobody answered" in page(client, incident)


def test_who_may_only_look_is_offered_nothing(project: Project, incident: Incident, bob: User) -> None:
    """Neither keeping it paused, nor giving it away, nor notes."""
    client = Client()
    client.force_login(bob)
    said = page(client, incident)
    assert "Keep paused" not in said and "Give it to" not in said and "Write a note" not in said
    assert do(client, incident, "note", note="x") == 403
