"""`sickbay log`, `diff` and `show` against the real web server, into pipes and on terminals."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from agents.models import AuditEntry, Project
from sdk.tests.command import SICKBAY, Shell
from sickbay.tree.directory import Entry
from tests.builders import make_token
from tests.pages import states

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = "sk-live-0123456789abcdefghij"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egnp.exe\u200b\r"
COLOURED = re.compile(r"\x1b\[[0-9;]*m")


def test_a_log_reads_like_gits(shell: Shell, project: Project) -> None:
    """Newest first: id, standing, label, date; a line each; the branch that a rollback left is drawn."""
    _, good, now = states.make_story(project)
    long = shell.out("log", "refund-desk")
    assert long.startswith(f"checkpoint {now.pk} (suspect)\n") and "    before the pause\n" in long
    assert f"checkpoint {good.pk} (good, verified, last known good)\n" in long
    assert f"Parent: {good.pk.hex[:9]} (a branch begins there)\n" in long
    lines = shell.out("log", "refund-desk", "--oneline", "--graph").splitlines()
    assert [line[:4].rstrip() for line in lines[2:5]] == ["| *", "|/", f"* {good.pk.hex[:2]}"]
    assert lines[0] == f"* {now.pk.hex[:9]} (suspect) before the pause"
    assert len(shell.out("log", "refund-desk", "--oneline", "-n", "2").splitlines()) == 2
    assert shell.out("log", "refund-desk", "--until", "2h") == ""
    timeline = shell.out("log", "refund-desk", "--timeline", "--oneline", "--since", "1h").splitlines()
    assert len(timeline) == 5 and timeline[0].endswith("suspect Checkpoint “before the pause”")


def test_a_diff_reads_like_gits(shell: Shell, project: Project) -> None:
    """Values by their place, files by their lines; exit codes, names and sums as git has them."""
    _, good, now = states.make_story(project)
    whole = shell.out("diff", str(good.pk)[:8], now.pk.hex[:10])
    for line in (
        '  - messages.3 {"role": "user"', "  ! rates.amount_scale 100 → 10", "--- a/policies/refund-rules.md",
        "-Payments takes cents.", "+Payments takes scaled euros.", "rename to drafts/moved.md",
        "Binary files a/invoices/8852.pdf and b/invoices/8852.pdf differ",
    ):  # fmt: skip
        assert f"\n{line}" in whole, line
    assert shell.out("diff", "refund-desk@good") == whole == shell.out("diff", f"{good.pk}..{now.pk}")
    assert shell.run("diff", "refund-desk@good", "--exit-code", "--stat").returncode == 1
    assert shell.run("diff", "refund-desk", "refund-desk", "-q").returncode == 0
    names = shell.out("diff", "refund-desk@good", "--name-only", "--", "policies", "memory:rates")
    assert names.split() == [
        "memory:rates.amount_scale", "memory:rates.fee", "drafts/moved.md", "policies/refund-rules.md"
    ]  # fmt: skip
    stat = shell.out("diff", "refund-desk@good", "--stat")
    assert " 5 files changed, 5 insertions(+), 4 deletions(-)\n" in stat and "| Bin 23.0 KB" in stat
    assert "policies" not in shell.out("diff", "refund-desk@good", "--memory")


def test_git_applies_a_diff(shell: Shell, project: Project, tmp_path: Path) -> None:
    """What one checkpoint changed can be put into another place by the usual tool."""
    keeper = states.make_keeper(project)
    old = {b"a.txt": b"one\r\ntwo\n\tthree", b"gone": b"x\n", b"d": {b"b c": b"1\n2\n3\n"}}
    new = {b"a.txt": b"one\r\n2\n\tthree\n", b"d": {b"b c": b"1\n2\n3\n"}, b"e\xc3\xa4": b"new"}
    keeper.take({"n": 1}, old)
    keeper.take({"n": 2}, new)
    for name, data in (("a.txt", old[b"a.txt"]), ("gone", b"x\n")):
        (tmp_path / name).write_bytes(data)
    patch = shell.raw("diff", "refund-desk^", "refund-desk").stdout
    subprocess.run(["git", "apply", "-"], cwd=tmp_path, input=patch, check=True)
    assert (tmp_path / "a.txt").read_bytes() == new[b"a.txt"]
    assert not (tmp_path / "gone").exists() and (tmp_path / "eä").read_text() == "new"


def test_a_part_of_a_checkpoint_goes_to_a_pipe_as_it_is(shell: Shell, project: Project) -> None:
    """Files byte by byte, values as JSON; what no reader of the screen may see is masked and said."""
    keeper = states.make_keeper(project)
    pdf = b"%PDF\0" + bytes(range(256))
    files = {b".env": f"A={SECRET}\n".encode(), b"x.pdf": pdf}
    keeper.take({"api_key": SECRET, "a": [1, {"b": -0.0}]}, files)
    assert shell.out("show", "refund-desk", "memory:a.1") == '{"b":-0.0}\n'
    done = shell.run("show", "refund-desk", ".env")
    assert SECRET not in done.stdout and "masked" in done.stderr and done.returncode == 0
    assert SECRET not in shell.run("show", "refund-desk", "memory:").stdout
    assert shell.run("show", "refund-desk", "x.pdf").returncode == 128
    assert not AuditEntry.objects.filter(verb="reveal secret").exists()
    assert shell.raw("show", "refund-desk", "x.pdf", "--reveal").stdout == pdf
    assert shell.out("show", "refund-desk", ".env", "--reveal") == f"A={SECRET}\n"
    assert AuditEntry.objects.filter(verb="reveal secret").count() == 2
    assert "Workspace:   2 files" in shell.out("show", "refund-desk")


def test_a_terminal_gets_colour_and_no_bytes(shell: Shell, project: Project) -> None:
    """What is no text is refused there; NO_COLOR and a pipe have no colour."""
    states.make_keeper(project).take({"n": 1}, {b"x.pdf": b"%PDF\0\x1b[2J", b"a.txt": b"text\n"})
    with shell.terminal("show", "refund-desk", "x.pdf", "--reveal") as terminal:
        code, seen = terminal.ends()
        assert code == 128 and "is no text" in seen and "\x1b" not in seen
    with shell.terminal("log", "refund-desk", "--oneline") as terminal:
        code, seen = terminal.ends()
        assert code == 0 and len(COLOURED.findall(seen)) >= 4
    with shell.terminal("log", "refund-desk", "--oneline", NO_COLOR="1") as terminal:
        assert "\x1b" not in terminal.ends()[1]
    assert "\x1b" not in shell.out("log", "refund-desk")
    assert "\x1b" in shell.out("log", "refund-desk", "--color", "always")


def test_hostile_text_reaches_no_terminal(shell: Shell, project: Project) -> None:
    """In labels, keys, values, names of files, their lines and links: each character is seen, none obeyed."""
    keeper = states.make_keeper(project)
    keeper.take({"n": 1}, {b"f": b"plain\n"})
    name = HOSTILE.encode()
    files = {b"f": b"plain\n" + name + b"\n", name: b"1\n", b"l": Entry(b"", 2, body=name)}
    keeper.take({"n": 2, HOSTILE: HOSTILE, "t": f"a\n{HOSTILE}"}, files, label="evil " + HOSTILE)
    for words in (
        ["log", "refund-desk"], ["log", "refund-desk", "--oneline"], ["log", "refund-desk", "--timeline"],
        ["diff", "refund-desk^", "refund-desk"], ["diff", "refund-desk^", "--stat"],
        ["diff", "refund-desk^", "--name-only"], ["show", "refund-desk"], ["show", "refund-desk", "."],
        ["show", "refund-desk^", "memory:" + HOSTILE.rstrip()], ["log", HOSTILE], ["show", HOSTILE],
        [HOSTILE],
    ):  # fmt: skip
        done = shell.run(*words)
        said = done.stdout + done.stderr
        assert not set("\x1b\x07\u202e\u200b") & set(said), (words, said)
        assert "\r" not in said.replace("\r\n", "\n"), words
    with shell.terminal("show", "refund-desk", "f") as terminal:
        assert "\x1b" not in terminal.ends()[1]


def test_a_pager_reads_and_may_leave(shell: Shell, project: Project, tmp_path: Path) -> None:
    """It gets what is printed on a terminal alone; when it ends early, so does the command, in silence."""
    keeper = states.make_keeper(project)
    for n in range(30):
        keeper.take({"n": n}, label=f"number {n}")
    kept = tmp_path / "kept"
    with shell.terminal("log", "refund-desk", SICKBAY_PAGER=f"cat > {kept}") as terminal:
        assert terminal.ends()[0] == 0
    assert "number 29" in kept.read_text() and "number 0" in kept.read_text()
    with shell.terminal("log", "refund-desk", SICKBAY_PAGER="head -n 1") as terminal:
        code, seen = terminal.ends()
        assert code == 0 and "number" not in seen and "Broken" not in seen and "Traceback" not in seen
    with shell.terminal("log", "refund-desk", SICKBAY_PAGER="no-such-pager-here") as terminal:
        assert "number 29" in terminal.ends()[1]


def test_a_broken_pipe_is_quiet(shell: Shell, project: Project) -> None:
    """`sickbay log | head` says nothing else."""
    keeper = states.make_keeper(project)
    for n in range(120):
        keeper.take({"n": n}, label="x" * 150)
    command = " ".join([*SICKBAY, "log", "refund-desk", "|", "head", "-n", "1"])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], env=shell._env({}), capture_output=True, text=True
    )
    assert len(done.stdout.splitlines()) == 1 and not done.stderr and done.returncode in (0, 141)


def test_what_cannot_be_answered_is_a_sentence(shell: Shell, project: Project) -> None:
    """128 and one line that says what to do; no traceback, whatever is wrong."""
    keeper = states.make_keeper(project)
    keeper.take({"n": 1})
    agents = make_token(project, "agent")
    for env, words, said in (
        ({}, ["log", "refund-desc"], "there is refund-desk"),
        ({}, ["show", "ffffffff"], "no checkpoint begins so"),
        ({}, ["show", "refund-desk^"], "is the first one"),
        ({}, ["show", "refund-desk@x"], "names no checkpoint"),
        ({}, ["show", "refund-desk", "none.txt"], "This checkpoint has no workspace."),
        ({}, ["log", "refund-desk", "--since", "soon"], "is no time"),
        ({"SICKBAY_OPERATOR_TOKEN": agents}, ["log", "refund-desk"], "this is an agent's token"),
        ({"SICKBAY_OPERATOR_TOKEN": "", "SICKBAY_TOKEN": agents}, ["log", "x"], "this is an agent's token"),
        ({"SICKBAY_OPERATOR_TOKEN": "sb_x_y"}, ["log", "refund-desk"], "no such token"),
        ({"SICKBAY_OPERATOR_TOKEN": ""}, ["log", "refund-desk"], "SICKBAY_OPERATOR_TOKEN"),
        ({"SICKBAY_URL": ""}, ["log", "refund-desk"], "SICKBAY_URL"),
        ({"SICKBAY_URL": "http://127.0.0.1:9"}, ["log", "refund-desk"], "does not answer"),
    ):  # fmt: skip
        done = shell.run(*words, **env)
        assert done.returncode == 128 and said in done.stderr, (words, done)
        assert done.stderr.startswith("fatal: ") and len(done.stderr.splitlines()) == 1


def test_ids_are_as_short_as_they_are_unique(shell: Shell, project: Project) -> None:
    """An ambiguous beginning names its candidates."""
    keeper = states.make_keeper(project)
    for n, id in enumerate(("aaaa1111" + "0" * 24, "aaaa2222" + "0" * 24)):
        keeper.take({"n": n}, id=id, label=id[:8])
    assert "aaaa2222" in shell.out("show", "aaaa2")
    done = shell.run("show", "aaaa")
    assert done.returncode == 128 and "aaaa1111" in done.stderr and "aaaa2222" in done.stderr
    assert os.environ.get("SICKBAY_OPERATOR_TOKEN") is None
