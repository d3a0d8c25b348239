"""Show what changed from one checkpoint to another: values of the memory, then lines of files.

A and B are checkpoints (how an id begins, AGENT, AGENT@good, …^). B left out is the newest of A's agent.
Secrets are masked; --reveal shows them and is in the audit log.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from sickbay._errors import BadArgument
from sickbay._operator import Operator
from sickbay._shell import asking, phrasing, revisions, told, values
from sickbay._shell.file_lines import COLOURS, Difference, Files
from sickbay._shell.terminal import Screen, safe

AFTER = "[-- PATH…]"
EXAMPLES = """\
  sickbay diff refund-desk@good              what changed since the last known good one
  sickbay diff 3f2a 9c1e                     between two
  sickbay diff refund-desk^ refund-desk      what the newest checkpoint changed
  sickbay diff 3f2a..9c1e --stat             how much changed, file by file
  sickbay diff 3f2a 9c1e -- notes memory:messages
"""
MEMORY = "memory:"
MARKS = {"add": ("+", "green"), "remove": ("-", "red"), "change": ("!", "yellow"), "move": (">", "cyan")}
BAR = 40


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a checkpoint, or A..B")
    parser.add_argument("b", metavar="B", nargs="?", help="another; default: the newest of A's agent")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--stat", action="store_true", help="how many lines of each file")
    how.add_argument("--name-only", action="store_true", help="only names")
    how.add_argument("-q", "--quiet", action="store_true", help="nothing but the exit code")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--memory", action="store_true", help="only the memory")
    part.add_argument("--workspace", action="store_true", help="only the files")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 when something differs")
    parser.add_argument("--full", action="store_true", help="values in full length")
    parser.add_argument("--reveal", action="store_true", help="with secrets; this is audited")
    asking.server_arguments(parser)


def run(given: argparse.Namespace) -> int:
    return asking.asked(given, lambda operator, screen: _shown(operator, screen, given))


def _shown(operator: Operator, screen: Screen, given: argparse.Namespace) -> int:
    old, new = _pair(operator, given.a, given.b)
    diff = operator.get(f"checkpoints/{old.id}/diff/{new.id}/", told.Diff)
    inside = [path for path in given.after if not path.startswith(MEMORY)]
    places = [path[len(MEMORY) :] for path in given.after if path.startswith(MEMORY)]
    memory = [] if given.workspace or (given.after and not places) else _below(diff.memory, places)
    files = [] if given.memory or (given.after and not inside) else _under(diff.workspace, inside)
    if not given.quiet:
        if old.agent != new.agent and not given.name_only:
            _two_agents(screen, old, new)
        if given.reveal:
            values.reveal(operator, old.id, new.id, memory)
        _told(screen, Files(operator, old.id, new.id, reveal=given.reveal), memory, files, given)
        for said in diff.stats.said:
            screen.line((f"note: {said}", "dim"))
    differs = bool(memory or files) or not diff.stats.complete
    return 1 if differs and (given.exit_code or given.quiet) else 0


def _pair(operator: Operator, a: str, b: str | None) -> tuple[told.Checkpoint, told.Checkpoint]:
    if b is None and ".." in a:
        a, _, b = a.partition("..")
        b = b.removeprefix(".")
        if not a or not b:
            raise BadArgument("write both: A..B")
    old = revisions.checkpoint(operator, a)
    return old, revisions.checkpoint(operator, b) if b else revisions.newest(operator, old.agent)


def _two_agents(screen: Screen, old: told.Checkpoint, new: told.Checkpoint) -> None:
    """Neither came from the other; words before the first file are passed over by `git apply`."""
    a, b = (f"{one.agent}'s {revisions.short(one.id)}" for one in (old, new))
    screen.line((f"These are two agents: {a} (-) and {b} (+).", "bold"))
    screen.line(("This is how they differ, not what one of them changed.", "bold"))


def _below(changes: Iterable[told.ValueChange], places: list[str]) -> list[told.ValueChange]:
    """Those at or below one of these places of the memory."""
    return [one for one in changes if not places or any(_is_at(one.path, place) for place in places)]


def _is_at(path: list[str | int], place: str) -> bool:
    steps = place.split(".") if place else []
    return [str(step) for step in path[: len(steps)]] == steps


def _under(changes: Iterable[told.FileChange], paths: list[str]) -> list[told.FileChange]:
    """Those that are one of these paths, or below one."""
    wanted = [path.removeprefix("./").rstrip("/") for path in paths]
    return [
        one
        for one in changes
        if not wanted
        or any(
            at == path or at.startswith(f"{path}/") or path in ("", ".")
            for path in wanted
            for at in (one.path, one.was)
            if at
        )
    ]


def _told(
    screen: Screen,
    files: Files,
    memory: list[told.ValueChange],
    changes: list[told.FileChange],
    given: argparse.Namespace,
) -> None:
    if given.name_only:
        for one in memory:
            screen.line(MEMORY + phrasing.place(one.path))
        for change in changes:
            screen.line(change.path)
    elif given.stat:
        _stat(screen, memory, [(change, files.difference(change)) for change in changes])
    else:
        _memory(screen, memory, full=given.full)
        for change in changes:
            _file(screen, files.difference(change))


def _memory(screen: Screen, changes: list[told.ValueChange], *, full: bool) -> None:
    if not changes:
        return
    screen.line(("diff memory", "bold"))
    for one in changes:
        mark, colour = MARKS.get(one.op, ("?", ""))
        where = phrasing.place(one.path)
        if one.was is not None and one.was != one.path:
            where += f" (was {phrasing.place(one.was)})"
        screen.line("  ", (mark, colour), " ", (where, "bold"), *values.beside(one, full=full))
        for sign, line in values.lines(one):
            screen.source(f"      {sign}{line}", COLOURS.get(sign, ""))


def _file(screen: Screen, found: Difference) -> None:
    for line in found.head:
        screen.line((line, "bold"))
    for line in found.lines:
        screen.source(line, COLOURS.get(line[:1], ""))
    if found.note:
        screen.line(found.note)


def _stat(
    screen: Screen, memory: list[told.ValueChange], found: list[tuple[told.FileChange, Difference]]
) -> None:
    if memory:
        screen.line(" memory | ", phrasing.some(len(memory), "value"))
    names = [safe(_renamed(change)) for change, _ in found]
    width = max(map(len, names), default=0)
    most = max((one.added + one.removed for _, one in found), default=0)
    for name, (_, one) in zip(names, found, strict=True):
        total = one.added + one.removed
        if not one.is_text:
            screen.line(f" {name:<{width}} | ", f"Bin {one.sizes}")
            continue
        plus, minus = (_bar(count, most) for count in (one.added, one.removed))
        screen.line(f" {name:<{width}} | {total:>5} ", ("+" * plus, "green"), ("-" * minus, "red"))
    added, removed = (sum(getattr(one, side) for _, one in found) for side in ("added", "removed"))
    if found:
        files = phrasing.some(len(found), "file")
        screen.line(f" {files} changed, {added:,} insertions(+), {removed:,} deletions(-)")


def _bar(count: int, most: int) -> int:
    return count if most <= BAR else -(-count * BAR // most)


def _renamed(change: told.FileChange) -> str:
    return f"{change.was} => {change.path}" if change.was else change.path
