"""The page of one rollback: how far it has come, what proves it, what may be done, by whom."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Command, Effect, Heartbeat, Incident, Instance, Pause, Project, User
from checkpoints.models import Rollback
from tests.domain import cast, rolling
from tests.domain.rolling import Desk
from tests.pages.states import HOSTILE
from tests.pages.test_compare import words


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def desk(project: Project) -> Desk:
    return rolling.make_desk(project)


@pytest.fixture
def ordered(desk: Desk, alice: User, project: Project) -> Rollback:
    first = desk.take(1, label="after refund")
    desk.take(2)
    return rolling.order(alice, project, first).rollbacks[0]


def address(row: Rollback, part: str = "") -> str:
    return f"/p/main/rollbacks/{row.pk}/{part}"


def shown(client: Client, row: Rollback) -> str:
    """The page, and the same from its region's refetch."""
    page, now = client.get(address(row)), client.get(address(row, "now/"))
    assert page.status_code == now.status_code == 200 and now["Cache-Control"] == "no-store"
    return words(page.content.decode())


def reaches(name: str, **fields: Any) -> Effect:
    instance = Instance.objects.get()
    said = {"id": uuid.uuid4().hex, "instance": instance, "run_id": uuid.uuid4(), "name": name,
            "state": "done", "begun_at": timezone.now()}  # fmt: skip
    return Effect.objects.create(**said | fields)


def test_members_look_and_responders_act(client: Client, bob: User, charlie: User, ordered: Rollback) -> None:
    """A viewer sees how far it is; whoever is no member is told nothing; only POST withdraws."""
    assert client.get(address(ordered)).status_code == 302
    client.force_login(charlie)
    assert client.get(address(ordered)).status_code == client.get(address(ordered, "now/")).status_code == 404
    client.force_login(bob)
    assert 'id="withdraw"' not in client.get(address(ordered)).content.decode()
    assert client.post(address(ordered, "withdraw/")).status_code == 403
    assert client.get(address(ordered, "withdraw/")).status_code == 405
    assert client.get(address(Rollback(pk=uuid.uuid4()))).status_code == 404


def test_it_follows_to_verified(signed_in: Client, desk: Desk, ordered: Rollback) -> None:
    """Ordered, taken up, restoring, verified with the names that prove it, and how the agent is then."""
    said = shown(signed_in, ordered)
    assert "Ordered by alice@example.com" in said and "Waits for its next safe point" in said
    desk.takes_up()
    assert "Taken up" in shown(signed_in, ordered)
    desk.tells(ordered, "restoring")
    said = shown(signed_in, ordered)
    assert "Restoring" in said and "It cannot be taken back now." in said
    desk.tells(ordered, "applied", kept=["notes.md"], **rolling.names(ordered))
    said = shown(signed_in, ordered)
    for part in (
        "Verified: what is there is the checkpoint", rolling.names(ordered)["memory"][:12], "Running",
        "Kept aside", "notes.md", "1 checkpoint taken in between is called bad.",
    ):  # fmt: skip
        assert part in said, part


def test_undoing_leads_to_the_state_just_before(
    signed_in: Client, desk: Desk, alice: User, project: Project
) -> None:
    """With the same scope; the page there says that it undoes, what comes back, and needs no tick for bad."""
    first, second = desk.take(1), desk.take(2)
    (row,) = rolling.order(alice, project, first).rollbacks
    desk.takes_up()
    desk.tells(row, "applied", before=str(second.pk), **rolling.names(row))
    undo = f"/p/main/checkpoints/{second.pk}/rollback/"
    assert f'href="{undo}"' in signed_in.get(address(row)).content.decode()
    page = signed_in.get(undo).content.decode()
    said = words(page)
    assert "Undo a rollback of refund-desk" in said and "Undo the rollback" in said
    assert "Rolled back by mistake" in said and 'name="even_bad"' not in page and "Undoes 1 value." in said
    answer = signed_in.post(undo, {"reason": "rolled back by mistake"})
    assert answer.status_code == 302 and Rollback.objects.filter(checkpoint=second.pk).count() == 1


def test_what_is_in_the_way_is_named(signed_in: Client, desk: Desk, ordered: Rollback) -> None:
    """While it waits, and when it gave up: nothing was changed, and it may be tried again."""
    desk.takes_up()
    desk.tells(ordered, "restoring", why=f"{HOSTILE} is a directory now")
    page = signed_in.get(address(ordered)).content.decode()
    assert "In the way: clear it, then resume" in page and "<img src=x" not in page
    incident = cast.spends_its_budget(Instance.objects.get()).incident
    card = signed_in.get(f"/p/main/incidents/{incident.pk}/").content.decode()
    assert 'id="stuck"' in card and "is a directory now" in card and "<img src=x" not in card
    desk.tells(ordered, "failed", why="the disk is full")
    said = shown(signed_in, ordered)
    assert "Failed, and nothing was changed" in said and "the disk is full" in said
    again = f'href="/p/main/checkpoints/{ordered.checkpoint}/rollback/"'
    assert again in signed_in.get(address(ordered)).content.decode()


def test_what_is_there_is_another_state(signed_in: Client, desk: Desk, ordered: Rollback) -> None:
    """Applied, and not the checkpoint's: it says so with both names."""
    desk.takes_up()
    desk.tells(ordered, "applied", memory="00" * 32, workspace=None)
    assert "Failed: what is there is not the checkpoint" in shown(signed_in, ordered)


def card(signed_in: Client, incident: Incident) -> str:
    return signed_in.get(f"/p/main/incidents/{incident.pk}/").content.decode()


def test_a_decided_rollback_that_failed_is_said_where_it_was_decided(
    signed_in: Client, desk: Desk, alice: User
) -> None:
    """What failed, why, what is there now, and how to go on; a later decision ends it."""
    desk.take(1)
    incident = desk.pauses()
    rolling.decide(alice, incident)
    desk.takes_up()
    assert 'id="failed-1"' not in card(signed_in, incident)
    desk.tells(Rollback.objects.get(), "failed", why=f"the disk of {HOSTILE} is full")
    page = card(signed_in, incident)
    said = words(page)
    assert (
        "The rollback of refund-desk failed" in said and "is full" in said and "Nothing was changed" in said
    )
    assert "<img src=x" not in page and "Roll back again" in said
    incident.refresh_from_db()
    form = {"version": incident.version, "reason": "try once more", "probation": "on"}
    assert signed_in.post(f"/p/main/incidents/{incident.pk}/resume/", form).status_code == 302
    assert 'id="failed-1"' not in card(signed_in, incident)


def test_one_that_ended_elsewhere_says_that_nobody_knows_what_is_there(
    signed_in: Client, desk: Desk, alice: User
) -> None:
    """Applied, and another state: the card does not say that nothing was changed."""
    desk.take(1)
    incident = desk.pauses()
    rolling.decide(alice, incident)
    desk.takes_up()
    desk.tells(Rollback.objects.get(), "applied", memory="ab" * 32)
    said = words(card(signed_in, incident))
    assert "neither the checkpoint nor surely what was before" in said and "Nothing was changed" not in said


def test_what_is_stuck_is_tried_again_with_one_click(signed_in: Client, desk: Desk, alice: User) -> None:
    """The banner's button decides, once: the agent takes that up and finishes its journal first."""
    desk.take(1)
    incident = desk.pauses()
    rolling.decide(alice, incident)
    desk.takes_up()
    desk.tells(Rollback.objects.get(), "restoring", why="work/report.txt is a directory")
    Pause.objects.update(state="paused")
    Incident.objects.update(state="open")
    form = re.search(r'<form[^>]*action="([^"]*)" id="again-form">(.*?)</form>', card(signed_in, incident))
    assert form
    fields = dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[2]))
    assert signed_in.post(form[1], fields).status_code == 302
    assert Command.objects.filter(kind="resume", state="ordered").count() == 1


def test_withdrawing(signed_in: Client, ordered: Rollback) -> None:
    """While nobody took it up; then the page says that it was, and offers to order it again."""
    assert 'id="withdraw"' in signed_in.get(address(ordered)).content.decode()
    answer = signed_in.post(address(ordered, "withdraw/"))
    assert answer["Location"] == address(ordered)
    said = shown(signed_in, ordered)
    assert "Withdrawn before any run took it up" in said and "Roll back again" in said


def test_withdrawing_too_late(signed_in: Client, desk: Desk, ordered: Rollback) -> None:
    """Who was overtaken by a run reads that it holds."""
    desk.takes_up()
    said = words(signed_in.post(address(ordered, "withdraw/"), follow=True).content.decode())
    assert "so it holds" in said and "Taken up" in said


def test_a_process_that_is_gone(signed_in: Client, ordered: Rollback) -> None:
    """The page says when it will be taken up."""
    ago = timezone.now() - timedelta(minutes=5)
    Instance.objects.update(live=False, gone_since=ago)
    Heartbeat.objects.update(last_seen=ago)
    assert "No process runs: taken up when it next starts" in shown(signed_in, ordered)


def test_one_that_the_agent_made(signed_in: Client, desk: Desk) -> None:
    """It names itself as who asked; there is nothing to withdraw."""
    first = desk.take(1)
    desk.take(2)
    id = uuid.uuid4()
    asked = {"asked_by": "verdict", "checkpoint": str(first.pk), "reason": "not as expected"}
    desk.tells(str(id), "restoring", **asked)
    row = Rollback.objects.get(pk=id)
    said = shown(signed_in, row)
    assert "By the agent itself, after a failed verification" in said and "Why: not as expected" in said
    desk.tells(str(id), "applied", **rolling.names(row))
    assert "Nothing was kept from just before" in shown(signed_in, row)


def test_its_worklist_is_what_it_does_not_undo(
    signed_in: Client, desk: Desk, alice: User, project: Project
) -> None:
    """The effects between the checkpoint and the rollback, with the answers that lead back to this page."""
    reaches("earlier_refund")
    first = desk.take(1)
    reaches("issue_refund", key="refund:8852")
    (row,) = rolling.order(alice, project, first).rollbacks
    desk.applies(row)
    page = signed_in.get(address(row)).content.decode()
    assert "refund:8852" in page and "earlier_refund" not in page
    assert f'name="back" value="{address(row)}"' in page


def test_queries_do_not_grow(signed_in: Client, desk: Desk, alice: User, project: Project) -> None:
    """Few effects and kept edits or many: as many questions."""
    first = desk.take(1)
    (row,) = rolling.order(alice, project, first).rollbacks
    counts = []
    for count in (3, 60):
        for n in range(count):
            reaches("issue_refund", key=f"{count}-{n}", state="begun" if n % 2 else "done")
        Rollback.objects.update(kept=[f"{n}.md" for n in range(count)])
        with CaptureQueriesContext(connection) as found:
            signed_in.get(address(row))
        counts.append(len(found.captured_queries))
    assert counts[0] == counts[1], counts
