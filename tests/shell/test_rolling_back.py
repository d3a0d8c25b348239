"""`sickbay rollback` against the real web server and a real agent: shown, asked, ordered, followed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.models import AuditEntry, Project
from checkpoints.models import Checkpoint, Rollback
from sdk.tests.command import Shell
from tests import builders
from tests.builders import make_token
from tests.domain.rolling import Desk, make_desk
from tests.product import Daphne
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)
CLERK = """
import sys
import time
from pathlib import Path
from sickbay import Agent

base, work = sys.argv[1:]
agent = Agent("refund-desk", home=Path(base), workspace=work, memory={"n": 0}, heal=False)
rates = Path(work, "rates.csv")


def step(run):
    if agent.memory["n"] == 0 and not run.rolled_back:
        rates.write_text("right")
        run.execute(lambda: 1, name="look", verify=lambda _: True)
        run.checkpoint("right rates")
        rates.write_text("wrong")
        agent.memory["n"] = 1
        run.checkpoint("wrong rates")
    time.sleep(0.05)


agent.supervise(step)
"""


@pytest.fixture
def desk(transactional_db: None, project: Project) -> Desk:
    """It did something in the outside world after its good checkpoint, and waits."""
    desk = make_desk(project)
    desk.take(1, label="after refund")
    said = {"external": True, "act": 1, "key": "refund:17", "at": desk.wire.now(), "input": {"order": 17}}
    desk.wire.post_events(builders.action("refund", **said), first=1)
    desk.take(2, facts={"failing": True})
    return desk


@pytest.fixture
def work(daphne: Daphne, transactional_db: None, project: Project, tmp_path: Path) -> Iterator[Path]:
    """The workspace of a living agent that changed its rates."""
    (work := tmp_path / "work").mkdir()
    env = {**os.environ, "SICKBAY_URL": daphne.url, "SICKBAY_TOKEN": make_token(project)}
    with subprocess.Popen(
        [sys.executable, "-c", CLERK, str(tmp_path / "home"), str(work)], env=env
    ) as process:
        try:
            until(lambda: Checkpoint.objects.filter(label="wrong rates").exists(), 60, "the agent")
            yield work
        finally:
            process.terminate()
            process.wait(15)


def test_a_person_is_shown_what_it_means_and_asked(shell: Shell, desk: Desk) -> None:
    """What is lost, what stays done; anything but yes changes nothing, and the reason is asked for."""
    with shell.terminal("rollback", "refund-desk", NO_COLOR="1") as terminal:
        seen = terminal.reads("Roll back? [y/N]")
        assert "good, verified, last known good" in seen and "after refund" in seen
        assert "stays done:" in seen and "refund refund:17, done" in seen
        assert "1 action, 1 checkpoint" in seen
        terminal.type("\n")
        assert terminal.ends()[0] == 1
    assert not Rollback.objects.exists()
    with shell.terminal("rollback", "refund-desk", NO_COLOR="1") as terminal:
        terminal.reads("Roll back? [y/N]")
        terminal.type("y\n")
        terminal.reads("Why?")
        terminal.type("the rates are wrong\n")
        code, seen = terminal.ends()
        assert code == 0 and "Ordered" in seen
    row = Rollback.objects.get()
    assert (row.reason, row.scope["memory"]) == ("the rates are wrong", True)
    assert AuditEntry.objects.filter(verb__contains="roll").exists()


def test_a_script_must_say_yes(shell: Shell, desk: Desk) -> None:
    """Without a terminal nobody is asked, so nothing is done; a part and a reason are taken as said."""
    done = shell.run("rollback", "refund-desk")
    assert done.returncode == 128 and "--yes" in done.stderr and not Rollback.objects.exists()
    target = Checkpoint.objects.get(label="after refund")
    shell.out("rollback", "refund-desk", target.pk.hex[:8], "--yes", "--memory", "-m", "wrong numbers")
    row = Rollback.objects.get()
    assert (row.checkpoint, row.reason) == (target.pk, "wrong numbers")
    assert (row.scope["memory"], row.scope["workspace"]) == (True, False)


def test_what_cannot_be_gone_back_to_is_said(shell: Shell, desk: Desk, project: Project) -> None:
    """Another agent's checkpoint, one that is not there, one that was condemned: 128 and a sentence."""
    other = make_desk(project, "other-desk").take(1)
    bad = Checkpoint.objects.get(agent__name="refund-desk", standing="suspect")
    Checkpoint.objects.filter(pk=bad.pk).update(standing="bad")
    for named, said in ((other.pk.hex, "no checkpoint"), ("eeeeeeee", "no"), (bad.pk.hex, "bad")):
        done = shell.run("rollback", "refund-desk", named, "--yes")
        assert done.returncode == 128 and said in done.stderr and "Traceback" not in done.stderr, done
    assert not Rollback.objects.exists()


def test_a_rollback_is_followed_to_its_proof(shell: Shell, work: Path) -> None:
    """Exit code 0 means that the files and the memory are the checkpoint's, as the agent proved."""
    done = shell.run("rollback", "refund-desk", "--yes", "--wait", "-m", "wrong rates")
    assert done.returncode == 0 and "main: verified" in done.stdout, done
    assert (work / "rates.csv").read_text() == "right"
    assert Rollback.objects.get().state == "verified"


def test_one_file_goes_back_alone(shell: Shell, work: Path) -> None:
    """What stands behind -- is put back, and nothing else."""
    (work / "notes.txt").write_text("mine")
    done = shell.run("rollback", "refund-desk", "--yes", "--wait", "--", "rates.csv")
    assert done.returncode == 0, done
    assert (work / "rates.csv").read_text() == "right" and (work / "notes.txt").read_text() == "mine"


def test_a_rollback_that_fails_is_an_exit_code(shell: Shell, desk: Desk) -> None:
    """1, with why."""
    with shell.terminal("rollback", "refund-desk", "--yes", "--wait") as terminal:
        terminal.reads("Ordered")
        row = until(lambda: Rollback.objects.order_by("-ordered_at").first())
        desk.takes_up()
        desk.tells(row, "restoring")
        desk.tells(row, "failed", why="the disk is full")
        code, seen = terminal.ends()
        assert code == 1 and "failed: the disk is full" in seen


def test_an_order_that_nobody_takes_up_is_taken_back(shell: Shell, desk: Desk) -> None:
    """--timeout gives up with 1 and leaves the order, which --abort withdraws, once."""
    late = shell.run("rollback", "refund-desk", "--yes", "--wait", "--timeout", "0.5")
    assert late.returncode == 1 and "still ordered" in late.stderr, late
    assert shell.run("rollback", "refund-desk", "--yes").returncode == 128
    shell.out("rollback", "refund-desk", "--abort", "-m", "not now")
    assert [row.stage for row in Rollback.objects.all()] == ["withdrawn"]
    assert "nothing that could be taken back" in shell.run("rollback", "refund-desk", "--abort").stderr


def test_an_interrupt_is_quiet(shell: Shell, desk: Desk) -> None:
    """Ctrl-C ends the waiting with 130 and without a trace; the order stands."""
    with shell.terminal("rollback", "refund-desk", "--yes", "--wait") as terminal:
        terminal.reads("Ordered")
        terminal.type("\x03")
        code, seen = terminal.ends()
        assert code == 130 and "Traceback" not in seen
    assert Rollback.objects.count() == 1
