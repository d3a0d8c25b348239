"""Send what agents of this machine spooled and could not send themselves.

Every agent and instance below SICKBAY_HOME is looked at. One that is running is left alone: it sends for
itself. What was sent stays sent; what was not is kept, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import platform
import socket
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sickbay import budget
from sickbay._errors import AlreadyRunning, BadArgument, SickbayError
from sickbay._home import INSTANCE, NAME, Home
from sickbay._shell.terminal import safe

if TYPE_CHECKING:
    from sickbay._link import Link

HOME = "~/.sickbay"
EXAMPLES = """\
  sickbay flush                       everything below SICKBAY_HOME
  sickbay flush --home /var/agents    another home
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", default=os.environ.get("SICKBAY_HOME", HOME), help="default: %(default)s")
    parser.add_argument("--url", default=os.environ.get("SICKBAY_URL"), help="default: SICKBAY_URL")
    parser.add_argument("--token", default=os.environ.get("SICKBAY_TOKEN"), help="default: SICKBAY_TOKEN")
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds for each agent; default: 60")


def run(given: argparse.Namespace) -> int:
    """The exit code: 0 when nothing is left to send, 1 when something is, 2 for a wrong call."""
    if not given.url or not given.token:
        words = "say where to, with --url and --token, or SICKBAY_URL and SICKBAY_TOKEN"
        print(f"sickbay flush: {words}", file=sys.stderr)
        return 2
    base = Path(given.home).expanduser()
    try:
        left = [_flushed(base, *names, given) for names in _instances(base)]
    except SickbayError as error:
        print(f"sickbay: {safe(error)}", file=sys.stderr)
        return 2 if isinstance(error, BadArgument) else 1
    if not left:
        print(f"no agents in {base}")
    return 1 if any(left) else 0


def _instances(base: Path) -> list[tuple[str, str]]:
    """(agent, instance) of every home below `base`."""
    homes = sorted(path.parent for path in base.glob("*/*/spool") if path.is_dir())
    names = ((home.parent.name, home.name) for home in homes)
    return [(name, its) for name, its in names if NAME.fullmatch(name) and INSTANCE.fullmatch(its)]


def _flushed(base: Path, name: str, instance: str, given: argparse.Namespace) -> int:
    """How many events are left when this one has been tried."""
    try:
        home = Home.open(name, instance, base)
    except AlreadyRunning as running:
        print(f"{name}/{instance}: running as pid {running.pid}, sends for itself")
        return 0
    try:
        before = home.spool.unsent
        if not before:
            print(f"{name}/{instance}: nothing to send")
            return 0
        why = _send(home, given)
        left = home.spool.unsent
        print(f"{name}/{instance}: {before - left} events sent" + (f", {left} left: {why}" if left else ""))
        return left
    finally:
        home.close()


def _send(home: Home, given: argparse.Namespace) -> str:
    """Why not everything was sent, if so."""
    from sickbay._link import Unreachable

    link = _link(home, given.url, given.token)
    try:
        if home.state.data.epoch == 0:
            # Nothing of this agent ever reached the server: its newest run registers, late.
            link.adopt(*home.spool.newest_run())
            answer = link.register(given.timeout)
            if isinstance(answer, Unreachable):
                return answer.why
        return "" if link.flush(given.timeout) else link.complaints.now or "not in time"
    finally:
        link.stop()


def _link(home: Home, url: str, token: str) -> Link:
    from sickbay._identity import Identity
    from sickbay._link import Link

    identity = Identity(
        home.name,
        home.instance,
        uuid.uuid4().hex,
        host=socket.gethostname(),
        pid=os.getpid(),
        boot=home.clock.boot_id,
        python=platform.python_version(),
    )
    return Link(
        home,
        identity,
        url,
        token,
        snapshot=lambda: _snapshot(home),
        on_account=_ignore,
        on_commands=_ignore,
        on_pause=_ignore,
        on_fenced=lambda: None,
    )


def _snapshot(home: Home) -> dict[str, Any]:
    """The state as it was left behind: nobody runs, so nothing is being done."""
    data = home.state.data
    status = "idle" if data.pause is None else "stopped" if data.pause.stopped else "paused"
    return {
        "status": status,
        "living": False,
        "since": home.clock.wall() if data.pause is None else data.pause.at,
        "doing": None,
        "doing_since": None,
        "pause": data.pause and data.pause.wire(),
        "settled": data.settled,
        "account": budget.dump(data.account, home.clock.boot()),
    }


def _ignore(told: object) -> None:
    """Nobody runs who could act on it; the next start asks again."""
