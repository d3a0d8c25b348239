"""Laws of `sickbay flush`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sdk.tests.durable import LATER, RUN, Heard, begun, event, linked
from sdk.tests.peer import TOKEN, Peer
from sickbay._cli import main


def spooled(base: Path, name: str, run: str = RUN, count: int = 3) -> None:
    home = begun(base, run, name)
    home.spool.append(*(event(i) for i in range(count)))
    home.spool.end()
    home.close()


def flush(base: Path, url: str) -> int:
    return main(["flush", "--home", str(base), "--url", url, "--token", TOKEN, "--timeout", "10"])


def test_what_every_agent_spooled_is_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All homes below the directory are emptied, those that never saw the server, too."""
    spooled(tmp_path, "one")
    spooled(tmp_path, "two", LATER, 5)
    with Peer() as peer:
        assert flush(tmp_path, peer.url) == 0
        assert len(peer.seqs(RUN)) == 3 and len(peer.seqs(LATER)) == 5
        assert [body["run"] for body in peer.registers] == [RUN, LATER]
        assert "one/main: 3 events sent" in capsys.readouterr().out
        assert flush(tmp_path, peer.url) == 0
        assert "two/main: nothing to send" in capsys.readouterr().out


def test_a_home_that_has_an_epoch_starts_no_new_run(tmp_path: Path) -> None:
    """Flushing is no start: it speaks under the last epoch."""
    with Peer() as peer:
        home = begun(tmp_path)
        link = linked(home, peer.url, Heard())
        link.register()
        link.stop()
        home.spool.append(event())
        home.close()
        assert flush(tmp_path, peer.url) == 0
        assert len(peer.registers) == 1 and peer.headers[-1]["epoch"] == 1


def test_a_running_agent_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its own process sends for itself."""
    home = begun(tmp_path)
    with Peer() as peer:
        assert flush(tmp_path, peer.url) == 0 and not peer.requests
    assert "sends for itself" in capsys.readouterr().out
    home.close()


def test_an_unreachable_server_is_said_and_nothing_is_lost(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 1, and what could not be sent is still there."""
    spooled(tmp_path, "one")
    with Peer() as peer:
        url = peer.url
    assert flush(tmp_path, url) == 1
    assert "3 left" in capsys.readouterr().out
    with Peer() as peer:
        assert flush(tmp_path, peer.url) == 0 and len(peer.lines) == 3


def test_a_refused_token_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence of the server is shown."""
    spooled(tmp_path, "one")
    with Peer() as peer:
        assert main(["flush", "--home", str(tmp_path), "--url", peer.url, "--token", "wrong"]) == 1
    assert "refuses this agent's token" in capsys.readouterr().err


def test_python_m_sickbay_is_the_same(tmp_path: Path) -> None:
    """The module runs, and says what is missing."""
    command = [sys.executable, "-m", "sickbay", "flush", "--home", str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, env={"PATH": ""}, check=False)
    assert said.returncode == 2 and "SICKBAY_URL" in said.stderr
