"""Single places of a workspace's tree, and the names by which both ends compare them.

A place's name is that of a directory that holds its one entry, so it covers type, mode and content.
"""

from __future__ import annotations

from sickbay.tree.directory import IN_PLACE, SUBDIRECTORY, Entry, body_of, entries_in, entries_of
from sickbay.tree.node import DIRECTORY, name_of
from sickbay.tree.read import Fetch, checked


def entry_name(entry: Entry | None) -> str | None:
    """The name by which one file, link or directory is compared; None where nothing is."""
    return None if entry is None else name_of(DIRECTORY + body_of([entry])).hex()


def entry_at(root: bytes | None, path: str, fetch: Fetch) -> Entry | None:
    """What stands at this path of a workspace."""
    found = None if root is None else Entry(b"", SUBDIRECTORY, name=bytes(root))
    for part in path.encode("utf-8", "surrogateescape").split(b"/"):
        inner = _entries(found, fetch)
        found = next((entry for entry in inner if entry.filename == part), None)
        if found is None:
            return None
    return found


def _entries(entry: Entry | None, fetch: Fetch) -> list[Entry]:
    if entry is None or entry.kind not in (SUBDIRECTORY, IN_PLACE):
        return []
    if entry.kind == IN_PLACE:
        return entries_in(entry.body)
    return entries_of(checked([entry.name], fetch)[entry.name])
