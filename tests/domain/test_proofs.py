"""What an agent says of a rollback: proven by names, once, and by nobody else."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from agents.models import Agent, Command, Entry, Incident, Pause, Project, User
from checkpoints import proving, queries
from checkpoints.models import Checkpoint, Rollback
from checkpoints.proving import Scope
from sickbay._folder import Found
from sickbay._workspace import Workspace, record_of
from sickbay.tree import record
from sickbay.tree.directory import PLAIN_FILE, body_of
from sickbay.tree.directory import Entry as Entry_
from sickbay.tree.node import name_of
from tests import builders
from tests.builders import Wire, make_token
from tests.domain import rolling
from tests.domain.rolling import Desk, decide, make_desk, names, order

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(project: Project) -> Desk:
    return make_desk(project)


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


def take_files(desk: Desk, work: Path, **files: str) -> str:
    """A checkpoint of these files; the name of their tree."""
    work.mkdir(exist_ok=True)
    for name, said in files.items():
        (work / name).write_text(said)
    found: list[Found] = []
    root = Workspace(work).snapshot(found.append).root.hex()
    records = [*desk.taker.records({"files": root}), *map(record_of, found)]
    answer = desk.taker.send(desk.taker.header(manifest={"workspace": root}, facts={"checks": 1}), records)
    assert answer.status_code == 200, answer.content
    return root


def test_files_that_differ_are_named(project: Project, alice: User, desk: Desk, tmp_path: Path) -> None:
    """Whoever reads why it failed at night reads names of files, not of trees."""
    take_files(desk, tmp_path / "work", **{f"{name}.txt": "before" for name in "abcdef"})
    target = desk.taker.newest()
    other = take_files(desk, tmp_path / "work", **{f"{name}.txt": "after" for name in "abcde"})
    (row,) = order(alice, project, target).rollbacks
    desk.takes_up()
    answer = desk.tells(row, "applied", memory=rolling.hexed(target.memory), workspace=other)
    assert answer["why"] == (
        "a.txt, b.txt, c.txt and 2 more are not as the checkpoint has it. "
        "Something still writes there: end that, and roll back again."
    )


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


def test_an_sdk_that_knows_no_rollback_refuses_and_the_human_is_asked_again(
    project: Project, alice: User, desk: Desk
) -> None:
    """The receipt alone is enough; the guidance of that decision is not told to the next start."""
    desk.take(1)
    incident = desk.pauses()
    decide(alice, incident, guidance="try the other one")
    command = Command.objects.get(kind="rollback")
    assert desk.wire.receipt(str(command.pk), "refused", why="unknown kind").status_code == 200
    incident.refresh_from_db()
    assert (incident.state, Pause.objects.get().state, queries.rollbacks().get().stage) == (
        "open",
        "paused",
        "refused",
    )
    assert desk.wire.register().json()["guidance"] is None


def test_single_files_are_proven_by_their_entries(project: Project, alice: User, desk: Desk) -> None:
    """Type, mode and content of each path, or that nothing is there; a path that is not reported fails."""
    workspace, records = tree({b"a.txt": b"one", b"b.txt": b"two"})
    memory = desk.taker.records({"n": 1})
    said = {"memory": desk.taker.tree.root.hex(), "workspace": workspace.hex()} if desk.taker.tree else {}
    answer = desk.taker.send(desk.taker.header(manifest=said), [*memory, *records])
    assert answer.status_code == 200, answer.content
    target = Checkpoint.objects.get()
    later = desk.take(2, manifest={"workspace": workspace.hex()})
    right = {
        "a.txt": proving.entry_name(Entry_(b"a.txt", PLAIN_FILE, 3, name_of(b"B one"))),
        "gone.txt": None,
    }
    for paths, verified in (
        ({"a.txt": right["a.txt"]}, False),
        ({**right, "a.txt": None}, False),
        (right, True),
    ):
        scope = Scope(memory=False, paths=("a.txt", "gone.txt"))
        (row,) = order(alice, project, target, scope=scope).rollbacks
        desk.takes_up()
        assert desk.tells(row, "applied", paths=paths)["verified"] is verified, paths
    (row,) = order(alice, project, target, scope=scope).rollbacks
    desk.takes_up()
    assert desk.tells(row, "applied", workspace=workspace.hex())["verified"]
    later.refresh_from_db()
    assert later.standing != "bad"


def tree(files: dict[bytes, bytes]) -> tuple[bytes, list[record.Record]]:
    """A directory of small files: its name, and the records that make it."""
    plains = {filename: b"B " + data for filename, data in files.items()}
    entries = [Entry_(f, PLAIN_FILE, len(p) - 2, name_of(p)) for f, p in sorted(plains.items())]
    root, size = b"D " + body_of(entries), sum(len(data) for data in files.values())
    made = [record.Record(name_of(p), 0, b"", len(p), 0, len(p) - 2, p) for p in plains.values()]
    return name_of(root), [*made, record.Record(name_of(root), 0, b"", len(root), len(files), size, root)]
