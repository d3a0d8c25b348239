"""Commands that ask the database when nothing runs."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.product import MANAGE, OWN_SERVERS
from tests.waiting import slowness

COMMANDS = [["token", "--scope", "agent"], ["signin"], ["project", "x"], ["audit", "verify"]]


def said(command: list[str], data: Path, **more: str) -> str:
    env = {**os.environ, **OWN_SERVERS, **more}
    began = time.monotonic()
    run = [*MANAGE, *command, "--data", str(data)]
    done = subprocess.run(run, env=env, capture_output=True, text=True, timeout=60)
    assert time.monotonic() - began < 4 * slowness()
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.strip()


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_nothing_runs_is_one_sentence(tmp_path: Path, command: list[str]) -> None:
    """It fails at once, names the directory, and says what to do."""
    sentence = said(command, tmp_path)
    assert sentence.startswith(f"CommandError: Nothing runs on {tmp_path}: ")
    assert "--data DIR" in sentence and "\n" not in sentence


def test_what_ran_once_is_not_waited_for(tmp_path: Path) -> None:
    """The note of servers that have ended is no reason to try for half a minute."""
    gone = {"database_url": f"postgresql://a:b@/c?host={tmp_path}", "redis_url": "redis://127.0.0.1:1/0"}
    (tmp_path / "servers.json").write_text(json.dumps(gone))
    assert "Nothing runs on" in said(COMMANDS[0], tmp_path)


def test_a_database_of_ones_own_is_named(tmp_path: Path) -> None:
    """With SICKBAY_DATABASE_URL the sentence names that setting."""
    sentence = said(COMMANDS[0], tmp_path, SICKBAY_DATABASE_URL="postgresql://a:b@127.0.0.1:1/c")
    assert sentence.startswith("CommandError: The database that SICKBAY_DATABASE_URL names does not answer")
