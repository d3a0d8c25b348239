"""How a checkpoint is named on a command line.

3f2a9c…          how its id begins, at least four digits, unique in the project
AGENT            the agent's newest
AGENT@good       its last known good
…^  …^^  …~3     the one before, two before, three before: by parent
"""

from __future__ import annotations

import difflib
import re
from itertools import islice
from urllib.parse import quote

from sickbay._errors import BadArgument
from sickbay._operator import Operator
from sickbay._shell.told import Agent, Checkpoint
from sickbay._wire import Refused

PREFIX = re.compile(r"[0-9a-f]{4}[0-9a-f-]{0,32}")
STEPS = re.compile(r"(\^+|~\d{0,4})\Z")
MOST_AGENTS, MOST_NAMED = 500, 5


def checkpoint(operator: Operator, named: str, agent: str | None = None) -> Checkpoint:
    """The one checkpoint that is meant; BadArgument says what else it may be. `agent`: of this one alone."""
    base, back = named, 0
    while found := STEPS.search(base):
        base = base[: found.start()]
        back += int(found[0][1:] or 1) if found[0][0] == "~" else len(found[0])
    at = _base(operator, base, agent)
    for _ in range(min(back, 1_000)):
        if at.parent is None:
            raise BadArgument(f"{named}: {short(at.id)} is the first one, nothing is before it")
        at = operator.get(f"checkpoints/{at.parent}/", Checkpoint)
    return at


def agent(operator: Operator, name: str) -> Agent:
    """The agent of this name; BadArgument names those that are spelled alike."""
    try:
        return operator.get(f"agents/{quote(name, safe='')}/", Agent)
    except Refused as refused:
        if refused.status != 404:
            raise
    there = [one.name for one in islice(operator.each("agents/", "agents", Agent), MOST_AGENTS)]
    raise BadArgument(f"there is no agent {name!r:.80}{_instead(name, there)}")


def newest(operator: Operator, name: str) -> Checkpoint:
    """The agent's newest checkpoint."""
    path = f"agents/{quote(name, safe='')}/checkpoints/"
    found = next(operator.each(path, "checkpoints", Checkpoint, limit=1), None)
    if found is None:
        raise no_checkpoint(name)
    return found


def no_checkpoint(name: str) -> BadArgument:
    return BadArgument(f"{name} has no checkpoint yet: it takes them once it has a memory= or a workspace=")


def good(operator: Operator, its: Agent) -> Checkpoint:
    """Its last known good."""
    if its.last_known_good is None:
        raise BadArgument(f"{its.name} has no good checkpoint yet: name another")
    return operator.get(f"checkpoints/{its.last_known_good}/", Checkpoint)


def short(id: str) -> str:
    """An id as people write it."""
    return id.replace("-", "")[:9]


def _base(operator: Operator, named: str, its: str | None) -> Checkpoint:
    if named in ("good", "last_known_good") and its is not None:
        return good(operator, agent(operator, its))
    if PREFIX.fullmatch(named):
        found = operator.get("checkpoints/", dict[str, list[Checkpoint] | None], prefix=named, limit=10)
        rows = [one for one in found.get("checkpoints") or [] if its in (None, one.agent)]
        if len(rows) == 1:
            return rows[0]
        if rows:
            raise BadArgument(f"{named} is the beginning of several: {', '.join(_said(one) for one in rows)}")
    name, _, which = named.partition("@")
    if which not in ("", "good") or not name:
        raise BadArgument(f"{named!r:.100} names no checkpoint: write how its id begins, AGENT or AGENT@good")
    try:
        its_agent = agent(operator, name)
    except BadArgument as error:
        hint = " and no checkpoint begins so" if PREFIX.fullmatch(named) else ""
        raise BadArgument(f"{error}{hint}") from None
    return good(operator, its_agent) if which else newest(operator, name)


def _instead(name: str, there: list[str]) -> str:
    """Those that are spelled alike, else the first ones and how many more there are."""
    if not there:
        return "; this token's project has none"
    near = difflib.get_close_matches(name, there, 3)
    if near:
        return f"; there is {', '.join(near)}"
    more = len(there) - MOST_NAMED
    beyond = "at least " if len(there) == MOST_AGENTS else ""
    return f"; there is {', '.join(there[:MOST_NAMED])}" + (f" and {beyond}{more} more" if more > 0 else "")


def _said(one: Checkpoint) -> str:
    return f"{one.id.replace('-', '')[:16]} ({one.agent}, {one.standing})"
