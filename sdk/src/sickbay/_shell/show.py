"""Show a checkpoint: when and why it was taken, how it stands, what it holds; or one value or file of it;
or, by its id, an entry of a timeline: what was done, with input and output.

PATH is a file of its workspace, a directory, `.` for all of its files, `memory:` for its memory, or a place
in it like memory:messages.3.content. Bytes that are no text go to a pipe or a file, never to a terminal.
Secrets are masked; --reveal shows them and is in the audit log.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator

from sickbay._errors import BadArgument
from sickbay._operator import File, Operator, Part
from sickbay._shell import asking, entries, log, phrasing, revisions, told
from sickbay._shell.terminal import Screen
from sickbay._wire import Refused

EXAMPLES = """\
  sickbay show refund-desk                   the newest checkpoint
  sickbay show 3f2a .                        its files
  sickbay show 3f2a notes/todo.md            one of them
  sickbay show 3f2a memory:                  its memory, as JSON
  sickbay show 3f2a memory:messages.3        a place in it
  sickbay show 3f2a invoice.pdf > invoice.pdf
  sickbay show ENTRY                         an entry, by its id from `sickbay log --timeline`
"""
MEMORY = "memory:"
PRETTY = 1024 * 1024


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="or the id of an entry")
    parser.add_argument("path", metavar="PATH", nargs="?")
    parser.add_argument("--reveal", action="store_true", help="with its secrets; this is audited")
    asking.server_arguments(parser)


def run(given: argparse.Namespace) -> int:
    return asking.asked(given, lambda operator, screen: _shown(operator, screen, given))


def _shown(operator: Operator, screen: Screen, given: argparse.Namespace) -> int:
    entry = entries.named(operator, given.checkpoint)
    if entry is not None:
        if given.path is not None:
            raise BadArgument("this is an entry of the timeline: only a checkpoint has paths")
        entries.show(screen, entry)
        return 0
    one = revisions.checkpoint(operator, given.checkpoint)
    if given.path is None:
        _manifest(operator, screen, one)
    elif given.path.startswith(MEMORY):
        with _told(one):
            part = operator.memory(one.id, given.path[len(MEMORY) :], reveal=given.reveal)
        _value(screen, part)
        _note_masks(part)
    else:
        _path(operator, screen, one, given.path.removeprefix("./").rstrip("/"), reveal=given.reveal)
    return 0


def _manifest(operator: Operator, screen: Screen, one: told.Checkpoint) -> None:
    good = revisions.agent(operator, one.agent).last_known_good
    screen.line((f"checkpoint {one.id}", "yellow"), *log.names(one, good))
    memory = phrasing.size(one.memory_length) if one.memory else None
    files = f"{phrasing.some(one.files, 'file')}, {phrasing.size(one.bytes)}" if one.workspace else None
    rows = [
        ("Agent", f"{one.agent} / {one.instance}"), ("Date", phrasing.date(one.at)), ("Label", one.label),
        ("Why", log.WHY.get(one.why, one.why)), ("Reason", one.reason), ("Judged by", one.judged_by),
        ("Parent", one.parent), ("Run", one.run),
        ("Last action", f"{one.last_action} (number {one.act})" if one.last_action else None),
        ("Memory", f"{memory}, {(one.memory or '')[:12]}" if memory else None),
        ("Workspace", f"{files}, {(one.workspace or '')[:12]}" if files else None),
        ("Code", one.code), ("SDK", one.sdk), ("Model", one.model), ("Tools", one.tools[:12]),
    ]  # fmt: skip
    for name, said in rows:
        if said:
            screen.line(f"{name + ':':<13}", said)
    for note in one.notes:
        screen.line("")
        screen.line("    ", note)


def _value(screen: Screen, part: Part) -> None:
    """JSON with indents to a terminal, and as it is to a pipe."""
    if not sys.stdout.isatty():
        screen.raw(part.data + b"\n")
        return
    text = part.data.decode("utf-8", "replace")
    if len(text) <= PRETTY:
        with contextlib.suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    screen.block(text)


def _path(operator: Operator, screen: Screen, one: told.Checkpoint, path: str, *, reveal: bool) -> None:
    if path in ("", "."):
        _files(screen, operator.files(one.id))
        return
    try:
        with _told(one):
            part = operator.file(one.id, path, reveal=reveal)
    except Refused as refused:
        if refused.error == "a_directory":
            _files(screen, operator.files(one.id, path))
            return
        if refused.error == "not_text":
            raise BadArgument(f"{path} is no text, so its secrets cannot be masked: say --reveal") from None
        raise
    if not sys.stdout.isatty():
        screen.raw(part.data)
    elif b"\0" in part.data:
        raise BadArgument(f"{path} is no text ({phrasing.size(len(part.data))}): write it to a file with >")
    else:
        screen.block(part.data.decode("utf-8", "surrogateescape"))
    _note_masks(part)


@contextlib.contextmanager
def _told(one: told.Checkpoint) -> Iterator[None]:
    """What is not there is said with what there is instead, as the server found it."""
    try:
        yield
    except Refused as refused:
        if refused.status != 404:
            raise
        raise BadArgument(f"{revisions.short(one.id)}: {refused}") from None


def _files(screen: Screen, files: Iterator[File]) -> None:
    for one in files:
        _listed(screen, one)


def _listed(screen: Screen, one: File) -> None:
    mark = {"directory": "/", "executable": "*", "link": f" -> {one.target}"}.get(one.kind, "")
    colour = {"directory": "blue", "executable": "green", "link": "cyan"}.get(one.kind, "")
    size = phrasing.size(one.size) if one.size is not None else ""
    screen.line(f"{size:>12}  ", (one.path, colour), mark)


def _note_masks(part: Part) -> None:
    if part.masked:
        print("note: secrets are masked; --reveal shows them and is audited", file=sys.stderr)
