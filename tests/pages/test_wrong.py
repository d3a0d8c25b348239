"""*Wrong since here* on its page: what it will do is said first, who may do it, and where it leads."""

from __future__ import annotations

import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, Incident, Project, User
from checkpoints import foreseen
from checkpoints.models import Checkpoint, Report
from tests import builders
from tests.domain.rolling import Desk, make_desk
from tests.pages.rows import make_agent, stored
from tests.pages.states import HOSTILE
from tests.pages.test_compare import words
from tests.pages.test_timeline import BODIES

PAGE = "/p/main/agents/refund-desk/wrong/"
DIALOG = {"HX-Request": "true", "HX-Target": "fetched"}


@pytest.fixture
def desk(project: Project) -> Desk:
    return make_desk(project)


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


def refund(desk: Desk, act: int) -> str:
    """An effect that ends as soon as it has begun, though it says otherwise; its entry's id."""
    said = {"external": True, "act": act, "key": f"refund:{act}", "took_ms": 60_000}
    intent = {"kind": "effect", "name": "refund", "at": desk.wire.now(), "act": act, "input": {"order": 4711}}
    action = builders.action("refund", input={"order": 4711}, at=desk.wire.now(), **said)
    desk.wire.post_events(intent, action, first=2 * act - 1)
    return f"{desk.wire.run}-{2 * act}"


def test_it_says_what_it_will_do(signed_in: Client, desk: Desk) -> None:
    """It pauses, condemns so many, names the last known good one and counts the effects; nothing is done."""
    desk.take(1, label="after order 4710")
    first = desk.take(2, label="after order 4711")
    desk.take(3)
    refund(desk, 1)
    said = words(signed_in.get(f"{PAGE}?since={first.pk}").content.decode())
    for part in (
        "checkpoint “after order 4711”", "Pauses it. The action that runs now ends",
        "Calls 2 checkpoints bad",
        "Last known good becomes “ after order 4710 ”", "1 effect since is to be looked at",
        "Opens an incident", "Nothing is rolled back by this.",
    ):  # fmt: skip
        assert part in said, part
    assert not Incident.objects.exists() and not Checkpoint.objects.filter(standing="bad").exists()


def test_from_its_entry_an_effect_is_on_the_worklist(signed_in: Client, desk: Desk) -> None:
    """An action is wrong from its beginning on; the checkpoint just before it stays good."""
    before = desk.take(1, why="effect")
    named = refund(desk, 1)
    desk.take(2)
    said = words(signed_in.get(f"{PAGE}?since={named}").content.decode())
    assert "1 effect since is to be looked at" in said and "Calls 1 checkpoint bad" in said
    answer = signed_in.post(f"{PAGE}?since={named}", {"reason": "wrong results", "note": "order 4711"})
    incident = Incident.objects.get(cause="reported")
    assert answer["Location"] == f"/p/main/incidents/{incident.pk}/"
    before.refresh_from_db()
    assert before.standing == "good" and Checkpoint.objects.filter(standing="bad").count() == 1
    page = words(signed_in.get(answer["Location"]).content.decode())
    for part in (
        "Wrong since", "wrong results: order 4711", "Reported by alice@example.com",
        "1 external action since it was wrong", "told to pause; 1 checkpoint is called bad.",
    ):  # fmt: skip
        assert part in page, part
    assert f"?entry={named}" in signed_in.get(answer["Location"]).content.decode()


def test_the_dialog_is_the_same_alone(signed_in: Client, desk: Desk) -> None:
    """For htmx, which puts it where dialogs stand; no browser keeps it."""
    found = desk.take(1)
    answer = signed_in.get(f"{PAGE}?since={found.pk}", headers=DIALOG)
    html = answer.content.decode()
    assert html.startswith('<dialog class="dialog" id="wrong-dialog"') and "Calls 1 checkpoint bad" in html
    assert answer["Cache-Control"] == "no-store" and "csrfmiddlewaretoken" in html


def test_a_reason_is_needed(signed_in: Client, desk: Desk) -> None:
    """Without one nothing is done, and the page says so."""
    found = desk.take(1)
    answer = signed_in.post(f"{PAGE}?since={found.pk}", {"note": "  "})
    assert answer.status_code == 422 and "Say why, in a word." in answer.content.decode()
    assert not Incident.objects.exists()


def test_what_is_held_already_is_added_to_its_incident(signed_in: Client, desk: Desk) -> None:
    """The page says to which, and leads there."""
    found = desk.take(1)
    incident = desk.pauses()
    said = words(signed_in.get(f"{PAGE}?since={found.pk}").content.decode())
    assert f"It is held already: this is added to incident {incident.pk}." in said
    assert "No good checkpoint is before it" in said
    answer = signed_in.post(f"{PAGE}?since={found.pk}", {"reason": "wrong inputs"})
    assert answer["Location"] == f"/p/main/incidents/{incident.pk}/" and Incident.objects.count() == 1


def test_who_watches_sees_it_and_may_not(client: Client, bob: User, charlie: User, desk: Desk) -> None:
    """A viewer is shown which role it needs; who is outside finds nothing."""
    path = f"{PAGE}?since={desk.take(1).pk}"
    assert client.get(path).status_code == 302
    client.force_login(bob)
    html = client.get(path).content.decode()
    assert (
        "Needs the role responder" in html and "csrfmiddlewaretoken" not in html.split("plain-page")[1][:200]
    )
    assert client.post(path, {"reason": "x"}).status_code == 403
    client.force_login(charlie)
    assert client.get(path).status_code == client.post(path, {"reason": "x"}).status_code == 404
    assert client.post(path.replace("main", "elsewhere"), {"reason": "x"}).status_code == 404
    assert not Report.objects.exists()


@pytest.mark.parametrize(
    "named", ["", "x", "%00", "1-2", "-1", str(uuid.UUID(int=7)), "9" * 500, "%F0%9F%92%A9-1"]
)
def test_what_is_not_there_cannot_be_pointed_at(signed_in: Client, desk: Desk, named: str) -> None:
    """404, whatever is written into the address."""
    desk.take(1)
    assert signed_in.get(f"{PAGE}?since={named}").status_code == 404
    assert signed_in.post(f"{PAGE}?since={named}", {"reason": "x"}).status_code == 404


@pytest.mark.parametrize("body", [*BODIES, '{"took_ms":1' + "0" * 40 + "}", '{"act":' + "9" * 400 + "}"])
def test_what_an_action_says_of_itself_is_bounded(signed_in: Client, project: Project, body: str) -> None:
    """However long it claims to have lasted, it is no reason to fail or to look back for years."""
    one = stored(make_agent(project), body=body, at=timezone.now())
    place = foreseen.place_of(Agent.objects.get(), one.id)
    assert place is not None and one.at - foreseen.DAY <= place.since <= one.at
    assert signed_in.get(f"{PAGE}?since={one.id}").status_code == 200


def test_hostile_words_are_only_words(signed_in: Client, desk: Desk) -> None:
    """In titles, labels and reasons, on the page and on the incident."""
    desk.take(1, label=HOSTILE)
    found = desk.take(2, label=HOSTILE)
    html = signed_in.get(f"{PAGE}?since={found.pk}").content.decode()
    assert "<img src=x" not in html and "\u202e" not in html
    place = signed_in.post(f"{PAGE}?since={found.pk}", {"note": HOSTILE})["Location"]
    html = signed_in.get(place).content.decode()
    assert "<img src=x" not in html and "\u202e" not in html.split('id="reported"')[1].split("</ul>")[0]


def test_queries_do_not_grow_with_what_came_since(signed_in: Client, desk: Desk) -> None:
    """One checkpoint or forty: as many questions."""
    found = desk.take(1)
    counts = []
    for n in (1, 40):
        for m in range(n):
            desk.take(m)
            refund(desk, n + m)
        with CaptureQueriesContext(connection) as asked:
            signed_in.get(f"{PAGE}?since={found.pk}")
        counts.append(len(asked.captured_queries))
    assert counts[0] == counts[1] and counts[0] < 25, counts
