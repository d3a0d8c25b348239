"""Places in a memory and paths in a workspace, in addresses and in words."""

from __future__ import annotations

import base64
import binascii
import json
from urllib.parse import urlencode

from checkpoints.diffs.items import Path

LONGEST, STEPS = 4_000, 80


def written(path: Path | None) -> str:
    """Nothing for none, and for one that is longer than an address may be."""
    said = "" if path is None else json.dumps(path, separators=(",", ":"))
    return said if len(said) <= LONGEST else ""


def read(text: str) -> Path | None:
    """The path that was written, or None."""
    if not text or len(text) > LONGEST:
        return None
    try:
        steps = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(steps, list) or len(steps) > STEPS:
        return None
    if not all(isinstance(step, str) or type(step) is int for step in steps):
        return None
    return tuple(steps)


def query(at: Path | None, was: Path | None) -> str:
    """A place in both memories; nothing where it cannot be written."""
    pairs = {name: written(path) for name, path in (("at", at), ("was", was)) if path is not None}
    return f"?{urlencode(pairs)}" if pairs and all(pairs.values()) else ""


def words(path: Path) -> str:
    """`rates.amount_scale`, `messages 3 content`."""
    said = ""
    for step in path:
        said += f" {step}" if isinstance(step, int) else f"{'.' if said else ''}{step}"
    return said.strip()


def file_written(path: bytes) -> str:
    return base64.urlsafe_b64encode(path).decode().rstrip("=")


def file_read(text: str) -> bytes | None:
    if not text or len(text) > 8_000:
        return None
    try:
        return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None
