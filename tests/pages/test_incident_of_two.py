"""An incident of two agents: each goes back to its own state, and nobody is left out in silence."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from agents.models import Agent, Incident, Pause, Project, User
from checkpoints.models import Rollback
from tests.domain import rolling
from tests.domain.rolling import Desk
from tests.pages.test_compare import words

pytestmark = pytest.mark.django_db


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def both(project: Project, *, second_is_good: bool = True) -> tuple[Incident, Desk, Desk]:
    """Two agents that wait in one incident, each with checkpoints of its own."""
    one, two = rolling.make_desk(project), rolling.make_desk(project, "payout-desk")
    one.take(1, label="one")
    if second_is_good:
        two.take(2, label="two")
    shared = one.pauses()
    two.wire.post_events(state=rolling.builders.state("paused", pause=rolling.builders.pause()))
    own = Pause.objects.get(instance__agent__name="payout-desk")
    former = own.incident_id
    Pause.objects.filter(pk=own.pk).update(incident=shared)
    shared.instances.add(own.instance)
    Incident.objects.filter(pk=former).exclude(pk=shared.pk).delete()
    shared.refresh_from_db()
    return shared, one, two


def card(signed_in: Client, incident: Incident) -> str:
    return signed_in.get(f"/p/main/incidents/{incident.pk}/").content.decode()


def test_each_is_named_with_its_own_state(signed_in: Client, project: Project) -> None:
    """What changed, what the button does, and the other checkpoints are said for both."""
    incident, _, _ = both(project)
    page = card(signed_in, incident)
    said = words(page)
    assert "refund-desk, changed since last known good" in said
    assert "payout-desk, changed since last known good" in said
    assert re.search(
        r"Each goes back to its own last known good checkpoint: .*refund-desk.* payout-desk", said
    )
    others = set(re.findall(r"/checkpoints/([0-9a-f-]+)/rollback/\?then=resume", page))
    assert others == {str(pk) for pk in Agent.objects.values_list("last_good", flat=True)}


def test_one_click_takes_each_to_its_own(signed_in: Client, project: Project) -> None:
    """The decision orders one rollback for each agent, to that agent's own checkpoint."""
    incident, _, _ = both(project)
    form = {"version": incident.version, "reason": "went wrong since", "checkpoint": "last_known_good"}
    signed_in.post(f"/p/main/incidents/{incident.pk}/rollback/", form)
    assert {(row.agent.name, row.checkpoint) for row in Rollback.objects.select_related("agent")} == {
        (agent.name, agent.last_good) for agent in Agent.objects.all()
    }


def test_one_without_a_good_state_stays_paused_and_is_said(signed_in: Client, project: Project) -> None:
    """The other one goes back; this one waits for a decision of its own."""
    incident, _, _ = both(project, second_is_good=False)
    page = card(signed_in, incident)
    assert "payout-desk has none and stays paused" in words(page)
    goes_back = re.findall(r'name="goes_back" value="([^"]+)"', page)
    assert set(goes_back) == {"refund-desk"}
    form = {"version": incident.version, "reason": "went wrong since", "checkpoint": "last_known_good"}
    signed_in.post(f"/p/main/incidents/{incident.pk}/rollback/", form | {"goes_back": ["refund-desk"]})
    assert [row.agent.name for row in Rollback.objects.select_related("agent")] == ["refund-desk"]
    states = dict(Pause.objects.values_list("instance__agent__name", "state"))
    assert states == {"refund-desk": "decided", "payout-desk": "paused"}
