"""What the commands that ask a server have in common: where it is, and how they end."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from sickbay._errors import SickbayError
from sickbay._operator import Operator
from sickbay._shell.terminal import Screen, safe

FATAL, INTERRUPTED, BROKEN_PIPE = 128, 130, 141


def server_arguments(parser: argparse.ArgumentParser) -> None:
    """--url, --token and --color, which all of them take."""
    where = parser.add_argument_group("the server")
    where.add_argument("--url", help="default: SICKBAY_URL")
    where.add_argument("--token", help="an operator's; default: SICKBAY_OPERATOR_TOKEN, else SICKBAY_TOKEN")
    when = ("auto", "always", "never")
    words = "default: auto, that is on a terminal, unless NO_COLOR is set"
    parser.add_argument("--color", choices=when, default="auto", help=words)


def asked(given: argparse.Namespace, answer: Callable[[Operator, Screen], int], *, paged: bool = True) -> int:
    """The exit code of `answer`; 128 for what cannot be answered, and not a word when the reader has gone."""
    screen = Screen(given.color, paged=paged)
    try:
        try:
            operator = Operator(given.url, given.token)
            code = answer(operator, screen)
        finally:
            screen.close()
    except BrokenPipeError:
        _to_nowhere()
        return 0 if screen.is_paged else BROKEN_PIPE
    except SickbayError as error:
        print(f"fatal: {safe(error, 2_000)}", file=sys.stderr)
        return FATAL
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _to_nowhere() -> None:
    """Python flushes standard output once more when it ends; nobody reads it."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):
        pass
