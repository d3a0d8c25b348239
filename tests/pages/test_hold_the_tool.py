"""Hold the tool, from the incident's page, and from a program."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from agents.models import Incident, Instance, Project, ToolHold, User
from tests.builders import make_token
from tests.domain import cast
from tests.domain.test_hold_the_tool import holds_it, make_incident_of
from tests.domain.test_try_one_first import make_incident
from tests.pages.test_compare import words

pytestmark = pytest.mark.django_db


@pytest.fixture
def incident(project: Project) -> Incident:
    return make_incident(project)


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def card(client: Client, incident: Incident) -> str:
    return words(client.get(f"/p/main/incidents/{incident.pk}/").content.decode())


def hold(client: Client, incident: Incident, **more: Any) -> Any:
    said = {"hold_reason": "known bug"} | more
    return client.post(f"/p/main/incidents/{incident.pk}/hold/", said, follow=True)


def lift(client: Client, held: ToolHold, **more: Any) -> Any:
    said = {"hold_reason": "fixed outside"} | more
    return client.post(f"/p/main/holds/{held.pk}/lift/", said, follow=True)


def test_it_is_offered_held_and_lifted(signed_in: Client, incident: Incident) -> None:
    """Where its calls wait, who holds it and why, how many wait now; and nothing of it when it is over."""
    offered = card(signed_in, incident)
    assert "Hold issue_refund" in offered and "Calls to it wait in one, three, two" in offered
    hold(signed_in, incident)
    for name, calls in (("one", 2), ("two", 1), ("three", 0)):
        instance = Instance.objects.get(agent__name=name)
        cast.says(instance, "paused", held={"issue_refund": calls} if calls else {})
    shown = card(signed_in, incident)
    assert "issue_refund is held" in shown and "by alice@example.com : known bug" in shown
    assert "3 calls wait now" in shown and "SDK is too old" not in shown and "Lift, calls go on" in shown
    done = lift(signed_in, ToolHold.objects.get())
    assert "Calls to issue_refund go on." in done.content.decode()
    assert "Hold issue_refund" in card(signed_in, incident)


def test_who_cannot_hold_it_is_named(signed_in: Client, incident: Incident) -> None:
    """A process that has said nothing of held calls has an older SDK."""
    hold(signed_in, incident)
    cast.says(Instance.objects.get(agent__name="one"), "paused", held={})
    assert "Not held in three, two : its SDK is too old" in card(signed_in, incident)


def test_the_agents_page_says_it(signed_in: Client, incident: Incident, project: Project) -> None:
    """Each agent whose calls wait says what is held, by whom, and where; another says nothing."""
    cast.worker(project, "other")
    assert "is held since" not in words(signed_in.get("/p/main/agents/one/").content.decode())
    hold(signed_in, incident)
    shown = words(signed_in.get("/p/main/agents/one/").content.decode())
    assert "issue_refund is held since" in shown and "by alice@example.com" in shown
    assert "is held since" not in words(signed_in.get("/p/main/agents/other/").content.decode())
    lift(signed_in, ToolHold.objects.get())
    hold(signed_in, incident, everywhere="on")
    assert "issue_refund is held since" in words(signed_in.get("/p/main/agents/other/").content.decode())


def test_another_incident_says_where_it_is_held(signed_in: Client, alice: User, incident: Incident) -> None:
    """A later incident of the same agents and tool leads to the one where it was held."""
    assert incident.group is not None
    other = make_incident_of(incident.project, "issue_refund", incident)
    holds_it(alice, incident)
    assert f"It was held at incident {incident.pk}" in card(signed_in, other)


def test_it_asks_for_a_reason_and_the_second_is_told(signed_in: Client, incident: Incident) -> None:
    assert hold(signed_in, incident, hold_reason="").status_code == 422 and not ToolHold.objects.exists()
    hold(signed_in, incident)
    again = hold(signed_in, incident)
    assert "issue_refund is held already, by alice@example.com." in again.content.decode()
    held = ToolHold.objects.get()
    assert lift(signed_in, held, hold_reason="x").status_code == 422
    lift(signed_in, held)
    assert "was let go already, by alice@example.com" in lift(signed_in, held).content.decode()


def test_who_only_watches_sees_it(client: Client, bob: User, alice: User, incident: Incident) -> None:
    client.force_login(bob)
    assert "Hold issue_refund" not in card(client, incident)
    holds_it(alice, incident)
    shown = card(client, incident)
    assert "issue_refund is held" in shown and "Lift, calls go on" not in shown


def test_a_program_holds_and_lifts(project: Project, incident: Incident) -> None:
    """With an operator's token; the list says what is held, and the second of two gets 409."""
    bearer: Any = {"headers": {"Authorization": f"Bearer {make_token(project, 'operator')}"}}

    def post(path: str, **said: Any) -> Any:
        return Client().post(f"/api/v1/{path}", json.dumps(said), content_type="application/json", **bearer)

    held = post(f"incidents/{incident.pk}/hold/", reason="known bug")
    assert held.status_code == 200 and held.json()["agents"] == ["one", "three", "two"]
    again = post(f"incidents/{incident.pk}/hold/", reason="known bug", everywhere=True)
    assert again.status_code == 409 and "held already" in again.json()["message"]
    (listed,) = Client().get("/api/v1/holds/", **bearer).json()["holds"]
    assert listed == held.json()
    assert post(f"holds/{listed['id']}/lift/", reason="fixed").json()["lifted_by"]
    assert post(f"holds/{listed['id']}/lift/", reason="fixed").status_code == 409
    assert post("holds/999999/lift/", reason="fixed").status_code == 404
    assert Client().get("/api/v1/holds/", **bearer).json() == {"holds": []}
