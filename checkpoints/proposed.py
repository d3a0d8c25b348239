"""The check that would have found out what *since when?* found: that a place is as it was before.

A value that may be shown stands in the check. For a secret, what is long, what was not there, and a file, the
checkpoint stands there that has it: nothing of it leaves the server.
"""

from __future__ import annotations

import json
import re

from checkpoints import checks, contents, secrets
from checkpoints.checks import AS_IN, FILE, Check
from checkpoints.diffs import places
from checkpoints.diffs.items import Path
from checkpoints.diffs.plain import shown
from checkpoints.models import Checkpoint
from sickbay.tree.text import dump, load

WORD = re.compile(r"[\w-]+\Z")


def value(before: Checkpoint, path: Path) -> Check | None:
    """None where the place cannot be written in a check."""
    said = _written(path)
    if len(said) > checks.LONGEST_PATH:
        return None
    text = _text(before, path)
    return Check(said, "equals", text) if text else Check(said, AS_IN, str(before.pk))


def file(before: Checkpoint, path: bytes) -> Check | None:
    said = shown(path)
    if len(said) > checks.LONGEST_PATH or said != said.strip():
        return None
    return Check(said, AS_IN, str(before.pk), FILE)


def _written(path: Path) -> str:
    """With dots where every step is a word, else as JSON."""
    steps = [str(step) for step in path]
    return ".".join(steps) if all(map(WORD.match, steps)) else json.dumps(path, separators=(",", ":"))


def _text(before: Checkpoint, path: Path) -> str:
    """The JSON text of what stands there; nothing where it is long, or not all of it may be shown."""
    found = contents.item(before, path)
    if found is None or found[0].length > checks.LONGEST_VALUE:
        return ""
    (text,) = places.texts([found[0]], contents.fetching(before))
    return text.decode() if dump(secrets.masked_value(load(text), path)) == text else ""
