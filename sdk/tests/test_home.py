"""Laws of the home: one living process, safe names, a death that is noticed."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from sdk.tests.durable import RUN, begun, child, event
from sickbay._errors import AlreadyRunning, BadArgument
from sickbay._home import Home

HOLDER = """
import sys, os
from pathlib import Path
from sickbay._home import Home
home = Home.open("refund-desk", "main", Path(sys.argv[1]))
home.spool.begin(sys.argv[2], 1.0)
home.spool.append({"kind": "run", "at": 1.0, "name": "started"})
home.spool.mark("issue_refund")
if sys.argv[3] == "fork" and os.fork() == 0:
    os.write(1, b"%d\\n" % os.getpid())
    sys.stdin.read()
    os._exit(0)
os.write(1, b"open\\n")
sys.stdin.read()
"""


def test_a_second_process_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    """A living process keeps its identity to itself, and the sentence names it."""
    with child(HOLDER, str(tmp_path), RUN, "") as holder:
        assert holder.stdout and holder.stdout.readline() == "open\n"
        with pytest.raises(AlreadyRunning) as refused:
            Home.open("refund-desk", "main", tmp_path)
        assert str(refused.value) == (
            f"refund-desk is running here as pid {holder.pid}: "
            "give each worker its own instance=, or stop that one"
        )
        assert refused.value.pid == holder.pid
        holder.kill()
        holder.wait()
    Home.open("refund-desk", "main", tmp_path).close()


def test_another_instance_has_a_home_of_its_own(tmp_path: Path) -> None:
    """Two workers of a pool live side by side."""
    one, two = Home.open("refund-desk", "a", tmp_path), Home.open("refund-desk", "b", tmp_path)
    assert one.directory != two.directory
    one.close()
    two.close()


def test_the_same_process_is_refused_a_second_time_until_it_closes(tmp_path: Path) -> None:
    """Opening twice in one process is refused, too; closing gives the home back."""
    home = Home.open("refund-desk", "main", tmp_path)
    with pytest.raises(AlreadyRunning, match=f"{os.getpid()}, this very process: end that run first"):
        Home.open("refund-desk", "main", tmp_path)
    home.close()
    Home.open("refund-desk", "main", tmp_path).close()


def test_kill_9_leaves_a_vanished_run_and_what_it_was_doing(tmp_path: Path) -> None:
    """The next start knows which run died, and that an action was in flight."""
    with child(HOLDER, str(tmp_path), RUN, "") as holder:
        assert holder.stdout and holder.stdout.readline()
        holder.kill()
        holder.wait()
    home = Home.open("refund-desk", "main", tmp_path)
    assert home.vanished and (home.vanished.run, home.vanished.in_flight) == (RUN, "issue_refund")
    home.close()


def test_a_run_that_ended_is_not_vanished(tmp_path: Path) -> None:
    """An end that was said leaves nothing to report, and neither does a run that recorded nothing."""
    home = begun(tmp_path)
    home.spool.append(event())
    home.spool.end()
    home.spool.begin("f" * 32, 2.0)
    home.close()
    home = Home.open("refund-desk", "main", tmp_path)
    assert home.vanished is None
    home.close()


def test_a_death_is_not_forgotten_before_it_is_told(tmp_path: Path) -> None:
    """Until the next run has recorded something, the vanished one is still known."""
    home = begun(tmp_path)
    home.spool.append(event())
    home.close()
    for _ in range(2):
        home = begun(tmp_path, "f" * 32)
        assert home.vanished and home.vanished.run == RUN
        home.close()


def test_a_forked_child_does_not_hold_the_home_of_its_dead_parent(tmp_path: Path) -> None:
    """A child that outlives the process keeps no lock."""
    with child(HOLDER, str(tmp_path), RUN, "fork") as holder:
        assert holder.stdout
        said = {holder.stdout.readline().strip(), holder.stdout.readline().strip()} - {"open"}
        holder.kill()
        holder.wait()
        orphan = int(said.pop())
        try:
            Home.open("refund-desk", "main", tmp_path).close()
        finally:
            os.kill(orphan, signal.SIGKILL)


def test_a_lock_inherited_from_a_dead_holder_is_taken_over(tmp_path: Path) -> None:
    """A stray process that inherited the descriptor does not stand for the dead one."""
    code = HOLDER.replace("os.fork() == 0", "os.posix_spawn('/bin/sleep', ['sleep', '60'], os.environ) < 0")
    inherited = "os.set_inheritable(home._lock_fd, True)\nhome.spool.begin"
    with child(code.replace("home.spool.begin", inherited, 1), str(tmp_path), RUN, "fork") as holder:
        assert holder.stdout and holder.stdout.readline()
        stray = [int(p.name) for p in Path("/proc").glob("[0-9]*") if _parent(p) == holder.pid]
        holder.kill()
        holder.wait()
        try:
            Home.open("refund-desk", "main", tmp_path).close()
        finally:
            for pid in stray:
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("name", ["", "Refund", "../up", "a/b", ".hidden", "a" * 64, "café", "a\n", "a\0"])
def test_names_that_are_no_safe_directories_are_refused(tmp_path: Path, name: str) -> None:
    """A name can never leave SICKBAY_HOME, and the sentence says how one looks."""
    with pytest.raises(BadArgument, match="refund-desk"):
        Home.open(name, "main", tmp_path)
    if name != "Refund":
        with pytest.raises(BadArgument, match="refund-desk"):
            Home.open("agent", name, tmp_path)


def test_a_home_that_cannot_be_made_says_what_to_set(tmp_path: Path) -> None:
    """An unusable SICKBAY_HOME is a sentence at the start, not a surprise later."""
    (tmp_path / "file").write_text("")
    with pytest.raises(BadArgument, match="SICKBAY_HOME"):
        Home.open("refund-desk", "main", tmp_path / "file")


def test_a_forked_child_writes_neither_state_nor_spool(tmp_path: Path) -> None:
    """What the child believes never overwrites what the parent knows; an effect is recorded all the same."""
    home = begun(tmp_path)
    home.state.data.epoch = 7
    assert home.state.save() and not home.is_forked
    pid = os.fork()
    if pid == 0:
        home.state.data.epoch = 8
        refused = home.is_forked and not home.state.save() and home.spool.append(event()) == [0]
        home.effects.intend("refund", "refund:17", {}, "child-1")
        home.close()
        os._exit(0 if refused else 1)
    assert os.waitpid(pid, 0)[1] == 0
    home.close()
    home = Home.open("refund-desk", "main", tmp_path)
    assert home.state.data.epoch == 7 and [effect.id for effect in home.effects.open()] == ["child-1"]
    home.close()


def test_a_home_opens_on_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    """No byte can be written: the agent starts, its events are counted as dropped, nothing is raised."""
    (tmp_path / "refund-desk" / "main" / "spool").mkdir(parents=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        home = begun(tmp_path)
        assert home.spool.append(event(), sync=True) == [1] and home.state.save() is False
        home.spool.mark("issue_refund")
        assert home.effects.intend("refund", "k", {}, "run-1") is not None
        assert home.page.dropped == 1
        home.spool.end()
        home.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return 0
