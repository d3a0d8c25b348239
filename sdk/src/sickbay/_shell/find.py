"""Find words in what an agent did: titles, names, inputs and outputs of its timeline, newest first.

An entry must have all of the words; what stands between double quotes is sought as it stands. Each line
begins with the entry's id, for `sickbay show`. Exit codes: 0 found, 1 not found.
"""

from __future__ import annotations

import argparse
from itertools import islice
from urllib.parse import quote

from sickbay._operator import Operator
from sickbay._shell import asking, entries, revisions, told
from sickbay._shell.terminal import Screen

EXAMPLES = """\
  sickbay find refund-desk order 4711            entries that have both words
  sickbay find refund-desk '"order 4711"'        that have them side by side
  sickbay find refund-desk 4711 --kind failure -n 5
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", metavar="AGENT")
    parser.add_argument("text", metavar="TEXT", nargs="+")
    parser.add_argument("-n", "--max-count", type=int, metavar="N", help="at most so many")
    parser.add_argument("--kind", metavar="KIND", help="only action, failure, decision …")
    asking.server_arguments(parser)


def run(given: argparse.Namespace) -> int:
    return asking.asked(given, lambda operator, screen: _found(operator, screen, given))


def _found(operator: Operator, screen: Screen, given: argparse.Namespace) -> int:
    its = revisions.agent(operator, given.agent)
    most = None if given.max_count is None else max(0, given.max_count)
    path = f"agents/{quote(its.name, safe='')}/timeline/"
    found = operator.each(path, "entries", told.Entry, text=" ".join(given.text), kind=given.kind)
    code = 1
    for entry in islice(found, most):
        entries.line(screen, entry)
        code = 0
    return code
