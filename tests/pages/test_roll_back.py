"""The page before a rollback: what it says, what it offers, what it orders, and what it refuses in words."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agents.models import Agent, AuditEntry, Command, Effect, Heartbeat, Incident, Instance, Project, User
from agents.services import incidents
from checkpoints.models import Checkpoint, HandEdits, Rollback
from dashboard.contexts.comparing import paths
from dashboard.phrasing import MINUS
from tests import builders
from tests.domain import rolling
from tests.pages import states
from tests.pages.states import HOSTILE, Keeper
from tests.pages.test_compare import words

Told = tuple[Keeper, Checkpoint, Checkpoint]


@pytest.fixture
def signed_in(client: Client, alice: User) -> Client:
    client.force_login(alice)
    return client


@pytest.fixture
def told(project: Project) -> Told:
    return states.make_story(project)


def address(target: Checkpoint, **query: Any) -> str:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return f"/p/main/checkpoints/{target.pk}/rollback/" + (f"?{asked}" if asked else "")


def shown(client: Client, target: Checkpoint, **query: Any) -> str:
    answer = client.get(address(target, **query))
    assert answer.status_code == 200
    return words(answer.content.decode())


def orders(
    client: Client, target: Checkpoint, query: dict[str, Any] | None = None, **said: Any
) -> HttpResponse:
    typed = {"reason": "corrupt state", "note": "", "shown_at": timezone.now().timestamp()} | said
    answer: HttpResponse = client.post(address(target, **(query or {})), typed)
    return answer


def written(name: bytes) -> str:
    return paths.file_written(name)


def edits(*names: str, more: int = 0) -> None:
    instance = Instance.objects.get(name="main")
    HandEdits.objects.create(instance=instance, at=timezone.now(), paths=list(names), more=more)


def reaches(key: str, **fields: Any) -> Effect:
    instance = Instance.objects.get(name="main")
    said = {"id": uuid.uuid4().hex, "instance": instance, "run_id": uuid.uuid4(), "name": "issue_refund",
            "key": key, "input": '{"order": 8852}', "state": "done", "begun_at": timezone.now()}  # fmt: skip
    return Effect.objects.create(**said | fields)


def pauses(told: Told) -> Incident:
    """The agent spends its budget and says so."""
    wire = told[0].taker.wire
    assert wire.post_events(state=builders.state("paused", pause=builders.pause())).status_code == 200
    return Incident.objects.get(cause="budget")


def test_who_may_see_it_and_who_may_order(
    client: Client, alice: User, bob: User, charlie: User, told: Told
) -> None:
    """Members look; responders order; nobody else is told that there is anything."""
    good = told[1]
    assert client.get(address(good)).status_code == 302
    client.force_login(charlie)
    assert client.get(address(good)).status_code == 404 and orders(client, good).status_code == 404
    client.force_login(bob)
    assert "Needs the role responder." in shown(client, good)
    assert orders(client, good).status_code == 403 and not Rollback.objects.exists()
    client.force_login(alice)
    assert orders(client, good).status_code == 302 and Rollback.objects.count() == 1


def test_it_says_what_will_be_lost(signed_in: Client, told: Told) -> None:
    """The target with its proof, memory and files since then, what stays done, what is kept aside."""
    good = told[1]
    reaches("refund:8852")
    edits("notes/by hand.md", more=2)
    said = shown(signed_in, good)
    for part in (
        "good, verified", "after refund 8836", "A verification passed after the good one before it.",
        f"+2 {MINUS}1 messages, 4 values", "5 files", "policies/refund-rules.md", "drafts/8852.md goes away",
        "issue_refund", "refund:8852", "0 of 1 dealt with", "Accept it", "notes/by hand.md", "and 2 more",
        "The state just before is kept as a checkpoint, so this can be undone.",
        "3 hand edits are kept aside.", "1 external action stays done.", "later checkpoints are called bad.",
    ):  # fmt: skip
        assert part in said, part
    assert (
        re.search(r"Roll back to \d\d:\d\d", said) and "It goes on from there at its next safe point." in said
    )


def test_a_rollback_to_other_code_says_so(signed_in: Client, project: Project) -> None:
    """Code, model and tools that are others now stand there before it is done."""
    keeper = states.make_keeper(project)
    old = keeper.take({"n": 1}, manifest={"code": "git:0000000", "model": "claude-3"})
    keeper.take({"n": 2})
    said = shown(signed_in, old)
    assert "It was made under code version git:0000000; now it is git:1a2b3c4." in said
    assert "It was made under model claude-3; now it is claude." in said


@pytest.mark.parametrize(
    ("scope", "button", "ordered"),
    [
        ("", "Roll back to", {"memory": True, "workspace": True, "paths": None}),
        ("memory", "Roll back the memory to", {"memory": True, "workspace": False, "paths": None}),
        ("workspace", "Roll back the workspace to", {"memory": False, "workspace": True, "paths": None}),
    ],
)
def test_the_address_is_the_wish(
    signed_in: Client,
    told: Told,
    scope: str,
    button: str,
    ordered: dict[str, Any],
) -> None:
    """What the address says stands on the button, and is what is ordered."""
    good = told[1]
    assert button in shown(signed_in, good, scope=scope)
    answer = orders(signed_in, good, {"scope": scope}, note="looked at it")
    row = Rollback.objects.get()
    assert answer["Location"] == f"/p/main/rollbacks/{row.pk}/"
    assert (row.checkpoint, row.scope, row.reason) == (good.pk, ordered, "corrupt state: looked at it")
    assert Command.objects.get().payload["scope"] == ordered


def test_one_file_alone(signed_in: Client, told: Told) -> None:
    """Ticked in the list of what differs; memory and other files stay; the button names it."""
    good, rules = told[1], b"policies/refund-rules.md"
    said = shown(signed_in, good, scope="files")
    assert "Tick the files that should be as they were" in said and 'id="order"' not in said
    page = signed_in.get(address(good, scope="files", path=written(rules))).content.decode()
    assert re.search(rf'name="path" value="{written(rules)}" checked', page)
    assert "Put back refund-rules.md" in words(page) and "Undoes 1 file." in words(page)
    assert orders(signed_in, good, {"scope": "files", "path": written(rules)}).status_code == 302
    scope = Rollback.objects.get().scope
    assert scope == {"memory": False, "workspace": True, "paths": ["policies/refund-rules.md"]}


def test_a_renamed_file_goes_back_by_both_names(signed_in: Client, told: Told) -> None:
    """One tick: its old name comes back and its new one goes."""
    good, moved = told[1], b"drafts/moved.md"
    assert "gets its old name: policies/old.md" in shown(signed_in, good, scope="files")
    orders(signed_in, good, {"scope": "files", "path": written(moved)})
    assert Rollback.objects.get().scope["paths"] == ["drafts/moved.md", "policies/old.md"]


def test_names_that_are_no_text_cannot_be_picked(signed_in: Client, project: Project) -> None:
    """They are listed, seen for what they are, and go back with the whole workspace only."""
    keeper = states.make_keeper(project)
    old = keeper.take({}, {b"bad\xff\n": b"1", HOSTILE.encode(): b"1"})
    keeper.take({}, {b"bad\xff\n": b"2", HOSTILE.encode(): b"2"})
    page = signed_in.get(address(old, scope="files")).content.decode()
    assert "<img src=x" not in page and f'value="{written(HOSTILE.encode())}"' in page
    assert f'value="{written(b"bad" + bytes([255, 10]))}"' not in page and "only the whole workspace" in page
    answer = orders(signed_in, old, {"scope": "files", "path": written(b"bad\xff\n")})
    assert answer.status_code == 422 and not Rollback.objects.exists()


def test_a_paused_agent_stays_paused_or_goes_on(signed_in: Client, told: Told) -> None:
    """Two ways, chosen by the address: an order that leaves the pause, or the incident's decision."""
    good = told[1]
    incident = pauses(told)
    assert "It stays paused until someone decides." in shown(signed_in, good)
    said = shown(signed_in, good, then="resume")
    assert "and resume" in said and "On probation" in said and "Tell refund-desk something, optional" in said
    page = signed_in.get(address(good, then="resume")).content.decode()
    assert f'name="version" value="{incident.version}"' in page
    answer = orders(signed_in, good, {"then": "resume"}, incident=incident.pk, version=incident.version,
                    guidance="Multiply by 100.", probation="on")  # fmt: skip
    row = Rollback.objects.get()
    assert answer["Location"] == f"/p/main/rollbacks/{row.pk}/" and row.incident == incident.pk
    payload = Command.objects.get().payload
    assert (row.goes_on, payload["guidance"], payload["probation"]) == (True, "Multiply by 100.", True)


def test_a_stale_page_cannot_decide(signed_in: Client, told: Told) -> None:
    """The incident moved on: it is refused, with what was typed kept and the new version in the form."""
    good = told[1]
    incident = pauses(told)
    incidents.bump(incident.pk)
    answer = orders(signed_in, good, {"then": "resume"}, incident=incident.pk, version=incident.version,
                    guidance="Multiply by 100.")  # fmt: skip
    page = answer.content.decode()
    assert answer.status_code == 409 and "Not done." in page and "Multiply by 100." in page
    assert f'name="version" value="{incident.version + 1}"' in page and not Rollback.objects.exists()


def test_a_page_from_before_another_rollback_is_stale(
    signed_in: Client, alice: User, project: Project
) -> None:
    """Whoever was shown other losses than there are now is told who was first, and orders nothing."""
    desk = rolling.make_desk(project)
    first = desk.take(1)
    desk.take(2)
    shown_at = timezone.now().timestamp()
    (row,) = rolling.order(alice, project, first).rollbacks
    desk.applies(row)
    answer = orders(signed_in, first, shown_at=shown_at)
    assert answer.status_code == 409 and Rollback.objects.count() == 1
    assert "alice@example.com rolled it back at" in answer.content.decode()
    assert orders(signed_in, first).status_code == 302


def test_the_second_order_is_lost(signed_in: Client, alice: User, project: Project, told: Told) -> None:
    """One at a time: the page says whose is under way and leads there, and the verb refuses."""
    good = told[1]
    (row,) = rolling.order(alice, project, good).rollbacks
    said = signed_in.get(address(good)).content.decode()
    assert "There is one at a time." in said and f'href="/p/main/rollbacks/{row.pk}/"' in said
    answer = orders(signed_in, good)
    assert answer.status_code == 409 and "alice@example.com was first" in answer.content.decode()


def test_what_nobody_took_up_gives_way_to_a_decision(
    signed_in: Client, alice: User, project: Project, told: Told
) -> None:
    """A waiting order does not stand in the way of *roll back and resume*; the page says so before."""
    good = told[1]
    incident = pauses(told)
    rolling.order(alice, project, good)
    assert "This takes its place." in shown(signed_in, good, then="resume")
    said = {"incident": incident.pk, "version": Incident.objects.get().version}
    assert orders(signed_in, good, {"then": "resume"}, **said).status_code == 302
    assert Command.objects.filter(kind="rollback", state="overtaken").count() == 1


def test_a_bad_one_needs_a_tick_of_its_own(signed_in: Client, told: Told) -> None:
    """Who called it bad, and why, stands beside the tick; without it nothing is ordered."""
    good = told[1]
    Checkpoint.objects.filter(pk=good.pk).update(
        standing="bad", proven_by="", judged_by="bob@example.com", reason="wrong amounts"
    )
    said = shown(signed_in, good)
    assert "It is bad (bob@example.com: wrong amounts). Go back to it all the same" in said
    answer = orders(signed_in, good)
    assert answer.status_code == 409 and "It is bad" in answer.content.decode()
    assert orders(signed_in, good, even_bad="on").status_code == 302


def test_a_damaged_one_is_not_offered(signed_in: Client, told: Told) -> None:
    """Words and the way to another checkpoint stand where the button was; the verb refuses, too."""
    good = told[1]
    Checkpoint.objects.filter(pk=good.pk).update(
        standing="bad", judged_by="verify", reason="damaged: a node is missing"
    )
    page = signed_in.get(address(good)).content.decode()
    assert (
        "damaged: a node is missing" in page and "damaged: damaged" not in page and 'id="order"' not in page
    )
    assert orders(signed_in, good, even_bad="on").status_code == 409


def test_a_reason_is_one_of_the_chips(signed_in: Client, told: Told) -> None:
    """Without one nothing is done, and what was typed is still there."""
    for reason in ("", "because", "fixed outside"):
        answer = orders(signed_in, told[1], reason=reason, note="a note")
        assert answer.status_code == 422 and 'value="a note"' in answer.content.decode()
    assert not Rollback.objects.exists()


def test_nothing_to_do_is_said(signed_in: Client, told: Told) -> None:
    """A paused agent at its newest checkpoint: words, and the way to its incident. A running one may go."""
    newest = told[2]
    assert "Nothing to do" not in shown(signed_in, newest)
    incident = pauses(told)
    said = shown(signed_in, newest)
    assert "Nothing to do" in said and f"To incident {incident.pk}" in said
    edits("policies/refund-rules.md")
    assert "Nothing to do" not in shown(signed_in, newest)


def test_an_agent_without_memory_or_files_of_its_own(signed_in: Client, project: Project) -> None:
    """Only what can go back is offered, and why; with nothing of either there are words."""
    keeper = states.make_keeper(project)
    both = keeper.take({"n": 1}, {b"a": b"1"})
    keeper.take({"n": 2}, {b"a": b"2"})
    Agent.objects.update(shared_workspace=True)
    said = shown(signed_in, both, scope="workspace")
    assert "Its workspace is shared with other agents" in said and "Workspace only" not in said
    assert "Roll back the memory to" in said
    Checkpoint.objects.filter(pk=both.pk).update(memory=None)
    assert "Nothing to put back" in shown(signed_in, both)
    Agent.objects.update(shared_workspace=False)
    said = shown(signed_in, both)
    assert "It keeps no memory here, so only files go back." in said and "Single files" in said


def test_a_process_that_is_gone_takes_it_up_later(signed_in: Client, told: Told) -> None:
    """Said before the click."""
    ago = timezone.now() - timedelta(minutes=5)
    Instance.objects.update(live=False, gone_since=ago)
    Heartbeat.objects.update(last_seen=ago)
    assert "No process runs: the next one takes it up." in shown(signed_in, told[1])


@pytest.mark.parametrize(
    "asked", ["scope=x", "path=x", "scope=files&path=%00", "path=" + "A" * 9_000, "then=x"]
)
def test_an_address_that_was_cut_shows_the_page(signed_in: Client, told: Told, asked: str) -> None:
    """Whatever cannot be read is left out."""
    assert signed_in.get(f"{address(told[1])}?{asked}").status_code == 200
    assert signed_in.get(f"/p/main/checkpoints/{uuid.uuid4()}/rollback/").status_code == 404


def test_queries_do_not_grow(signed_in: Client, project: Project) -> None:
    """Few checkpoints, effects and edits or many: as many questions."""
    keeper = states.make_keeper(project)
    old = keeper.take({"n": 0}, {b"f": b"0"})
    counts = []
    for count in (3, 40):
        for n in range(count):
            keeper.take({"n": n, "count": count}, {b"f": f"{n}-{count}".encode()})
            reaches(f"refund:{count}-{n}", state="begun" if n % 2 else "done")
        HandEdits.objects.all().delete()
        edits(*[f"{n}.md" for n in range(count)])
        signed_in.get(address(old))
        with CaptureQueriesContext(connection) as found:
            signed_in.get(address(old))
        counts.append(len(found.captured_queries))
    assert counts[0] == counts[1], counts


def test_it_is_reached_from_history_compare_and_incident(signed_in: Client, told: Told) -> None:
    """Each leads there with the scope that it is about."""
    _, good, now = told
    history = signed_in.get(f"/p/main/agents/refund-desk/checkpoints/?open={good.pk}").content.decode()
    assert f'href="{address(good)}"' in history
    compare = signed_in.get(f"/p/main/checkpoints/{good.pk}..{now.pk}/").content.decode()
    rules = address(good, scope="files", path=written(b"policies/refund-rules.md")).replace("&", "&amp;")
    assert f'href="{address(good)}"' in compare and f'href="{rules}"' in compare
    incident = pauses(told)
    card = signed_in.get(f"/p/main/incidents/{incident.pk}/").content.decode()
    assert f'href="{address(good, then="resume")}"' in card


def test_it_stands_in_the_log(signed_in: Client, told: Told) -> None:
    """Who, why, and how much of it."""
    orders(signed_in, told[1], {"scope": "memory"})
    entry = AuditEntry.objects.get(verb="rollback")
    assert (entry.actor, entry.reason, entry.saw["scope"]["workspace"]) == (
        "alice@example.com", "corrupt state", False,
    )  # fmt: skip
