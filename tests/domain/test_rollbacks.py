"""Rollbacks: ordered once, proven by what the agent reports, and never half of either."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.utils import timezone

from agents.models import Agent, AuditEntry, Command, Entry, Incident, Instance, Pause, Project, User
from agents.services import decisions
from checkpoints import queries
from checkpoints.models import Checkpoint, Rollback
from checkpoints.proving import Scope
from checkpoints.services import aiming, rollbacks
from tests import builders
from tests.builders import Wire, make_token
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


@pytest.mark.parametrize("wrong", [{"memory": "ab" * 32}, {"memory": None}, {"workspace": "cd" * 32}])
def test_other_hashes_are_a_failure_in_words(
    project: Project, alice: User, desk: Desk, wrong: dict[str, Any]
) -> None:
    """Both names are said; nothing is condemned; the agent is held, because nobody knows its state."""
    target, later = desk.take(1), desk.take(2)
    (row,) = order(alice, project, target).rollbacks
    Checkpoint.objects.filter(pk=target.pk).update(workspace=b"\7" * 32)
    Rollback.objects.update(scope=Scope().plain())
    desk.takes_up()
    right = {"memory": rolling.hexed(target.memory), "workspace": "07" * 32}
    answer = desk.tells(row, "applied", **{**right, **wrong})
    assert (answer["state"], answer["verified"]) == ("failed", False)
    said = next(iter(wrong.values()))
    assert ("none" if said is None else said[:12]) in answer["why"] and "the checkpoint's is" in answer["why"]
    later.refresh_from_db()
    assert later.standing == "good" and Entry.objects.get(kind="rollback").outcome == "failed"
    assert Incident.objects.get().cause == "detector" and Pause.objects.get().state in ("pausing", "paused")
    assert Command.objects.get(kind="rollback").state == "refused"


def test_said_twice_it_has_the_same_answer(project: Project, alice: User, desk: Desk) -> None:
    """One entry, one ending, whatever a repeat brings."""
    (row,) = order(alice, project, desk.take(1)).rollbacks
    first = desk.applies(row)
    assert desk.tells(row, "applied", **names(row)) == first
    assert desk.tells(row, "applied", memory="ab" * 32) == first
    assert desk.tells(row, "failed", why="no") == first
    assert Entry.objects.filter(kind="rollback").count() == 1


def test_a_receipt_before_the_proof_is_refused(project: Project, alice: User, desk: Desk) -> None:
    """`done` alone lifts nothing, nor does a snapshot that says so."""
    desk.take(1)
    incident = desk.pauses()
    decide(alice, incident)
    command = desk.takes_up()
    assert desk.wire.receipt(str(command.pk), "done").json()["error"] == "unproven"
    settled = {"pause": command.payload["pause"], "command": str(command.pk), "verb": "rollback"}
    desk.wire.post_events(state=builders.state("probation", settled=settled))
    assert Pause.objects.get().state == "decided"


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


def test_what_is_in_its_way_is_named_and_it_stays_restoring(
    project: Project, alice: User, desk: Desk
) -> None:
    """Snapshots do not change what is shown; the incident gets a new version."""
    desk.take(1)
    incident = desk.pauses()
    decide(alice, incident)
    (row,) = queries.rollbacks_of_incident(incident.pk)
    desk.takes_up()
    desk.tells(row, "restoring")
    before = Incident.objects.get().version
    desk.tells(row, "restoring", why="work/report.txt is a directory")
    desk.wire.post_events(state=builders.state("paused"))
    assert Agent.objects.get().status == "restoring" and Incident.objects.get().version > before
    assert queries.rollbacks().get().why == "work/report.txt is a directory"
    assert desk.tells(row, "applied", **names(row))["verified"]


def test_an_outdated_or_other_writer_reports_nothing(project: Project, alice: User, desk: Desk) -> None:
    """Fenced, not taken, another project's, unknown."""
    (row,) = order(alice, project, desk.take(1)).rollbacks
    assert desk.tells(row, "restoring")["error"] == "not_taken"
    assert desk.tells(str(uuid.uuid4()), "restoring")["status"] == 404
    foreign = make_desk(builders.make_project("elsewhere"))
    assert foreign.tells(row, "restoring")["status"] == 404
    newer = Wire(make_token(project))
    newer.register()
    assert desk.tells(row, "restoring")["error"] == "fenced"
    assert queries.rollbacks().get().stage == "ordered"


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
    assert queries.newest_usable(row.instance_id) == target
    Checkpoint.objects.filter(pk=target.pk).update(standing="bad", judged_by="verify", reason="node x")
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


def test_the_agents_own_rollback_has_its_row_made_on_sight(project: Project, desk: Desk) -> None:
    """By its id, once; who asked is kept; what lies between is condemned, too."""
    target, later = desk.take(1), desk.take(2)
    id = str(uuid.uuid4())
    said = {"asked_by": "verdict", "checkpoint": str(target.pk), "reason": "the sum is wrong"}
    assert desk.tells(id, "restoring", **said)["status"] == 200
    answer = desk.tells(id, "applied", memory=rolling.hexed(target.memory), before=str(later.pk), **said)
    assert answer["verified"] and desk.tells(id, "applied", **said) == answer
    row = Rollback.objects.get()
    assert (row.asked_by, row.by, row.condemned, row.command) == ("verdict", "refund-desk", 1, None)
    assert Checkpoint.objects.get(pk=later.pk).judged_by == "refund-desk (verdict)"


def test_its_own_rollback_to_what_is_not_here_yet_waits(project: Project, desk: Desk) -> None:
    """409: the checkpoint comes first."""
    said = {"asked_by": "agent", "checkpoint": str(uuid.uuid4())}
    desk.take(1)
    assert desk.tells(str(uuid.uuid4()), "applied", **said)["error"] == "no_checkpoint"
    assert not Rollback.objects.exists()


def test_a_narrower_scope_is_proven_within_it_and_condemns_nothing(
    project: Project, alice: User, desk: Desk
) -> None:
    """The memory alone: the workspace may be whatever it is."""
    target, later = desk.take(1), desk.take(2)
    Checkpoint.objects.filter(pk=target.pk).update(workspace=b"\7" * 32)
    (row,) = order(alice, project, target, scope=Scope(workspace=False)).rollbacks
    desk.takes_up()
    assert desk.tells(row, "applied", memory=names(row)["memory"], workspace="cd" * 32)["verified"]
    later.refresh_from_db()
    assert later.standing == "good"
