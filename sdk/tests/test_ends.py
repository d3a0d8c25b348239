"""Laws of how a run ends, and of what the next start makes of one that did not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.desk import breaks, fail, of_kind, paused, works
from sickbay import ActionFailed, Agent, AgentPauseRequired, NoRun
from sickbay.testing import Harness, spooled

ROOT = Path(__file__).parents[2]


def ends(harness: Harness, agent: Agent) -> tuple[str, int]:
    """The word a run ended with, and how many failures were counted."""
    run = of_kind(harness, agent, "run")[-1]
    return run["name"], len(of_kind(harness, agent, "failure"))


class Bubble(Exception):
    """A framework's interrupt."""


@pytest.mark.parametrize(
    ("raised", "word", "failures"),
    [
        (SystemExit(0), "finished", 0),
        (SystemExit(), "finished", 0),
        (KeyboardInterrupt(), "finished", 0),
        (Bubble(), "finished", 0),
        (SystemExit(2), "failed", 1),
        (ValueError("x"), "failed", 1),
        (ConnectionError("x"), "failed", 0),
        (ExceptionGroup("both", [ValueError("x")]), "failed", 1),
    ],
)
def test_how_a_run_ends(harness: Harness, raised: BaseException, word: str, failures: int) -> None:
    """Finished, or failed with at most one failure; the exception goes on."""
    agent = harness.agent(passes=(Bubble,))
    with pytest.raises(type(raised)), agent.run():
        raise raised
    assert ends(harness, agent) == (word, failures)


def test_a_counted_failure_is_not_counted_again_by_the_end(harness: Harness) -> None:
    """An ActionFailed that leaves the run makes it failed and counts no second time."""
    agent = harness.agent()
    with pytest.raises(ActionFailed), agent.run() as run:
        run.execute(breaks)
    assert ends(harness, agent) == ("failed", 1)


def test_a_run_that_fails_to_the_end_of_its_budget_is_paused_at_the_next(harness: Harness) -> None:
    """Three runs that fail with their own exception spend the budget over restarts."""
    agent = harness.agent()
    for _ in range(3):
        with pytest.raises(KeyError), agent.run():
            raise KeyError("index")
    with paused(), agent.run():
        raise AssertionError


def killed(base: Path, body: str) -> None:
    """A process that runs an agent's `body` and is killed in it with SIGKILL."""
    program = (
        "import os, sys\n"
        "from sdk.tests.desk import breaks, fail, works\n"
        "from sickbay import Agent\n"
        "def die(*_, **__): os.kill(os.getpid(), 9)\n"
        "with Agent('agent', home=sys.argv[1]).run() as run:\n" + body
    )
    done = subprocess.run([sys.executable, "-c", program, str(base)], cwd=ROOT, timeout=60)
    assert done.returncode == -9


def restarted(base: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The next start: what it says of the run before, and the streak it begins with."""
    agent = Agent("agent", home=base)
    with agent.run() as run:
        streak = run._ward.ledger.data.account.streak
    told = [e for e in spooled(base, "agent") if e["kind"] == "run" and e["name"] == "vanished"]
    return told[-1], streak


def test_death_in_an_action_is_a_crash(tmp_path: Path) -> None:
    """Killed while an action was in flight: one counted crash, told once, with the action's name."""
    killed(tmp_path, "    run.execute(works)\n    run.execute(die, name='refund')\n")
    told, streak = restarted(tmp_path)
    assert (told["in_flight"], told["counted"], streak) == (True, True, ("crash",))
    assert "refund was in flight" in told["title"]
    assert told["vanished"] != told["run"]
    with Agent("agent", home=tmp_path).run():
        pass
    runs = [e["name"] for e in spooled(tmp_path, "agent") if e["kind"] == "run"]
    assert runs.count("vanished") == 1


def test_death_between_actions_is_shown_and_not_counted(tmp_path: Path) -> None:
    """Killed between two actions: shown only, until it is the third within ten minutes."""
    for time in (1, 2, 3):
        killed(tmp_path, "    run.execute(works)\n    die()\n")
        told, streak = restarted(tmp_path)
        assert not told["in_flight"]
        assert (told["counted"], streak) == ((True, ("crash",)) if time == 3 else (False, ()))


def test_three_crashes_pause_before_anything_runs(tmp_path: Path) -> None:
    """Crashes spend the budget: the start after the third raises, again and again, counting once."""
    for _ in range(3):
        killed(tmp_path, "    run.execute(die)\n")
    for _ in range(2):
        with paused(), Agent("agent", home=tmp_path).run():
            raise AssertionError
    harness = Harness(tmp_path)
    agent = harness.agent()
    harness.resume(agent)
    with agent.run():
        pass
    told = [e["name"] for e in harness.events(agent) if e["name"] in ("vanished", "budget")]
    assert told == ["vanished", "vanished", "vanished", "budget"]


def test_what_was_recorded_survives_the_kill(tmp_path: Path) -> None:
    """Every action whose execute returned before the kill stands in the spool, in order."""
    killed(tmp_path, "    for n in range(500):\n        run.execute(works, n)\n    die()\n")
    inputs = [e["input"] for e in spooled(tmp_path, "agent") if e["kind"] == "action"]
    assert inputs == list(range(500))


@pytest.mark.parametrize("cut", ["save", "append"])
def test_a_kill_around_counting_counts_once(tmp_path: Path, cut: str) -> None:
    """Killed just before or just after the failure reached the spool, it counts exactly once."""
    body = {
        "save": "    run._ward.ledger._home.state.save = die\n    fail(run)\n",
        "append": "    run._ward.ledger._home.spool.append = die\n    fail(run)\n",
    }[cut]
    killed(tmp_path, body)
    told, streak = restarted(tmp_path)
    assert len(streak) == 1
    assert told["in_flight"] is (cut == "append")


def test_a_fork_is_not_the_run(harness: Harness) -> None:
    """In a forked child nothing is guarded, so nothing is let through; the parent's run is untouched."""
    agent = harness.agent()
    with agent.run() as run:
        run.execute(works)
        child = os.fork()
        if child == 0:
            try:
                run.execute(works)
            except NoRun:
                os._exit(7)
            finally:
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        run.execute(works)
    assert len(of_kind(harness, agent, "action")) == 2
    assert ends(harness, agent) == ("finished", 0)


def test_a_child_that_leaves_the_block_says_nothing(harness: Harness) -> None:
    """A forked child that unwinds through the with block neither ends nor spools anything."""
    agent = harness.agent()
    try:
        with agent.run() as run:
            child = os.fork()
            if child == 0:
                raise KeyboardInterrupt
            os.waitpid(child, 0)
            run.execute(works)
    except KeyboardInterrupt:
        os._exit(0)
    assert [e["kind"] for e in harness.events(agent)] == ["run", "action", "run"]


def test_failures_of_an_account_outlive_a_restart(harness: Harness) -> None:
    """Two failures before a restart and one after it are three in a row."""
    agent, ran = harness.agent(), []
    with agent.run() as run:
        fail(run, 2)
    with pytest.raises(AgentPauseRequired) as pause, agent.run() as run:
        run.execute(lambda: ran.append("after the restart"), name="other")
        fail(run)
        run.execute(lambda: ran.append("after the third"))
    assert pause.value.cause == "3 failures in a row, the limit is 3"
    assert ran == ["after the restart"]


def test_a_run_that_was_left_runs_nothing(harness: Harness) -> None:
    """What keeps a run beyond its block is refused, and nothing happens unrecorded."""
    ran: list[int] = []
    with harness.agent().run() as run:
        pass
    with pytest.raises(NoRun, match="is over"):
        run.execute(ran.append, 1)
    assert ran == []


def test_a_tool_needs_a_live_run(harness: Harness) -> None:
    """A tool called outside a run is refused; after a pause it raises the pause."""
    agent = harness.agent()

    @agent.tool
    def search(query: str) -> str:
        return query

    with pytest.raises(NoRun, match=r"inside `with agent\.run"):
        search("x")
    with agent.run():
        assert search("x") == "x"
    with pytest.raises(NoRun, match="is over"):
        search("x")
    with paused(), agent.run() as run:
        fail(run, 3)
    with paused():
        search("x")
