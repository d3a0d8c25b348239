"""Keep a program alive that knows nothing of Sickbay: as an agent NAME with a workspace and a budget.

Its workspace is checkpointed at the start, when something changed, and when the program ends. A non-zero
exit or a death by a signal is a crash: it is started again after 1, 2, 4 … 60 s until the budget is spent.
Then, and when a human pauses it, it is stopped with --stop-signal (--on-pause finish lets it end by itself)
and not started again before a human has decided; meanwhile its files can be rolled back. What the human says
stands in SICKBAY_GUIDANCE at the next start. Exit code 0 ends the watch, unless --forever. Its output passes
through untouched, and nothing that it started is left behind, however the watch ends. It needs no server.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from sickbay._errors import SickbayError
from sickbay._shell.asking import FATAL, INTERRUPTED
from sickbay._shell.starting import CannotStart
from sickbay._shell.terminal import safe

if TYPE_CHECKING:
    from sickbay import Agent

AFTER = "-- COMMAND…"
EXAMPLES = """\
  sickbay watch scraper --workspace data -- python scraper.py
  sickbay watch scraper --workspace data --silent-after 10m --restart-when-silent -- ./scrape.sh
  sickbay watch nightly --every 24h --grace 1h -- ./report.sh
  sickbay watch scraper --workspace data --check './sane.sh' --heal -- python scraper.py
"""
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
CHECKED = 60.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the agent's name")
    parser.add_argument("--workspace", metavar="DIR", help="what is checkpointed and rolled back")
    _of_budget(parser.add_argument_group("how often it may fail"))
    when = parser.add_argument_group("when")
    when.add_argument("--forever", action="store_true", help="start it again after exit code 0, too")
    when.add_argument("--checkpoint-every", type=_time, default=300.0, metavar="TIME", help="default: 5m")
    when.add_argument("--silent-after", type=_time, metavar="TIME", help="then silence is a failure")
    when.add_argument("--restart-when-silent", action="store_true", help="and it is started again")
    when.add_argument("--every", type=_time, metavar="TIME", help="a job: how often it must start")
    when.add_argument("--grace", type=_time, metavar="TIME", help="a job: how late a start may be")
    how = parser.add_argument_group("how it ends and goes back")
    how.add_argument("--on-pause", choices=("stop", "finish"), default="stop", help="default: stop it")
    term = signal.SIGTERM
    how.add_argument("--stop-signal", type=_signal, default=term, metavar="SIGNAL", help="default: TERM")
    how.add_argument("--stop-timeout", type=_time, default=10.0, metavar="TIME", help="default: 10s")
    how.add_argument("--check", metavar="COMMAND", help="0 proves a checkpoint good, 1 is a failure")
    how.add_argument("--heal", action="store_true", help="roll back by itself at a second failure")
    _of_agent(parser.add_argument_group("what others are told, and where"))


def _of_budget(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--max-consecutive", type=int, default=3, metavar="N", help="in a row; default: 3")
    group.add_argument("--max-hourly", type=int, default=10, metavar="N", help="in an hour; default: 10")
    words = "a life this long ends a row; default: 10m"
    group.add_argument("--healthy-after", type=_time, default=600.0, metavar="TIME", help=words)


def _of_agent(group: argparse._ArgumentGroup) -> None:
    for option in ("about", "owner", "runbook", "while-paused"):
        group.add_argument(f"--{option}", metavar="TEXT")
    group.add_argument("--instance", help="default: SICKBAY_INSTANCE, else main")
    group.add_argument("--home", help="default: SICKBAY_HOME, else ~/.sickbay")
    group.add_argument("--url", help="default: SICKBAY_URL")
    group.add_argument("--token", help="an agent's; default: SICKBAY_TOKEN")
    group.add_argument("-q", "--quiet", action="store_true", help="no word of ours on standard error")


def run(given: argparse.Namespace) -> int:
    """The exit code: the program's 0, 130 when interrupted, 126 and 127 when it cannot be started."""
    if not hasattr(os, "fork"):
        print("fatal: sickbay watch works on Linux and macOS", file=sys.stderr)
        return FATAL
    from sickbay._shell.watching import Watching  # it needs terminals as POSIX has them

    if not given.after:
        print("fatal: say what to run: sickbay watch NAME -- COMMAND…", file=sys.stderr)
        return FATAL
    try:
        agent = _agent(given)
        watching = Watching(given)
        with watching.signals():
            agent.supervise(watching.step)
    except CannotStart as error:
        print(f"fatal: {safe(given.after[0])}: {error}", file=sys.stderr)
        return error.code
    except SickbayError as error:
        print(f"fatal: {safe(error, 2_000)}", file=sys.stderr)
        return FATAL
    except KeyboardInterrupt:
        return INTERRUPTED
    except SystemExit as done:
        return int(done.code or 0)
    return 0


def _agent(given: argparse.Namespace) -> Agent:
    from sickbay import Agent, FailureBudget  # heavy, and not for --help
    from sickbay._shell.watching import EndedOnRequest

    every, grace = (timedelta(seconds=value) if value else None for value in (given.every, given.grace))
    agent = Agent(
        given.name,
        workspace=given.workspace,
        budget=FailureBudget(max_consecutive=given.max_consecutive, max_hourly=given.max_hourly),
        checkpoint_every=timedelta(seconds=given.checkpoint_every),
        every=every,
        grace=grace,
        heal=given.heal,
        passes=(EndedOnRequest,),
        about=given.about,
        owner=given.owner,
        runbook=given.runbook,
        while_paused=given.while_paused,
        instance=given.instance,
        home=given.home,
        url=given.url,
        token=given.token,
    )
    if given.check:
        agent.check(_checking(given.check, given.workspace))
    return agent


def _checking(command: str, workspace: str | None) -> Callable[[], bool | None]:
    """A state check by a command of the shell, in the workspace."""

    def check() -> bool | None:
        try:
            done = subprocess.run(
                command,
                shell=True,
                cwd=workspace,
                timeout=CHECKED,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return {0: True, 1: False}.get(done.returncode)

    return check


def _time(text: str) -> float:
    """`90`, `30s`, `5m`, `2h`, `1d`."""
    number, unit = (text[:-1], text[-1]) if text[-1:].isalpha() else (text, "")
    if unit not in UNITS or not 0 < float(number) < 1e8:
        raise ValueError
    return float(number) * UNITS[unit]


def _signal(text: str) -> signal.Signals:
    """`TERM`, `SIGINT` or `15`."""
    if text.isdigit():
        return signal.Signals(int(text))
    return signal.Signals[text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"]
