"""Where nothing stands: how far the way to it leads, and what there is instead, in a sentence.

Names are an agent's, so they are shortened; of what stands under a secret's key nothing is told.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from checkpoints import contents, secrets
from checkpoints.contents import Listed, fetching
from checkpoints.diffs import places
from checkpoints.diffs.items import Item, Path
from checkpoints.diffs.plain import shown
from checkpoints.models import Checkpoint
from sickbay.tree.directory import IN_PLACE, SUBDIRECTORY
from sickbay.tree.text import load

MOST_READ, NAMED, LONGEST = 1_000, 5, 60


def place(checkpoint: Checkpoint, path: Path) -> str:
    """Of a place in the memory: `There is no rates.scal in this memory: rates has scale and fee.`"""
    way = contents.walk(checkpoint, path)
    if not way:
        return "This checkpoint has no memory."
    there, walked = way[-1]
    return f"There is no {_dotted(path)} in this memory: {_memory(checkpoint, there, walked, path)}."


def file(checkpoint: Checkpoint, path: str) -> str:
    """Of a path in the workspace: `There is no notes/todo in this checkpoint: notes has todo.md.`"""
    way = contents.way_to(checkpoint, path)
    if not way:
        return "This checkpoint has no workspace."
    return f"There is no {_short(path)} in this checkpoint: {_workspace(checkpoint, way, path)}."


def _memory(checkpoint: Checkpoint, there: Item, walked: Path, path: Path) -> str:
    fetch, named = fetching(checkpoint), _dotted(walked) if walked else "it"
    if secrets.is_below_telling(walked):
        return f"{named} is a secret, of which nothing is told"
    if not there.is_container:
        return f"{named} is a value, with nothing below it"
    count = places.count(there, fetch)
    if not count:
        return f"{named} is empty"
    if places.is_list(there, fetch):
        return f"{named} is a list of {count:,}, from 0 to {count - 1:,}"
    keys = [str(load(key)) for key in places.keys(there, fetch, MOST_READ)]
    return f"{named} has {_some(keys, str(path[len(walked)]), count)}"


def _workspace(checkpoint: Checkpoint, way: list[Listed], path: str) -> str:
    there, rest = way[-1], path.split("/")[len(way) - 1 :]
    named = _short(shown(there.path)) if there.path else "it"
    if there.entry.kind not in (SUBDIRECTORY, IN_PLACE):
        return f"{named} is a file, not a directory"
    names = [shown(one.filename) for one in contents.inside(checkpoint, there)]
    return f"{named} has {_some(names, rest[0], len(names))}" if names else f"{named} is empty"


def _some(names: Sequence[str], wanted: str, count: int) -> str:
    """Those that are spelled alike, or the first ones, and how many more there are."""
    near = difflib.get_close_matches(wanted[:LONGEST], [name[:LONGEST] for name in names[:MOST_READ]], NAMED)
    said = [_short(name) for name in near or names[:NAMED]]
    more = count - len(said)
    if not said:
        return f"{count:,} others"
    if more:
        return f"{', '.join(said)} and {more:,} more"
    return " and ".join([", ".join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]


def _dotted(path: Path) -> str:
    return _short(".".join(map(str, path)))


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
