"""Find the first checkpoint where a check of yours fails, by halving.

FILE.py defines check(memory, workspace) and says True while all is well, False when it is not, None when it
cannot be told. It runs here, in this process. `memory` is the checkpoint's memory as JSON has it, `workspace`
a mapping of paths to bytes whose files are read when they are asked for. Secrets in both are masked; --reveal
hands them over and is in the audit log. Exit codes: 0 found, 1 nothing to be found, 128 it cannot be said.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from sickbay._bisect import Bisected, first_bad
from sickbay._errors import BadArgument
from sickbay._operator import Operator
from sickbay._shell import asking, log, phrasing, revisions, told
from sickbay._shell.terminal import Screen, Span, safe
from sickbay._wire import Refused

EXAMPLES = """\
  sickbay bisect refund-desk --check scale.py             scale.py: def check(memory, workspace):
                                                              return memory["rates"]["scale"] == 100
  sickbay bisect refund-desk --check scale.py --bad 3f2a  of those up to this one
  sickbay bisect refund-desk --check scale.py --good 1c0d of those after this one
"""
Check = Callable[[Any, Mapping[str, bytes]], Any]


class Workspace(Mapping[str, bytes]):
    """The files of one checkpoint by path, each read once, when it is asked for."""

    def __init__(self, operator: Operator, checkpoint: str, *, reveal: bool) -> None:
        self._operator, self._checkpoint, self._reveal = operator, checkpoint, reveal
        self._read: dict[str, bytes] = {}
        self._paths: list[str] | None = None
        self.masked = False

    def __getitem__(self, path: str) -> bytes:
        if path not in self._read:
            try:
                part = self._operator.file(self._checkpoint, path, reveal=self._reveal)
            except Refused as refused:
                if refused.status == 404 or refused.error == "a_directory":
                    raise KeyError(path) from None
                if refused.error == "not_text":
                    raise BadArgument(
                        f"{path} is no text, so its secrets cannot be masked: say --reveal"
                    ) from None
                raise
            self._read[path] = part.data
            self.masked = self.masked or part.masked
        return self._read[path]

    def __contains__(self, path: object) -> bool:
        return path in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> list[str]:
        if self._paths is None:
            found = self._operator.files(self._checkpoint)
            self._paths = [one.path for one in found if one.kind != "directory"]
        return self._paths


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", metavar="AGENT")
    parser.add_argument("--check", metavar="FILE.py", required=True, help="defines check(memory, workspace)")
    parser.add_argument("--bad", metavar="CHECKPOINT", help="the newest to look at; default: the newest")
    parser.add_argument(
        "--good", metavar="CHECKPOINT", help="the oldest to look at; default: the oldest kept"
    )
    parser.add_argument("--reveal", action="store_true", help="with its secrets; this is audited")
    asking.server_arguments(parser)


def run(given: argparse.Namespace) -> int:
    return asking.asked(given, lambda operator, screen: _bisected(operator, screen, given), paged=False)


def _bisected(operator: Operator, screen: Screen, given: argparse.Namespace) -> int:
    check = _loaded(given.check)
    line = _line(operator, given)[::-1]
    looks, some = len(line).bit_length() + 1, phrasing.some(len(line), "checkpoint")
    screen.line(f"Bisecting {line[-1].agent} by {given.check}: {some}, of which about {looks} are read")
    masked = False

    def passes(place: int) -> bool | None:
        nonlocal masked
        one = line[place]
        files = Workspace(operator, one.id, reveal=given.reveal)
        part = operator.memory(one.id, reveal=given.reveal) if one.memory else None
        said = _said(check, json.loads(part.data) if part else None, files, one)
        masked = masked or files.masked or (part is not None and part.masked)
        word, colour = {True: ("good", "green"), False: ("bad", "red"), None: ("skip", "yellow")}[said]
        screen.line((revisions.short(one.id), "yellow"), " ", (f"{word:<4}", colour), " ", log.subject(one))
        return said

    found = first_bad(len(line), passes)
    if masked:
        print("note: secrets are masked; --reveal shows them to the check and is audited", file=sys.stderr)
    return _told(screen, line, found)


def _told(screen: Screen, line: list[told.Checkpoint], found: Bisected) -> int:
    """What was found, how, and what to do next; what halving cannot know is said, too."""
    read = f"Read: {found.looks:,} of {phrasing.some(len(line), 'checkpoint')}."
    if found.ends == "unknown":
        raise BadArgument(
            f"too many of the {found.looks} checkpoints that were read cannot be judged: let check() say "
            "True or False of more of them"
        )
    if found.ends == "newest_passes":
        assert found.good is not None
        screen.line("The newest one passes: ", *_named(line[found.good]))
        screen.line("There is nothing to be found. If something is wrong all the same, the check misses it.")
        screen.line(read)
        return 1
    assert found.bad is not None
    if found.ends == "oldest_fails":
        screen.line("The oldest one fails already: ", *_named(line[found.bad]))
        screen.line("It began before what is kept, or before --good; or the check fails whatever happens.")
        screen.line(read)
        return 1
    assert found.good is not None
    good, bad = line[found.good], line[found.bad]
    screen.line("")
    screen.line((f"{bad.id} is the first bad checkpoint", "yellow"))
    screen.line("Date:      ", phrasing.date(bad.at))
    if bad.last_action:
        screen.line("Action:    ", bad.last_action)
    screen.line("Label:     ", log.subject(bad))
    screen.line("Last good: ", *_named(good))
    screen.line(f"Read:      {found.looks:,} of {phrasing.some(len(line), 'checkpoint')}")
    _doubts(screen, found)
    screen.line("")
    old, new = revisions.short(good.id), revisions.short(bad.id)
    screen.line("What changed:   ", f"sickbay diff {old} {new}")
    screen.line("To go back:     ", f"sickbay rollback {good.agent} {old}")
    return 0


def _named(one: told.Checkpoint) -> list[Span]:
    return [(revisions.short(one.id), "yellow"), f" of {phrasing.stamp(one.at)}, {log.subject(one)}"]


def _doubts(screen: Screen, found: Bisected) -> None:
    assert found.good is not None and found.bad is not None
    between = [place for place in found.skipped if found.good < place < found.bad]
    if between:
        some = phrasing.some(len(between), "checkpoint")
        screen.line(f"It may be one of {some} before it that could not be judged.")
    screen.line("If it failed, passed and failed again in between, this is one of the places.")


def _line(operator: Operator, given: argparse.Namespace) -> list[told.Checkpoint]:
    """The checkpoints that the newest descends from, newest first, itself included."""
    its = revisions.agent(operator, given.agent)
    newest = (
        revisions.checkpoint(operator, given.bad, its.name)
        if given.bad
        else revisions.newest(operator, its.name)
    )
    oldest = revisions.checkpoint(operator, given.good, its.name) if given.good else None
    line: list[told.Checkpoint] = []
    wanted: str | None = newest.id
    path = f"agents/{quote(its.name, safe='')}/checkpoints/"
    for one in operator.each(path, "checkpoints", told.Checkpoint, limit=500):
        if one.id != wanted:
            continue
        line.append(one)
        wanted = one.parent
        if wanted is None or (oldest is not None and one.id == oldest.id):
            break
    if oldest is not None and line[-1].id != oldest.id:
        raise BadArgument(f"{revisions.short(newest.id)} does not descend from {revisions.short(oldest.id)}")
    return line


def _loaded(path: str) -> Check:
    try:
        found = runpy.run_path(path).get("check")
    except OSError as error:
        raise BadArgument(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception as error:
        raise BadArgument(f"{path} cannot be run: {type(error).__name__}: {error}") from error
    if not callable(found):
        raise BadArgument(
            f"{path} defines no check: write def check(memory, workspace): and return True or False"
        )
    return found  # type: ignore[no-any-return]


def _said(check: Check, memory: Any, files: Workspace, one: told.Checkpoint) -> bool | None:
    try:
        said = check(memory, files)
    except (BadArgument, Refused):
        raise
    except Exception as error:
        where = revisions.short(one.id)
        raise BadArgument(f"check() raised {type(error).__name__} at {where}: {safe(error, 300)}") from error
    if said is None or isinstance(said, bool):
        return said
    raise BadArgument(f"check() returned {type(said).__name__}: it must return True, False, or None to skip")
