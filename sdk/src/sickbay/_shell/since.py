"""Show since when a value or a file is as it is: the checkpoint that has it first, and what was done before.

PATH is a file of the workspace, or a place in the memory like memory:rates.scale. AGENT may be a checkpoint:
then it is asked since when it was as it was there.
"""

from __future__ import annotations

import argparse
from urllib.parse import quote

from sickbay._errors import BadArgument
from sickbay._operator import Operator
from sickbay._shell import asking, entries, phrasing, revisions, told
from sickbay._shell.terminal import Screen

EXAMPLES = """\
  sickbay since refund-desk memory:rates.scale   since when the scale is what it is now
  sickbay since refund-desk policies/rules.md    the same of a file
  sickbay since 3f2a memory:messages.3           since when it was as checkpoint 3f2a has it
"""
MEMORY = "memory:"
MOST_ROUNDS = 50


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", metavar="AGENT")
    parser.add_argument("path", metavar="PATH")
    asking.server_arguments(parser)


def run(given: argparse.Namespace) -> int:
    return asking.asked(given, lambda operator, screen: _shown(operator, screen, given))


def _shown(operator: Operator, screen: Screen, given: argparse.Namespace) -> int:
    one = revisions.checkpoint(operator, given.agent)
    found, looked = _asked(operator, one, given.path)
    if not found.there and found.before is None and not found.bound:
        raise BadArgument(found.message)
    screen.line((f"checkpoint {found.since.id}", "yellow"), f" ({found.since.standing})")
    screen.line("Date:   ", phrasing.date(found.since.at))
    if found.since.label:
        screen.line("Label:  ", found.since.label)
    screen.line("Looked: ", f"{phrasing.some(looked, 'checkpoint')}, back from {revisions.short(one.id)}")
    screen.line("")
    screen.line("    ", found.message)
    if found.before is not None:
        _between(screen, found, found.before)
    return 0


def _asked(operator: Operator, one: told.Checkpoint, path: str) -> tuple[told.Since, int]:
    """Asked on where the server looked at as much as it does at once."""
    asked = {"path": path.removeprefix("./"), "where": "file"}
    if path.startswith(MEMORY):
        asked = {"path": path[len(MEMORY) :], "where": "memory"}
    address = f"agents/{quote(one.agent, safe='')}/since/"
    looked, newest = 0, one.id
    for _ in range(MOST_ROUNDS):
        found = operator.get(address, told.Since, newest=newest, **asked)
        looked += found.looked_at - (1 if looked else 0)
        if not found.bound or found.since.id == newest:
            break
        newest = found.since.id
    return found, looked


def _between(screen: Screen, found: told.Since, before: told.Brief) -> None:
    screen.line("")
    if found.actions:
        more = ", and more before" if found.more_actions else ""
        screen.line(f"Done between the two, newest first{more}:")
    for entry in found.actions:
        entries.line(screen, entry)
    old, new = revisions.short(before.id), revisions.short(found.since.id)
    screen.line("What changed: ", f"sickbay diff {old} {new}")
