"""`sickbay bisect`: a check of one's own runs here against checkpoints there, and few of them are read."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.models import AuditEntry, Project
from checkpoints import bisecting
from checkpoints.models import Checkpoint
from sdk.tests.command import Shell
from sickbay import _bisect
from tests.pages import states

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "sk-live-0123456789abcdefghij"


def took(project: Project, count: int, bad: int) -> list[Checkpoint]:
    keeper = states.make_keeper(project)
    made = []
    for n in range(count):
        memory = {"rates": {"scale": 100 if n < bad else 10}, "api_key": SECRET, "n": n}
        files = {b"notes.md": b"order 4711" if n < bad else b"tidied", b"x.bin": b"\0"}
        made.append(keeper.take(memory, files, label=f"step {n}"))
    return made


def check(path: Path, body: str) -> str:
    file = path / "check.py"
    file.write_text(f"def check(memory, workspace):\n    {body}\n")
    return str(file)


def test_the_first_bad_one_is_found_as_git_says_it(shell: Shell, project: Project, tmp_path: Path) -> None:
    """By memory and by file, in log n looks; the exit code says so, and what to look at next."""
    made = took(project, 12, bad=7)
    for body in ('return memory["rates"]["scale"] == 100', 'return b"4711" in workspace["notes.md"]'):
        done = shell.run("bisect", "refund-desk", "--check", check(tmp_path, body))
        assert done.returncode == 0, done
        assert f"{made[7].pk} is the first bad checkpoint\n" in done.stdout
        assert done.stdout.startswith("Bisecting refund-desk by ")
        assert "12 checkpoints, of which about 5 are read\n" in done.stdout
        assert f"Last good: {made[6].pk.hex[:9]} of " in done.stdout and " of 12 checkpoints\n" in done.stdout
        assert f"sickbay diff {made[6].pk.hex[:9]} {made[7].pk.hex[:9]}\n" in done.stdout
        assert f"sickbay rollback refund-desk {made[6].pk.hex[:9]}\n" in done.stdout
        assert done.stdout.count(" good ") + done.stdout.count(" bad  ") <= 6
    assert (
        "secrets are masked"
        in shell.run(
            "bisect", "refund-desk", "--check", check(tmp_path, 'return "sk-live" in memory["api_key"]')
        ).stderr
    )
    assert not AuditEntry.objects.filter(verb="reveal secret").exists()
    body = f'return memory["api_key"] == "{SECRET}" and memory["n"] < 3 and len(workspace) == 2'
    done = shell.run("bisect", "refund-desk", "--check", check(tmp_path, body), "--reveal")
    assert (
        f"{made[3].pk} is the first bad" in done.stdout
        and AuditEntry.objects.filter(verb="reveal secret").exists()
    )


def test_what_cannot_be_found_is_said(shell: Shell, project: Project, tmp_path: Path) -> None:
    """The newest passes, the oldest fails, nothing can be judged, and where the line does not lead."""
    made = took(project, 5, bad=2)
    words = ("bisect", "refund-desk", "--check")
    done = shell.run(*words, check(tmp_path, "return True"))
    assert done.returncode == 1 and "The newest one passes: " in done.stdout
    assert f"{made[4].pk.hex[:9]} of " in done.stdout and "Read: 1 of 5 checkpoints." in done.stdout
    done = shell.run(*words, check(tmp_path, "return False"))
    assert done.returncode == 1 and "The oldest one fails already" in done.stdout
    done = shell.run(
        *words, check(tmp_path, 'return memory["rates"]["scale"] == 100'), "--bad", made[1].pk.hex
    )
    assert done.returncode == 1 and "The newest one passes" in done.stdout
    done = shell.run(
        *words, check(tmp_path, "return True"), "--bad", made[1].pk.hex, "--good", made[3].pk.hex
    )
    assert done.returncode == 128 and "does not descend from" in done.stderr
    done = shell.run(*words, check(tmp_path, "return None"))
    assert done.returncode == 128 and "cannot be judged" in done.stderr
    done = shell.run(*words, check(tmp_path, 'return None if memory["n"] == 2 else memory["n"] < 2'))
    assert done.returncode == 0 and "that could not be judged" in done.stdout


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('return memory["nothing"]', "check() raised KeyError"), ("return 1", "must return True, False"),
        ("return workspace", "it must return"), ("return )", "cannot be run: SyntaxError"),
        ('return workspace["x.bin"]', "say --reveal"), ('return workspace["none"]', "raised KeyError"),
        ('return workspace["../etc"]', "is no path"), ('raise ValueError("\\x1b[2J")', "ValueError"),
    ],
)  # fmt: skip
def test_a_broken_check_is_named(
    shell: Shell, project: Project, tmp_path: Path, body: str, said: str
) -> None:
    """In one line, without a trace, and nothing of it reaches the terminal as a command."""
    took(project, 3, bad=1)
    done = shell.run("bisect", "refund-desk", "--check", check(tmp_path, body))
    assert done.returncode == 128 and done.stderr.startswith("fatal: ") and said in done.stderr, done
    assert "\x1b" not in done.stderr and "Traceback" not in done.stderr


def test_what_is_missing_is_said(shell: Shell, project: Project, tmp_path: Path) -> None:
    """A file, a function, an agent, its checkpoints."""
    empty = tmp_path / "empty.py"
    empty.write_text("")
    states.make_keeper(project)
    for words, said in (
        (("refund-desk", "--check", "none.py"), "cannot be read"),
        (("refund-desk", "--check", str(empty)), "defines no check"),
        (("refund", "--check", check(tmp_path, "return True")), "there is refund-desk"),
        (("refund-desk", "--check", check(tmp_path, "return True")), "has no checkpoint yet"),
    ):
        done = shell.run("bisect", *words)
        assert done.returncode == 128 and said in done.stderr, done


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from([True, False, None]), max_size=40))
def test_both_ends_halve_alike(said: list[bool | None]) -> None:
    """The SDK's rule and the server's find the same in the same looks."""
    one, other = (
        _bisect.first_bad(len(said), said.__getitem__),
        bisecting.first_bad(len(said), said.__getitem__),
    )
    assert (one.ends, one.good, one.bad, one.looks) == (other.ends, other.good, other.bad, other.looks)
