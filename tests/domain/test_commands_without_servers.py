"""Commands that ask the database when nothing runs."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from argparse import Namespace
from pathlib import Path

import pytest

from dashboard.embedded.up import answers_to
from tests.product import MANAGE, OWN_SERVERS
from tests.waiting import slowness

COMMANDS = [
    ["token", "--scope", "agent"],
    ["signin"],
    ["project", "x"],
    ["audit", "verify"],
    ["invite", "dora@example.com", "--role", "viewer"],
    ["verify"],
    ["retain"],
    ["prepare"],
]


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


def refused(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **OWN_SERVERS, **more}
    return subprocess.run([*MANAGE, *command], env=env, capture_output=True, text=True, timeout=60)


def test_a_misspelt_directory_is_not_made(tmp_path: Path) -> None:
    """A command that asks leaves nothing behind where nothing was."""
    done = refused("token", "--scope", "agent", "--data", str(tmp_path / "typo"))
    assert done.returncode == 1 and done.stderr.startswith("There is no data directory ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["up", "prepare", "token"])
def test_data_that_is_a_file_is_one_sentence(tmp_path: Path, command: str) -> None:
    """A file in the directory's place is named, without a traceback."""
    (tmp_path / "file").write_text("")
    scope = ["--scope", "agent"] if command == "token" else []
    done = refused(command, *scope, "--data", str(tmp_path / "file"))
    assert done.returncode in (1, 2) and done.stderr.count("\n") == 1
    assert str(tmp_path / "file") in done.stderr and "--data DIR" in done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SICKBAY_SMTP_URL", "mail.example.com"),
        ("SICKBAY_SMTP_URL", "smtp://host:port"),
        ("SICKBAY_ALERT_ALLOW_CIDRS", "10.1.2.3/99"),
    ],
)
@pytest.mark.parametrize("command", ["up", "signin"])
def test_a_setting_that_cannot_be_read_is_one_sentence(
    tmp_path: Path, command: str, name: str, value: str
) -> None:
    """The variable is named and how to write it, before anything is started."""
    done = refused(command, "--data", str(tmp_path), **{name: value})
    assert done.returncode in (1, 2) and done.stderr.startswith(f"{name}: ")
    assert done.stderr.count("\n") == 1 and not (tmp_path / "postgres").exists()


@pytest.mark.parametrize("port", ["99999", "-1", "eight"])
def test_a_port_that_is_none_is_refused(tmp_path: Path, port: str) -> None:
    """What no port can be is said by the option's name."""
    done = refused("up", "--data", str(tmp_path), "--port", port)
    assert done.returncode == 2 and "--port" in done.stderr and "Traceback" not in done.stderr


def test_what_ran_once_is_not_waited_for(tmp_path: Path) -> None:
    """The note of servers that have ended is no reason to try for half a minute."""
    gone = {"database_url": f"postgresql://a:b@/c?host={tmp_path}", "redis_url": "redis://127.0.0.1:1/0"}
    (tmp_path / "servers.json").write_text(json.dumps(gone))
    assert "Nothing runs on" in said(COMMANDS[0], tmp_path)


def test_a_database_of_ones_own_is_named(tmp_path: Path) -> None:
    """With SICKBAY_DATABASE_URL the sentence names that setting."""
    sentence = said(COMMANDS[0], tmp_path, SICKBAY_DATABASE_URL="postgresql://a:b@127.0.0.1:1/c")
    assert sentence.startswith("CommandError: The database that SICKBAY_DATABASE_URL names does not answer")


def test_a_host_beyond_this_machine_is_told_its_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """`up` says which host names it answers to as soon as others can reach it, and what to set."""
    monkeypatch.delenv("SICKBAY_HOSTS", raising=False)
    assert answers_to(Namespace(host="127.0.0.1", port=8000)) == ""
    said = answers_to(Namespace(host="0.0.0.0", port=8000))
    assert f"SICKBAY_HOSTS={socket.gethostname()}," in said and "SICKBAY_SITE_URL" in said
    monkeypatch.setenv("SICKBAY_HOSTS", "box.lan")
    assert answers_to(Namespace(host="0.0.0.0", port=8000)).endswith("(SICKBAY_HOSTS): box.lan")
