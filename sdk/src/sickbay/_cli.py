"""`sickbay COMMAND …`: which command is meant; each is a module of _shell and loaded when it is asked for.

Exit codes are git's: 0 when all is well, 1 when something differs, is left or failed, 2 for a wrong call,
128 for what cannot be answered.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import Any

from sickbay._version import __version__

COMMANDS = {
    "log": "show an agent's checkpoints or timeline, newest first",
    "diff": "show what changed between two checkpoints",
    "show": "show a checkpoint, one value or file of it, or an entry of a timeline",
    "find": "find words in what an agent did: titles, inputs, outputs",
    "since": "show since when a value or a file is as it is",
    "bisect": "find the first checkpoint where a check of yours fails",
    "rollback": "put an agent back to a checkpoint",
    "watch": "keep a program alive that knows nothing of Sickbay",
    "flush": "send what agents of this machine could not send",
}
USAGE = "usage: sickbay COMMAND …"


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of the command that the words name."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        print(_overview(), file=sys.stderr)
        return 2
    verb, *rest = words
    if verb in ("-h", "--help", "help"):
        return _help(rest)
    if verb in ("-V", "--version", "version"):
        print(f"sickbay {__version__}")
        return 0
    if verb not in COMMANDS:
        return _unknown(verb)
    command = importlib.import_module(f"sickbay._shell.{verb}")
    given = _given(_parser(verb, command), command, rest)
    code: int = command.run(given)
    return code


def _given(parser: argparse.ArgumentParser, command: Any, words: list[str]) -> argparse.Namespace:
    """What was said; `after` is what stands behind `--`, which is another program's or a list of paths."""
    cut = words.index("--") if "--" in words else len(words)
    given = parser.parse_args(words[:cut])
    given.after = words[cut + 1 :]
    if "--" in words and not getattr(command, "AFTER", ""):
        parser.error("nothing may stand behind --")
    return given


def _parser(verb: str, command: Any) -> argparse.ArgumentParser:
    words: str = command.__doc__ or ""
    after = getattr(command, "AFTER", "")
    parser = argparse.ArgumentParser(
        prog=f"sickbay {verb}",
        description=words.strip(),
        epilog=f"examples:\n{command.EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    command.arguments(parser)
    if after:
        parser.usage = f"{parser.format_usage().removeprefix('usage: ').rstrip()} {after}"
    return parser


def _help(words: list[str]) -> int:
    if not words:
        print(_overview())
        return 0
    if words[0] not in COMMANDS:
        return _unknown(words[0])
    _parser(words[0], importlib.import_module(f"sickbay._shell.{words[0]}")).print_help()
    return 0


def _overview() -> str:
    lines = [f"   {verb:<10} {words}" for verb, words in COMMANDS.items()]
    end = "'sickbay help COMMAND' has the rest, with examples."
    return "\n".join([USAGE, "", *lines, "", end])


def _unknown(verb: str) -> int:
    said = f"sickbay: {verb!r:.60} is not a sickbay command. See 'sickbay help'."
    near = difflib.get_close_matches(verb, COMMANDS, 2, 0.5)
    if near:
        said += (
            "\n\nThe most similar command is\n" if len(near) == 1 else "\n\nThe most similar commands are\n"
        )
        said += "\n".join(f"\t{one}" for one in near)
    print(said, file=sys.stderr)
    return 1
