"""`sickbay find`, `since`, and `show` of an entry: from a word that somebody knows to what was done."""

from __future__ import annotations

import pytest

from agents.models import Entry, Project
from sdk.tests.command import Shell
from tests import builders
from tests.pages import states
from tests.pages.states import Keeper

pytestmark = pytest.mark.django_db(transaction=True)
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe"


@pytest.fixture
def keeper(shell: Shell, project: Project) -> Keeper:
    """It set its scale to 10 while it worked on order 4711."""
    keeper = states.make_keeper(project)
    wire = keeper.taker.wire
    keeper.take({"rates": {"scale": 100}}, {b"rules.md": b"cents", b"notes": {b"todo.md": b"1"}}, label="old")
    said = [
        builders.action("refund", at=wire.now(), input={"order": 4711}, title=HOSTILE),
        builders.action("refund", at=wire.now(), input={"order": 17}, output="x" * 30_000),
    ]
    wire.post_events(*said, first=1)
    keeper.take({"rates": {"scale": 10}}, {b"rules.md": b"euros", b"notes": {b"todo.md": b"1"}}, label="new")
    return keeper


def test_words_are_found_and_shown(shell: Shell, keeper: Keeper) -> None:
    """Each line begins with an id; `show` has all of that entry, and a terminal obeys none of it."""
    (line,) = shell.out("find", "refund-desk", "order", "4711").splitlines()
    entry = Entry.objects.get(seq=1, kind="action")
    assert line.startswith(f"{entry.id} ") and " action ok " in line and "\x1b" not in line
    whole = shell.out("show", line.split()[0])
    assert whole.startswith(f"action {entry.id} ok\nAgent:      refund-desk\n")
    assert '"order": 4711' in whole and "\x1b" not in whole and "\u202e" not in whole
    assert shell.out("find", "refund-desk", "refund", "-n", "1").count("\n") == 1
    nothing = shell.run("find", "refund-desk", "9999")
    assert (nothing.returncode, nothing.stdout, nothing.stderr) == (1, "", "")


def test_a_long_entry_is_bounded(shell: Shell, keeper: Keeper) -> None:
    """Its head, and how long it is."""
    entry = Entry.objects.get(seq=2, kind="action")
    shown = shell.out("show", entry.id)
    assert len(shown) < 21_000 and "(the first 20,000 of " in shown


def test_the_servers_own_entries_are_shown(shell: Shell, keeper: Keeper) -> None:
    """A checkpoint's entry names the checkpoint; an entry has no paths; what is none's is said."""
    entry = Entry.objects.filter(kind="checkpoint").order_by("at")[0]
    assert f"Checkpoint: {entry.ref}\n" in shell.out("show", entry.id)
    assert "only a checkpoint has paths" in shell.run("show", entry.id, "rules.md").stderr
    done = shell.run("show", f"{'0' * 32}-1")
    assert done.returncode == 128 and "is no entry and no checkpoint" in done.stderr, done


def test_since_when_is_answered(shell: Shell, keeper: Keeper) -> None:
    """The checkpoint, what was done before it, and the command that shows what changed."""
    said = shell.out("since", "refund-desk", "memory:rates.scale")
    assert "Label:  new\n" in said and "It has been so since " in said and said.count(" refund") == 1
    assert "Done between the two, newest first:" in said and "What changed: sickbay diff " in said
    assert "Label:  new\n" in shell.out("since", "refund-desk", "./rules.md")
    oldest = shell.out("since", "refund-desk", "notes/todo.md")
    assert "Label:  old\n" in oldest and "the oldest checkpoint that is kept" in oldest
    assert "Looked: 1 checkpoint, back from" in shell.out("since", "refund-desk^", "memory:rates.scale")
    gone = shell.run("since", "refund-desk", "memory:rates.scal")
    assert gone.returncode == 128 and "rates has scale. Nor was it" in gone.stderr, gone


def test_what_is_not_there_is_answered_with_what_is(shell: Shell, keeper: Keeper) -> None:
    """Of a place, of a file, of an agent: the nearest, and how many more there are."""
    for path, said in (
        ("memory:rates.scal", "There is no rates.scal in this memory: rates has scale."),
        ("memory:rates.scale.x", "rates.scale is a value, with nothing below it"),
        ("memory:nowhere", "it has rates"),
        ("notes/todo", "There is no notes/todo in this checkpoint: notes has todo.md."),
        ("rules.md/x", "rules.md is a file, not a directory"),
    ):
        done = shell.run("show", "refund-desk", path)
        assert done.returncode == 128 and said in done.stderr, done
    for name in "abcdefgh":
        states.make_keeper(keeper_project(), f"desk-{name}")
    assert "there is desk-a, desk-b, desk-c, desk-d, desk-e and 4 more" in shell.run("show", "nosuch").stderr
    assert "there is refund-desk\n" in shell.run("show", "refund-des").stderr


def test_an_agent_without_checkpoints_is_told_of(shell: Shell, project: Project) -> None:
    """As git says it of a repository without commits, and with what makes some; a filter may find none."""
    states.make_keeper(project)
    done = shell.run("log", "refund-desk")
    assert done.returncode == 128 and "once it has a memory= or a workspace=" in done.stderr
    assert shell.out("log", "refund-desk", "--since", "2h") == ""


def test_two_agents_are_said_to_be_two(shell: Shell, keeper: Keeper) -> None:
    """Before what differs; names alone, for programs, stay names."""
    states.make_keeper(keeper_project(), "other-desk").take({"rates": {"scale": 1}})
    said = shell.out("diff", "refund-desk", "other-desk", "--memory")
    assert said.startswith("These are two agents: refund-desk's ") and "not what one of them changed" in said
    assert "two agents" not in shell.out("diff", "refund-desk", "other-desk", "--name-only", "--memory")
    assert "two agents" not in shell.out("diff", "refund-desk^", "refund-desk")


def keeper_project() -> Project:
    return Project.objects.get(name="main")
