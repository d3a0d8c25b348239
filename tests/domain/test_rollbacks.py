"""Rollbacks: ordered once, proven by what the agent reports, and never half of either."""

from __future__ import annotations

import uuid

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent, AuditEntry, Command, Entry, Incident, Instance, Pause, Project, User
from agents.services import decisions
from checkpoints import queries
from checkpoints.models import Checkpoint, Rollback
from checkpoints.proving import Scope
from checkpoints.services import aiming, rollbacks
from tests import builders
from tests.builders import Wire
from tests.domain import rolling
from tests.domain.rolling import Desk, actor, decide, make_desk, names, order

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(project: Project) -> Desk:
    return make_desk(project)


def test_an_agent_is_put_back_and_proves_it(project: Project, alice: User, desk: Desk) -> None:
    """Ordered, taken, restoring, verified; what was taken in between is condemned by whom and why."""
    first, second, third = desk.take(1), desk.take(2), desk.take(3)
    (row,) = order(alice, project, first).rollbacks
    command = Command.objects.get(kind="rollback")
    assert (command.payload["memory"], command.payload["goes_on"]) == (names(row)["memory"], False)
    assert queries.rollbacks().get().stage == "ordered"
    desk.takes_up()
    assert queries.rollbacks().get().stage == "taken"
    assert desk.tells(row, "restoring")["state"] == "restoring"
    assert (Agent.objects.get().status, queries.rollbacks().get().stage) == ("restoring", "restoring")
    answer = desk.tells(row, "applied", before=str(third.pk), kept=["notes.md"], **names(row))
    assert (answer["state"], answer["verified"], Agent.objects.get().status) == ("verified", True, "running")
    assert desk.wire.receipt(str(command.pk), "done").status_code == 200
    bad = Checkpoint.objects.filter(pk__in=[second.pk, third.pk])
    assert {(c.standing, c.judged_by) for c in bad} == {("bad", "alice@example.com")}
    assert all(c.reason == "condemned by a rollback: went wrong" for c in bad)
    row.refresh_from_db()
    assert (row.before, row.kept, row.condemned) == (third.pk, ["notes.md"], 2)
    assert Agent.objects.get().last_good == first.pk


def test_it_stands_in_the_timeline_and_in_the_log(project: Project, alice: User, desk: Desk) -> None:
    """One entry when it is ordered, one of kind rollback when it ended; the order is audited."""
    (row,) = order(alice, project, desk.take(1, label="after refund")).rollbacks
    desk.applies(row)
    entry = Entry.objects.get(kind="rollback")
    assert (entry.outcome, entry.title) == ("verified", "Rolled back to “after refund”, verified")
    assert Entry.objects.filter(kind="command", name="rollback", outcome="ordered").count() == 1
    assert AuditEntry.objects.get(verb="rollback").saw["rollbacks"] == [str(row.pk)]


def test_roll_back_and_resume_follows_to_running(project: Project, alice: User, desk: Desk) -> None:
    """The decision names its target; the pause ends with the agent's word after the proof, on probation."""
    good = desk.take(1)
    desk.take(2, facts={"failing": True})
    incident = desk.pauses()
    outcome = decide(alice, incident, guidance="check the address")
    assert outcome.name == "decided" and incident.decisions.get().target == good.pk
    (row,) = queries.rollbacks_of_incident(incident.pk)
    payload = Command.objects.get(kind="rollback").payload
    assert (payload["goes_on"], payload["guidance"], payload["probation"]) == (
        True,
        "check the address",
        True,
    )
    desk.applies(row)
    assert Agent.objects.get().status == "paused" and Pause.objects.get().state == "decided"
    command = Command.objects.get(kind="rollback")
    assert command.payload["verified"] and desk.wire.receipt(str(command.pk), "done").status_code == 200
    incident.refresh_from_db()
    assert (Pause.objects.get().state, incident.state) == ("lifted", "applied")


def test_a_failed_one_asks_the_human_again(project: Project, alice: User, desk: Desk) -> None:
    """The old state is intact, the pause waits, the version is another, and the decision can be made anew."""
    desk.take(1)
    incident = desk.pauses()
    decide(alice, incident)
    (row,) = queries.rollbacks_of_incident(incident.pk)
    before = Incident.objects.get().version
    command = desk.takes_up()
    assert desk.tells(row, "failed", why="the disk is full")["state"] == "failed"
    incident.refresh_from_db()
    assert (incident.state, Pause.objects.get().state) == ("open", "paused") and incident.version > before
    command.refresh_from_db()
    assert (command.state, command.why) == ("refused", "the disk is full")
    assert decide(alice, incident).name == "decided"


def test_the_host_that_died_takes_it_up_when_it_next_starts(
    project: Project, alice: User, desk: Desk
) -> None:
    """The command waits; a new process takes it, also when the one before died in the middle."""
    target = desk.take(1)
    Instance.objects.update(live=False, gone_since=timezone.now())
    ordered = order(alice, project, target)
    assert ordered.sentence == "Taken up when it next starts."
    desk.wire.run = uuid.uuid4().hex
    assert desk.wire.register().status_code == 200
    desk.takes_up()
    (row,) = ordered.rollbacks
    desk.tells(row, "restoring")
    again = Desk(rolling.Taker(Wire(desk.wire.token)))
    again.wire.register()
    assert desk.tells(row, "applied", **names(row))["error"] == "fenced"
    assert again.tells(row, "applied", **names(row))["error"] == "taken"
    assert again.applies(row)["verified"]


def test_what_nobody_took_up_is_withdrawn(project: Project, alice: User, desk: Desk) -> None:
    """Its progress is refused then; what a run took up holds."""
    who = actor(alice, project)
    (row,) = order(alice, project, desk.take(1)).rollbacks
    rollbacks.withdraw(actor=who, rollback=row, reason="", now=timezone.now())
    assert queries.rollbacks().get().stage == "withdrawn"
    assert desk.tells(row, "restoring")["error"] == "overtaken"
    (row,) = order(alice, project, desk.take(2)).rollbacks
    desk.takes_up()
    with pytest.raises(aiming.Refused, match="taken already"):
        rollbacks.withdraw(actor=who, rollback=row, reason="", now=timezone.now())


def test_a_decision_to_roll_back_is_withdrawn_like_any(project: Project, alice: User, desk: Desk) -> None:
    """The pause waits again and the rollback says so."""
    desk.take(1)
    incident = desk.pauses()
    decide(alice, incident)
    incident.refresh_from_db()
    who = actor(alice, project)
    outcome = decisions.withdraw(
        actor=who, incident_id=incident.pk, version=incident.version, now=timezone.now()
    )
    assert (outcome.name, queries.rollbacks().get().stage) == ("withdrawn", "withdrawn")
    assert Pause.objects.get().state == "paused"


def test_bad_ones_need_the_tick_and_damaged_ones_are_never_gone_to(
    project: Project, alice: User, desk: Desk
) -> None:
    """Refused in words before anything is ordered; gone back to on purpose, a bad one is usable again."""
    target = desk.take(1)
    desk.take(2)
    Checkpoint.objects.filter(pk=target.pk).update(standing="bad", judged_by="bob", reason="wrong prices")
    with pytest.raises(aiming.Refused, match="wrong prices"):
        order(alice, project, target)
    (row,) = order(alice, project, target, even_bad=True).rollbacks
    desk.applies(row)
    assert Checkpoint.objects.get(pk=target.pk).standing == "unproven"
    assert queries.newest_usable(row.instance) == target
    Checkpoint.objects.filter(pk=target.pk).update(
        standing="bad", judged_by="verify", reason="damaged: node x"
    )
    with pytest.raises(aiming.Refused, match="damaged"):
        order(alice, project, target, even_bad=True)
    assert Rollback.objects.count() == 1


def test_the_state_before_is_kept_and_going_there_undoes_it(
    project: Project, alice: User, desk: Desk
) -> None:
    """No tick is needed for it, though it was condemned; what came after the rollback is condemned then."""
    first, last = desk.take(1), desk.take(2, why="rollback")
    (row,) = order(alice, project, first).rollbacks
    desk.applies(row, before=str(last.pk))
    assert Checkpoint.objects.get(pk=last.pk).standing == "bad"
    desk.taker.parent = str(first.pk)
    after = desk.take(3)
    assert after.parent == first.pk
    (undo,) = order(alice, project, last).rollbacks
    assert desk.applies(undo)["verified"]
    standings = dict(Checkpoint.objects.values_list("pk", "standing"))
    assert (standings[after.pk], standings[last.pk], standings[first.pk]) == ("bad", "unproven", "good")


def test_another_agents_checkpoint_is_not_there(project: Project, alice: User, desk: Desk) -> None:
    """404, of another agent as of another project."""
    desk.take(1)
    other = make_desk(builders.make_project("elsewhere"))
    with pytest.raises(aiming.Refused, match="no such checkpoint") as refused:
        order(alice, project, other.take(1))
    assert refused.value.status == 404


def test_other_dependencies_are_said_and_not_refused(project: Project, alice: User, desk: Desk) -> None:
    """Another model and another set of tools, before it is done."""
    target = desk.take(1)
    desk.take(2, manifest={"model": "claude-next", "tools": "00" * 32})
    remarks = order(alice, project, target).remarks
    assert "It was made under model claude; now it is claude-next." in remarks
    assert "It was made with another set of tools." in remarks


def test_a_shared_workspace_is_left_alone(project: Project, alice: User) -> None:
    """Files asked for by name are refused; otherwise the memory alone is put back."""
    desk = make_desk(project, shared_workspace=True)
    target = desk.take(1)
    Checkpoint.objects.filter(pk=target.pk).update(workspace=b"\7" * 32)
    with pytest.raises(aiming.Refused, match="shared"):
        order(alice, project, target, scope=Scope(memory=False))
    assert order(alice, project, target).rollbacks[0].scope["workspace"] is False


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../b", "", "a//b", "a\0b", "./a"])
def test_a_path_outside_of_the_workspace_is_refused(
    project: Project, alice: User, desk: Desk, path: str
) -> None:
    """Before anything is ordered."""
    target = desk.take(1)
    Checkpoint.objects.filter(pk=target.pk).update(workspace=b"\7" * 32)
    with pytest.raises(aiming.Refused, match="no path inside"):
        order(alice, project, target, scope=Scope(False, True, (path,)))


def test_one_at_a_time(project: Project, alice: User, desk: Desk) -> None:
    """A second order is told who was first, or that one is under way; a decision overtakes what waits."""
    target = desk.take(1)
    order(alice, project, target)
    with pytest.raises(aiming.Refused, match="was first"):
        order(alice, project, target)
    incident = desk.pauses()
    assert decide(alice, incident).name == "decided"
    assert sorted(row.stage for row in queries.rollbacks()) == ["ordered", "overtaken"]
    desk.takes_up()
    with pytest.raises(aiming.Refused, match="being rolled back"):
        order(alice, project, target)


def test_last_known_good_is_before_the_first_failure(project: Project, alice: User, desk: Desk) -> None:
    """A good one that was taken between the failures is not it; without any, that is said."""
    incident_desk = desk
    with pytest.raises(aiming.Refused, match="no good checkpoint"):
        order(alice, project, aiming.LAST_KNOWN_GOOD)
    good = incident_desk.take(1)
    failed = [builders.failure(at=desk.wire.now()) for _ in range(3)]
    desk.wire.post_events(*failed)
    between = desk.take(2)
    assert between.standing == "good"
    incident = desk.pauses()
    found = queries.last_known_good_of(incident, incident.agent_id)
    assert found is not None and found.pk == good.pk
    decide(alice, incident)
    assert queries.rollbacks().get().checkpoint == good.pk


def test_the_pages_show_every_stage(client: Client, project: Project, alice: User, desk: Desk) -> None:
    """Ordered, restoring, failed, verified: the incident's, the agent's and the fleet's page stand."""
    client.force_login(alice)
    desk.take(1)
    incident = desk.pauses()

    def look(*words: bytes) -> None:
        for path in (f"incidents/{incident.pk}/", "agents/refund-desk/", ""):
            page = client.get(f"/p/main/{path}")
            assert page.status_code == 200
        assert all(word in client.get("/p/main/agents/refund-desk/").content for word in words)

    for ending in ("failed", "applied"):
        decide(alice, incident)
        look(b"Paused")
        row = queries.rollbacks_of_incident(incident.pk)[0]
        desk.takes_up()
        desk.tells(row, "restoring", why="something is in the way")
        look(b"Restoring")
        desk.tells(row, ending, **names(row))
        look(b"Paused")
