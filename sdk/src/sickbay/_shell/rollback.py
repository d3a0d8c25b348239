"""Put an agent back to a checkpoint, to its last known good one when none is named.

What will be lost and what stays in the outside world is shown first, then you are asked. A paused agent stays
paused, a running one goes on from there. With --wait the exit code says whether the agent proved that it is
there: 0 verified, 1 not.
"""

from __future__ import annotations

import argparse
import sys
import time
from itertools import islice
from typing import Any
from urllib.parse import quote

from sickbay._errors import BadArgument
from sickbay._operator import Operator
from sickbay._shell import asking, log, phrasing, revisions, told
from sickbay._shell.terminal import Screen, safe

AFTER = "[-- FILE…]"
EXAMPLES = """\
  sickbay rollback refund-desk                        to its last known good checkpoint
  sickbay rollback refund-desk 3f2a -m 'wrong rates'  to another, with the reason that others will read
  sickbay rollback refund-desk --yes --wait           in a script: 0 when it is there, 1 when not
  sickbay rollback refund-desk 3f2a -- rates.csv      only this file
"""
ENDED = {"verified": 0, "failed": 1, "refused": 1, "withdrawn": 1, "overtaken": 1}
SHOWN, MOST_WAITING = 10, 100
FIRST, LAST = 0.3, 2.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", metavar="AGENT")
    parser.add_argument("checkpoint", metavar="CHECKPOINT", nargs="?", default="good")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--memory", action="store_true", help="only the memory")
    part.add_argument("--workspace", action="store_true", help="only the files")
    parser.add_argument("-m", "--message", metavar="REASON", help="why; others read it")
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
    parser.add_argument("--even-bad", action="store_true", help="also to one that was condemned")
    parser.add_argument("--wait", action="store_true", help="until the agent proved it, or could not")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="with --wait: give up, exit code 1")
    parser.add_argument("--abort", action="store_true", help="take back what no run has taken up yet")
    asking.server_arguments(parser)


def run(given: argparse.Namespace) -> int:
    return asking.asked(given, lambda operator, screen: _rolled_back(operator, screen, given), paged=False)


def _rolled_back(operator: Operator, screen: Screen, given: argparse.Namespace) -> int:
    its = revisions.agent(operator, given.agent)
    if given.abort:
        return _withdrawn(operator, screen, its, given.message or "")
    target = revisions.checkpoint(operator, given.checkpoint, its.name)
    if target.agent != its.name:
        raise BadArgument(f"{revisions.short(target.id)} is of {target.agent}, not of {its.name}")
    scope = _scope(given)
    _warn(screen, its, target, operator.get(f"checkpoints/{target.id}/blast/", told.Blast), scope)
    if not given.yes and not _agreed():
        print("Nothing was done.", file=sys.stderr)
        return 1
    said = {
        "checkpoint": target.id, "scope": scope, "even_bad": given.even_bad,
        "reason": given.message or _why(ask=not given.yes),
    }  # fmt: skip
    ordered = operator.post(f"agents/{quote(its.name, safe='')}/rollback/", said, told.Ordered)
    screen.line(ordered.message)
    if not given.wait:
        return 0
    deadline = time.monotonic() + given.timeout if given.timeout is not None else None
    ends = [_followed(operator, screen, row, deadline) for row in ordered.rollbacks]
    return max(ends, default=1)


def _withdrawn(operator: Operator, screen: Screen, its: told.Agent, reason: str) -> int:
    path = f"agents/{quote(its.name, safe='')}/rollbacks/"
    newest = islice(operator.each(path, "rollbacks", told.Rollback), MOST_WAITING)
    waiting = [row for row in newest if row.state == "ordered"]
    if not waiting:
        raise BadArgument(f"{its.name} has nothing that could be taken back")
    for row in waiting:
        done = operator.post(f"rollbacks/{row.id}/withdraw/", {"reason": reason}, told.Withdrawn)
        screen.line(done.message)
    return 0


def _scope(given: argparse.Namespace) -> dict[str, Any] | None:
    if given.after:
        if given.memory:
            raise BadArgument("--memory and files: say one of them")
        return {"memory": False, "workspace": True, "paths": given.after}
    if given.memory or given.workspace:
        return {"memory": given.memory, "workspace": given.workspace}
    return None


def _warn(
    screen: Screen,
    its: told.Agent,
    target: told.Checkpoint,
    blast: told.Blast,
    scope: dict[str, Any] | None,
) -> None:
    """What will be, what will be lost, and what cannot be undone."""
    names = log.names(target, its.last_known_good)
    screen.line(f"{its.name} goes back to ", (revisions.short(target.id), "yellow"), *names)
    screen.line("  taken ", phrasing.date(target.at), ", ", log.subject(target))
    if scope is not None:
        files = scope.get("paths")
        part = "its memory" if scope["memory"] else "its files"
        screen.line("  only ", ", ".join(files) if files else part)
    lost = blast.lost
    gone = [phrasing.some(lost.actions, "action"), phrasing.some(len(lost.checkpoints), "checkpoint")]
    screen.line("  left behind since then: ", ", ".join(gone))
    for effect in blast.effects[:SHOWN]:
        what = f"{effect.name} {effect.key or effect.target or ''}".strip()
        screen.line("  ", ("stays done: ", "yellow"), phrasing.stamp(effect.at), f" {what}, {effect.state}")
    if blast.effects_in_all > SHOWN:
        screen.line(f"  … and {blast.effects_in_all - SHOWN:,} more effects stay done")
    for remark in blast.remarks:
        screen.line("  ", (remark, "yellow"))
    if blast.damaged:
        screen.line("  ", ("It is damaged.", "red"))
    if blast.needs_even_bad:
        screen.line("  ", ("It was condemned: --even-bad goes there all the same.", "red"))


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise BadArgument("nobody can be asked here: say --yes")
    return _answer("Roll back? [y/N] ").lower() in ("y", "yes")


def _why(*, ask: bool) -> str:
    said = _answer("Why? ") if ask and sys.stdin.isatty() else ""
    return said or "ordered from a shell"


def _answer(question: str) -> str:
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def _followed(operator: Operator, screen: Screen, row: told.Rollback, deadline: float | None) -> int:
    """Say each state that it comes to; the exit code of the last."""
    state, why, pause = row.state, row.why, FIRST
    while state not in ENDED:
        if deadline is not None and time.monotonic() >= deadline:
            _complain(row, f"still {state}; it goes on without this command")
            return 1
        time.sleep(pause)
        pause = min(LAST, pause * 1.5)
        row = operator.get(f"rollbacks/{row.id}/", told.Rollback)
        if row.state != state:
            state = row.state
            screen.line(f"{row.instance}: ", (state, "green" if state == "verified" else ""))
        if row.why != why and state not in ENDED:
            why = row.why
            screen.line(f"{row.instance}: it waits: ", (why or "it goes on", "yellow"))
    if ENDED[state]:
        _complain(row, f"{state}: {row.why or 'no reason was told'}")
    for path in row.kept:
        screen.line(f"  kept aside: {path}")
    return ENDED[state]


def _complain(row: told.Rollback, words: str) -> None:
    print(f"{safe(row.instance)}: {safe(words)}", file=sys.stderr)
