"""Laws of `sickbay watch`, without a server: real programs, real signals, real deaths."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sdk.tests import durable
from sdk.tests.command import SICKBAY, Shell
from sickbay.testing import spooled

SLEEPS = "import time; time.sleep(600)"


def until(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Processes take their time to start."""
    return durable.until(condition, seconds)


@dataclass
class Ground:
    """A home, a workspace, and watches that end with the test."""

    base: Path

    @property
    def work(self) -> Path:
        return self.base / "work"

    @property
    def shell(self) -> Shell:
        gone = {"SICKBAY_URL": "", "SICKBAY_TOKEN": "", "SICKBAY_GUIDANCE": ""}
        return Shell({**gone, "SICKBAY_HOME": str(self.base / "home")})

    def words(self, code: str, *options: str) -> list[str]:
        return ["watch", "bot", "--workspace", str(self.work), *options, "--", sys.executable, "-c", code]

    def run(self, code: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        return self.shell.raw(*self.words(code, *options))

    @contextlib.contextmanager
    def running(self, code: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
        """A watch with pipes, killed at the end with what it may have left."""
        process = subprocess.Popen(
            [*SICKBAY, *self.words(code, *options)],
            env=self.shell._env({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def told(self, file: str) -> str:
        """What the program wrote into its workspace."""
        path = self.work / file
        return path.read_text() if path.exists() else ""

    def events(self, kind: str) -> list[dict[str, Any]]:
        if not (self.base / "home" / "bot").exists():
            return []
        return [event for event in spooled(self.base / "home", "bot") if event["kind"] == kind]

    def checkpoints(self) -> list[dict[str, Any]]:
        """The shelf's lines."""
        index = self.base / "home/bot/main/checkpoints/index.ndjson"
        return [json.loads(line) for line in index.read_text().splitlines()] if index.exists() else []


@pytest.fixture
def ground(tmp_path: Path) -> Ground:
    return Ground(tmp_path)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has buried yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_a_program_that_ends_well_is_not_started_again(ground: Ground) -> None:
    """Its exit code and every byte of its output are the watch's; one action, one run, no word of ours."""
    code = f"""
import os
os.write(1, bytes(range(256)) * 500)
os.write(2, b"\\xff\\n")
open({str(ground.work / "ran")!r}, "a").write("x")
"""
    done = ground.run(code)
    assert (done.returncode, done.stdout, done.stderr) == (0, bytes(range(256)) * 500, b"\xff\n")
    assert ground.told("ran") == "x"
    assert [event["outcome"] for event in ground.events("action")] == ["ok"]
    assert [event["name"] for event in ground.events("run")] == ["started", "finished"]


def test_a_crash_counts_and_the_third_pauses(ground: Ground) -> None:
    """Each is a failure of the kind crash, with the last lines, masked; the program is not started again."""
    code = f"""
import sys
open({str(ground.work / "starts")!r}, "a").write("x")
print("line\\n" * 500 + "password=hunter2hunter2 went wrong", file=sys.stderr)
sys.exit(3)
"""
    with ground.running(code) as watch:
        until(lambda: ground.events("pause"))
        failures = ground.events("failure")
        assert [f["failure"] for f in failures] == ["crash"] * 3 and ground.told("starts") == "xxx"
        assert failures[0]["message"].startswith("exit code 3: password=") and "hunter2" not in str(failures)
        action = ground.events("action")[0]
        assert action["output"]["ended"] == "exit code 3" and len(action["output"]["last_lines"]) == 20
        watch.terminate()
        _, err = watch.communicate(timeout=30)
        assert watch.returncode == 0 and b"is paused: 3 failures in a row" in err
    labels = [one.get("label") for one in ground.checkpoints()]
    assert "after exit code 3" in labels
    with ground.running(code) as again:  # the pause holds over a restart, and nothing has run
        until(lambda: b"is paused" in (again.stderr.readline() if again.stderr else b""))
        assert ground.told("starts") == "xxx"


def test_a_death_by_a_signal_is_a_crash(ground: Ground) -> None:
    """And it is said which."""
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    with ground.running(code):
        (first, *_) = until(lambda: ground.events("failure"))
        assert first["failure"] == "crash" and first["message"] == "SIGSEGV"


def test_a_signal_reaches_the_program_and_all_that_it_started(ground: Ground) -> None:
    """SIGTERM ends it in its own way, that is no failure, and nothing is left; a stubborn one is killed."""
    code = f"""
import signal, subprocess, sys, time
def leave(*_):
    open({str(ground.work / "left")!r}, "w").write("bye")
    sys.exit(0)
signal.signal(signal.SIGTERM, leave)
stubborn = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"
other = subprocess.Popen([sys.executable, "-c", stubborn])
open({str(ground.work / "pids")!r}, "w").write(str(other.pid))
time.sleep(600)
"""
    with ground.running(code, "--stop-timeout", "2") as watch:
        pid = int(until(lambda: ground.told("pids")))
        watch.terminate()
        assert watch.wait(30) == 0
    assert ground.told("left") == "bye" and not is_alive(pid)
    assert not ground.events("failure")
    assert [event["outcome"] for event in ground.events("action")] == ["interrupted"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere what left the group is on its own")
def test_kill_9_of_the_watch_leaves_nothing(ground: Ground) -> None:
    """The program, what it started, and what left its session: all gone; the next start goes on."""
    code = f"""
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
run = [sys.executable, "-c", {SLEEPS!r}]
here, away = subprocess.Popen(run), subprocess.Popen(run, start_new_session=True)
open({str(ground.work / "pids")!r}, "w").write(f"{{os.getpid()}} {{here.pid}} {{away.pid}} ")
time.sleep(600)
"""
    with ground.running(code, "--stop-timeout", "1") as watch:
        pids = [int(pid) for pid in until(lambda: ground.told("pids")).split()]
        assert all(map(is_alive, pids))
        watch.kill()
        until(lambda: not any(map(is_alive, pids)))
    done = ground.run("print('again')")
    assert (done.returncode, done.stdout) == (0, b"again\n")
    assert [event["name"] for event in ground.events("run")][-3:] == ["vanished", "started", "finished"]


@pytest.mark.skipif(sys.platform != "linux", reason="the death signal is Linux's")
def test_kill_9_of_the_leash_is_a_crash_like_any_other(ground: Ground) -> None:
    """The program dies with it and is started again."""
    code = f"""
import os, time
open({str(ground.work / "pids")!r}, "a").write(f"{{os.getppid()}} {{os.getpid()}}\\n")
time.sleep(600)
"""
    with ground.running(code):
        leash, program = map(int, until(lambda: ground.told("pids")).split())
        os.kill(leash, signal.SIGKILL)
        until(lambda: len(ground.told("pids").splitlines()) == 2)
        assert not is_alive(program) and ground.events("failure")[0]["failure"] == "crash"


def test_a_long_life_ends_a_row_of_crashes(ground: Ground) -> None:
    """Four crashes, each after a life that was long enough, are no three in a row."""
    code = f"""
import sys, time
open({str(ground.work / "starts")!r}, "a").write("x")
time.sleep(1.0)
sys.exit(1)
"""
    with ground.running(code, "--healthy-after", "0.2"):
        until(lambda: len(ground.events("failure")) >= 4, 60)
        assert not ground.events("pause")
        assert [f["consecutive"] for f in ground.events("failure")] == [1, 1, 1, 1]


def test_a_paused_watch_starts_nothing(ground: Ground) -> None:
    """Not for a moment: the action is begun before the program is."""
    with ground.running("import sys; sys.exit(1)", "--max-consecutive", "1"):
        until(lambda: ground.events("pause"))
    with ground.running(f"open({str(ground.work / 'ran')!r}, 'w')", "--max-consecutive", "1") as again:
        assert again.stderr is not None
        until(lambda: b"is paused" in again.stderr.readline())
        assert not (ground.work / "ran").exists()


def test_what_a_program_leaves_behind_is_ended(ground: Ground) -> None:
    """Exit code 0 is the end of all of it."""
    code = f"""
import subprocess, sys
left = subprocess.Popen([sys.executable, "-c", {SLEEPS!r}])
open({str(ground.work / "pids")!r}, "w").write(str(left.pid))
"""
    assert ground.run(code).returncode == 0
    assert not is_alive(int(ground.told("pids")))


def test_on_a_terminal_the_program_has_one(ground: Ground) -> None:
    """Of the same size; what it writes arrives as it is; Ctrl-C interrupts it, and the exit code is 130."""
    code = """
import os, sys, time
lines = os.get_terminal_size(1).lines
try:
    print(sys.stdout.isatty(), sys.stderr.isatty(), lines, "\\x1b[1mbold\\x1b[m", flush=True)
    time.sleep(600)
except KeyboardInterrupt:
    print("interrupted, so", flush=True)
"""
    with ground.shell.terminal(*ground.words(code)) as terminal:
        seen = terminal.reads("bold\x1b[m")
        assert "True True 33 \x1b[1mbold" in seen and "\r\r" not in seen
        terminal.type("\x03")
        code_, seen = terminal.ends()
        assert code_ == 130 and "interrupted, so" in seen and "Traceback" not in seen
    assert not ground.events("failure")


def test_a_pipe_is_a_pipe(ground: Ground) -> None:
    """And a reader who has gone away does not hold the program up."""
    code = f"""
import sys
assert not sys.stdout.isatty()
for _ in range(20_000):
    sys.stdout.write("x" * 100 + "\\n")
open({str(ground.work / "done")!r}, "w").write("done")
"""
    with ground.running(code) as watch:
        assert watch.stdout is not None
        watch.stdout.close()
        until(lambda: ground.told("done"))
        watch.stdout = None
        assert watch.wait(30) == 0


def test_silence_is_a_failure(ground: Ground) -> None:
    """No output and no changed file; either is a sign of life."""
    with ground.running(SLEEPS, "--silent-after", "0.5"):
        (first, *_) = until(lambda: ground.events("failure"))
        assert first["failure"] == "silence" and "no output" in first["message"]
        assert until(lambda: ground.events("pause"))


def test_signs_of_life_are_no_silence(ground: Ground) -> None:
    """Files alone, and output alone, are enough."""
    code = f"""
import pathlib, time
for n in range(30):
    print(n, flush=True) if n % 2 else pathlib.Path({str(ground.work / "f")!r}).write_text(str(n))
    time.sleep(0.1)
"""
    assert ground.run(code, "--silent-after", "1.5").returncode == 0 and not ground.events("failure")


def test_a_silent_program_is_started_again_on_demand(ground: Ground) -> None:
    """It is stopped, that counts once, and it begins anew."""
    code = f"import time; open({str(ground.work / 'starts')!r}, 'a').write('x'); time.sleep(600)"
    with ground.running(code, "--silent-after", "0.5", "--restart-when-silent"):
        until(lambda: ground.told("starts") == "xx")
        assert [f["failure"] for f in ground.events("failure")] == ["silence"]


def test_forever_means_after_exit_code_0_too(ground: Ground) -> None:
    """No failure, a checkpoint of what it left, and again."""
    code = f"open({str(ground.work / 'starts')!r}, 'a').write('x')"
    with ground.running(code, "--forever"):
        until(lambda: len(ground.told("starts")) >= 2)
        until(lambda: "after exit code 0" in [one.get("label") for one in ground.checkpoints()])
    assert not ground.events("failure")


def test_the_workspace_is_checkpointed_while_it_lives(ground: Ground) -> None:
    """At the start, when something changed, not when nothing did, and at the end."""
    code = f"""
import pathlib, time
work = pathlib.Path({str(ground.work)!r})
(work / "a").write_text("1")
while not (work / "go").exists():
    time.sleep(0.05)
"""
    with ground.running(code, "--checkpoint-every", "0.3") as watch:
        until(lambda: [one["why"] for one in ground.checkpoints()] == ["start", "asked"])
        (ground.work / "go").write_text("")
        assert watch.wait(30) == 0
    assert [one["why"] for one in ground.checkpoints()][-1] == "end"


@pytest.mark.parametrize(("command", "code"), [("no-such-program-here", 127), (str(Path(__file__)), 126)])
def test_what_cannot_be_started_is_no_failure(ground: Ground, command: str, code: int) -> None:
    """A shell's exit code and a sentence; nothing is counted."""
    done = ground.shell.run("watch", "bot", "--", command)
    assert done.returncode == code and done.stderr.startswith("fatal: ") and "Traceback" not in done.stderr
    assert not ground.events("failure")


def test_a_secret_argument_is_not_recorded(ground: Ground) -> None:
    """What stands behind --token stays here."""
    done = ground.shell.run(
        "watch", "bot", "--", sys.executable, "-c", "", "--token", "hunter2hunter2", "--x=1"
    )
    assert done.returncode == 0, done
    (action,) = ground.events("action")
    assert "hunter2" not in str(action) and "--x=1" in action["title"]


def test_a_check_proves_or_fails(ground: Ground) -> None:
    """Exit code 0 of --check makes a checkpoint good, 1 is a failure."""
    code = f"import time; open({str(ground.work / 'state')!r}, 'w').write('bad'); time.sleep(600)"
    check = "test ! -e state || grep -q good state"
    with ground.running(code, "--checkpoint-every", "0.2", "--check", check):
        (first, *_) = until(lambda: ground.events("failure"))
        assert first["name"] == "check" and first["failure"] == "verification"


def test_a_watch_that_heals_goes_back_by_itself(ground: Ground) -> None:
    """The second crash in a row puts the files back to the last known good checkpoint, and it goes on."""
    rates = ground.work / "rates"
    code = f"""
import pathlib, sys, time
rates = pathlib.Path({str(rates)!r})
while rates.read_text() == "right":
    time.sleep(0.05)
sys.exit(1)
"""
    ground.work.mkdir()
    rates.write_text("right")
    with ground.running(code, "--heal", "--check", "grep -q right rates"):
        until(lambda: [one["standing"] for one in ground.checkpoints()] == ["good"])
        rates.write_text("wrong")
        until(lambda: rates.read_text() == "right")
        crashes = [event for event in ground.events("failure") if event["failure"] == "crash"]
        assert len(crashes) <= 2 and not ground.events("pause")


def test_two_watches_of_one_name_are_refused(ground: Ground) -> None:
    """The second says who runs it, and starts nothing."""
    with ground.running(f"open({str(ground.work / 'up')!r}, 'w').write('x'); {SLEEPS}"):
        until(lambda: ground.told("up"))
        done = ground.run("print('never')")
        assert done.returncode == 128 and not done.stdout and b"is running here as pid" in done.stderr


def test_a_watch_without_a_command_is_a_wrong_call(ground: Ground) -> None:
    """And so are times that are none."""
    assert ground.shell.run("watch", "bot").returncode == 128
    assert ground.shell.run("watch", "bot", "--silent-after", "soon", "--", "true").returncode == 2
    assert ground.shell.run("watch", "Bad Name", "--", "true").returncode == 128
