"""The routes that roll back, compare and report: what they answer, whom they refuse, in which words."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent, Command, Effect, Incident, Instance, Project, User
from checkpoints.models import Checkpoint, Rollback
from checkpoints.services import standing
from tests import builders
from tests.contract.test_operators_api import Operator, in_shape
from tests.domain import cast
from tests.domain.rolling import Desk, actor, make_desk

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(project: Project) -> Desk:
    return make_desk(project)


@pytest.fixture
def operator(project: Project) -> Operator:
    return Operator(project)


def refund(desk: Desk, act: int = 1, **fields: Any) -> None:
    said = {"external": True, "act": act, "key": f"refund:{act}", "at": desk.wire.now(), **fields}
    desk.wire.post_events(builders.action("refund", input={"order": 17}, **said), first=act)


def test_a_program_rolls_an_agent_back(operator: Operator, desk: Desk) -> None:
    """Ordered, followed, proven; the list and the one say the same."""
    target = desk.take(1)
    said = {"checkpoint": str(target.pk), "reason": "went wrong"}
    status, body = operator.post("agents/refund-desk/rollback/", said)
    (row,) = body["rollbacks"]
    assert status == 200 and row["state"] == "ordered" and row["by"] == "token tests"
    desk.applies(Rollback.objects.get())
    one = operator.get(f"rollbacks/{row['id']}/")[1]
    assert (one["state"], one["effects"]) == ("verified", [])
    listed = operator.get("agents/refund-desk/rollbacks/")[1]
    assert [found["id"] for found in listed["rollbacks"]] == [row["id"]] and listed["next"] is None
    timeline = operator.get("agents/refund-desk/timeline/", kind="rollback")[1]["entries"]
    assert [entry["outcome"] for entry in timeline] == ["verified"]


def test_an_incident_is_decided_by_a_rollback(operator: Operator, desk: Desk) -> None:
    """To the last known good one; 409 for whoever comes second; the decision shows its version."""
    desk.take(1)
    incident = desk.pauses()
    said = {
        "decision": "rollback",
        "version": incident.version,
        "reason": "x",
        "checkpoint": "last_known_good",
    }
    status, body = operator.post(f"incidents/{incident.pk}/decide/", said)
    assert (status, body["results"][0]["result"]) == (200, "ordered")
    status, body = operator.post(f"incidents/{incident.pk}/decide/", said)
    assert (status, body["error"]) == (409, "lost")
    status, body = operator.post(f"incidents/{incident.pk}/withdraw/", {"version": body["version"]})
    assert status == 200
    rows = operator.get("agents/refund-desk/rollbacks/")[1]["rollbacks"]
    assert [row["state"] for row in rows] == ["withdrawn"]


def test_a_misspelt_part_makes_nothing_wider(operator: Operator, desk: Desk) -> None:
    """A scope with a name that is none is refused; so is a checkpoint for a decision that uses none."""
    said = {"checkpoint": "last_known_good", "reason": "x", "scope": {"files": ["link"]}}
    status, body = operator.post("agents/refund-desk/rollback/", said)
    assert (status, body["error"]) == (422, "invalid") and "files" in body["message"]
    held = cast.spends_its_budget(Instance.objects.get())
    decided = {
        "decision": "resume",
        "version": held.incident.version,
        "reason": "x",
        "checkpoint": "last_known_good",
    }
    status, body = operator.post(f"incidents/{held.incident_id}/decide/", decided)
    assert (status, body["error"]) == (422, "invalid") and "decision rollback" in body["message"]


@pytest.mark.parametrize(
    ("said", "status", "error"),
    [
        ({}, 422, "invalid"),
        ({"checkpoint": "last_known_good"}, 409, "no_good_checkpoint"),
        ({"checkpoint": str(uuid.uuid4())}, 404, "not_found"),
        ({"checkpoint": "nonsense"}, 404, "not_found"),
    ],
)
def test_a_decision_without_a_target_is_refused(
    operator: Operator, desk: Desk, said: dict[str, Any], status: int, error: str
) -> None:
    """In words, with nothing decided."""
    incident = desk.pauses()
    whole = {"decision": "rollback", "version": incident.version, "reason": "x", **said}
    found, body = operator.post(f"incidents/{incident.pk}/decide/", whole)
    assert (found, body["error"]) == (status, error) and in_shape(body)
    assert not Command.objects.exists() and Incident.objects.get().version == incident.version


def test_a_stale_decision_is_told_so_before_anything_else(operator: Operator, desk: Desk) -> None:
    """Not what is wrong with its checkpoint."""
    incident = desk.pauses()
    said = {"decision": "rollback", "version": 0, "reason": "x", "checkpoint": "last_known_good"}
    status, body = operator.post(f"incidents/{incident.pk}/decide/", said)
    assert (status, body["error"]) == (409, "stale")


def test_the_blast_says_what_will_be_lost(operator: Operator, desk: Desk) -> None:
    """Entries, checkpoints, effects with key, time and target, hand edits, other dependencies."""
    refund(desk)
    target = desk.take(1, label="after refund")
    refund(desk, 2)
    desk.take(2, manifest={"model": "claude-next"})
    edits = json.dumps({"paths": ["notes.md"], "more": 2}).encode()
    who = f"instance=main&epoch={desk.wire.epoch}&process={desk.wire.process}"
    assert desk.wire.post(f"/api/v1/agents/refund-desk/edits/?{who}", edits).status_code == 200
    status, body = operator.get(f"checkpoints/{target.pk}/blast/")
    assert status == 200 and [lost["standing"] for lost in body["lost"]["checkpoints"]] == ["good"]
    assert (body["lost"]["actions"], body["effects_in_all"]) == (1, 1)
    (effect,) = body["effects"]
    assert (effect["key"], effect["target"], effect["state"]) == ("refund:2", '{"order":17}', "done")
    assert (body["hand_edits"]["paths"], body["hand_edits"]["more"]) == (["notes.md"], 2)
    assert body["changed"] == [{"what": "model", "then": "claude", "now": "claude-next"}]
    assert "3 hand edits are kept aside." in body["remarks"] and not body["needs_even_bad"]


def test_the_blast_takes_a_constant_number_of_queries(
    operator: Operator, desk: Desk, django_assert_max_num_queries: Any
) -> None:
    """Whatever came since."""
    target = desk.take(0)
    for number in range(1, 8):
        refund(desk, number)
        desk.take(number)
    with django_assert_max_num_queries(13):
        operator.get(f"checkpoints/{target.pk}/blast/")
    desk.pauses()
    with django_assert_max_num_queries(12):
        operator.get(f"incidents/{Incident.objects.get().pk}/effects/")


def test_two_checkpoints_are_compared(operator: Operator, desk: Desk) -> None:
    """Changes with paths and values; what looks like a secret is masked, what is large is said in words."""
    records = desk.taker
    old = {
        "api_key": "sk-abcdefghijklmnop1234",
        "n": 1,
        "note": "x",
        "messages": [{"id": n} for n in range(40)],
    }
    new = {
        **old,
        "api_key": "sk-qrstuvwxyzabcdef5678",
        "n": 2,
        "note": "y" * 9000,
        "messages": old["messages"][1:],
    }
    a, b = (records.take(memory).json()["id"] for memory in (old, new))
    status, body = operator.get(f"checkpoints/{a}/diff/{b}/")
    assert status == 200 and body["stats"]["complete"]
    found = {tuple(change["path"]): change for change in body["memory"]}
    assert found["n",] == {"op": "change", "path": ["n"], "old": 1, "new": 2}
    assert (found["messages", 0]["op"], found["messages", 0]["old"]) == ("remove", {"id": 0})
    assert found["note",]["new"] is None and "9,002 bytes" in found["note",]["new_not_shown"]
    assert "sk-" not in json.dumps(body) and set(found["api_key",]["new"]) == {"•"}
    assert body["stats"]["memory"] == {"add": 0, "remove": 1, "change": 3, "move": 0}
    assert "1 values are larger" in body["stats"]["said"][0] and body["workspace"] == []
    assert operator.get(f"checkpoints/{a}/diff/{a}/")[1]["memory"] == []


def test_a_damaged_one_cannot_be_compared(operator: Operator, desk: Desk) -> None:
    """409 with the reason, and no 500."""
    a, b = desk.take(1), desk.take(2)
    Checkpoint.objects.filter(pk=b.pk).update(memory=b"\1" * 32)
    status, body = operator.get(f"checkpoints/{a.pk}/diff/{b.pk}/")
    assert (status, body["error"]) == (409, "damaged") and in_shape(body)


def test_wrong_since_here_from_a_program(operator: Operator, desk: Desk) -> None:
    """The incident, how many were condemned, the last known good one and the worklist."""
    good = desk.take(1)
    refund(desk)
    first = desk.take(2)
    status, body = operator.post("agents/refund-desk/wrong/", {"since": str(first.pk), "reason": "prices"})
    assert status == 200 and (body["condemned"], body["last_known_good"]) == (1, str(good.pk))
    assert body["paused"] == ["main"] and body["effects"] == []
    effects = operator.get(f"incidents/{body['incident']}/effects/")[1]["effects"]
    assert [effect["key"] for effect in effects] == ["refund:1"]
    assert operator.post("agents/refund-desk/wrong/", {"since": "nowhere", "reason": "x"})[0] == 404


def test_an_effect_is_ticked_off_from_a_program(operator: Operator, desk: Desk) -> None:
    """Once."""
    refund(desk)
    path = f"agents/refund-desk/effects/{Effect.objects.get().pk}/answer/"
    status, body = operator.post(path, {"answer": "accepted", "reason": "fine"})
    assert (status, body["effect"]["answer"]) == (200, "accepted")
    status, body = operator.post(path, {"answer": "again"})
    assert (status, body["error"]) == (409, "lost") and in_shape(body)


def test_a_bad_checkpoint_needs_its_tick(
    operator: Operator, desk: Desk, project: Project, alice: User
) -> None:
    """409 that says which."""
    found = desk.take(1)
    who = actor(alice, project)
    standing.judge(actor=who, checkpoint=found, verdict="bad", reason="prices", now=timezone.now())
    said = {"checkpoint": str(found.pk), "reason": "x"}
    status, body = operator.post("agents/refund-desk/rollback/", said)
    assert (status, body["error"]) == (409, "bad_checkpoint") and "even_bad" in body["what_to_do"]
    assert operator.post("agents/refund-desk/rollback/", {**said, "even_bad": True})[0] == 200


def theirs() -> list[tuple[str, str, dict[str, Any]]]:
    desk = make_desk(builders.make_project("elsewhere"), "secret-agent")
    found = desk.take(1)
    refund(desk)
    operator = Operator(Project.objects.get(name="elsewhere"))
    operator.post("agents/secret-agent/rollback/", {"checkpoint": str(found.pk), "reason": "x"})
    row, incident = Rollback.objects.get(), desk.pauses()
    order = {"checkpoint": str(found.pk), "reason": "x"}
    return [
        ("post", "agents/secret-agent/rollback/", order),
        ("get", "agents/secret-agent/rollbacks/", {}),
        ("post", "agents/secret-agent/wrong/", {"since": str(found.pk), "reason": "x"}),
        ("post", f"agents/secret-agent/effects/{Effect.objects.get().pk}/answer/", {"answer": "accepted"}),
        ("get", f"rollbacks/{row.pk}/", {}),
        ("post", f"rollbacks/{row.pk}/withdraw/", {}),
        ("get", f"checkpoints/{found.pk}/blast/", {}),
        ("get", f"checkpoints/{found.pk}/diff/{found.pk}/", {}),
        ("get", f"incidents/{incident.pk}/effects/", {}),
        ("post", f"incidents/{incident.pk}/decide/", {**order, "decision": "rollback", "version": 1}),
        ("post", "agents/refund-desk/rollback/", order),
        ("post", "agents/refund-desk/wrong/", {"since": str(found.pk), "reason": "x"}),
        ("post", f"agents/refund-desk/effects/{Effect.objects.get().pk}/answer/", {"answer": "accepted"}),
    ]


def test_another_projects_things_are_not_there(operator: Operator, desk: Desk) -> None:
    """404 for every foreign id, in the path as in the body; nothing of it moves."""
    mine = desk.take(1)
    for method, path, said in theirs():
        status, body = operator.get(path) if method == "get" else operator.post(path, said)
        assert (status, body["error"]) == (404, "not_found"), path
    foreign = Checkpoint.objects.exclude(pk=mine.pk).get()
    assert operator.get(f"checkpoints/{mine.pk}/diff/{foreign.pk}/")[0] == 404
    assert Rollback.objects.count() == 1 and foreign.standing == "good"


def test_an_agents_token_may_not_order_and_an_operators_not_report(project: Project, desk: Desk) -> None:
    """403, each with the command that makes the right one."""
    found = desk.take(1)
    agents = Operator(project, scope="agent")
    for path in ("agents/refund-desk/rollback/", "agents/refund-desk/wrong/"):
        assert agents.post(path, {"checkpoint": str(found.pk), "reason": "x"})[1]["error"] == "wrong_scope"
    operators = Operator(project)
    for path in (f"agents/refund-desk/rollbacks/{uuid.uuid4()}/progress/", "agents/refund-desk/edits/"):
        assert operators.post(path, {"state": "applied"})[1]["error"] == "wrong_scope"


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b'{"state":"dance"}', b'{"state":"applied","memory":"zz"}', b"[" * 5000,
     b'{"state":"applied","before":"x"}', b'{"state":"failed","why":"\\u0000"}', b"\xff"],
)  # fmt: skip
def test_a_report_that_cannot_be_read_is_422(desk: Desk, body: bytes) -> None:
    """Never a 500."""
    path = f"/api/v1/agents/refund-desk/rollbacks/{uuid.uuid4()}/progress/?instance=main"
    answer = desk.wire.post(path, body)
    assert answer.status_code == 422 and in_shape(answer.json())


def test_viewers_may_not_roll_back_from_the_browser(
    client: Client, project: Project, alice: User, bob: User, charlie: User, desk: Desk
) -> None:
    """Alice may; bob watches, charlie is outside; a GET does nothing."""
    found = desk.take(1)
    said = {"checkpoint": str(found.pk), "reason": "known bug"}
    path = "/p/main/agents/refund-desk/rollback/"
    for user, status in ((bob, 403), (charlie, 404)):
        client.force_login(user)
        assert client.post(path, said).status_code == status
    assert not Rollback.objects.exists()
    client.force_login(alice)
    assert client.get(path).status_code == 405
    assert client.post(path, said).status_code == 302
    assert Rollback.objects.get().by == "alice@example.com"
    path = f"/p/main/rollbacks/{Rollback.objects.get().pk}/withdraw/"
    assert client.post(path).status_code == 302 and Command.objects.get().state == "withdrawn"


def test_an_incident_is_rolled_back_from_the_browser(
    client: Client, project: Project, alice: User, desk: Desk
) -> None:
    """The form's decision; what is refused is said on the page."""
    incident = desk.pauses()
    client.force_login(alice)
    path = f"/p/main/incidents/{incident.pk}/rollback/"
    said = {"checkpoint": "last_known_good", "reason": "known bug", "version": incident.version}
    refused = client.post(path, said)
    assert b"no good checkpoint" in refused.content and not Rollback.objects.exists()
    desk.take(1)
    Agent.objects.update(last_good=None)
    Checkpoint.objects.update(at=incident.opened_at - timezone.timedelta(seconds=9))
    incident.refresh_from_db()
    said["version"] = incident.version
    assert client.post(path, said).status_code == 302
    assert Rollback.objects.get().goes_on
