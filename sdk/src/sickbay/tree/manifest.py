"""The manifest: what a checkpoint is made of and what its state depends on. Its name is the integrity root.

A rollback is proven by the names of memory and workspace, never by the manifest's: that one also holds the
parent, and with it the whole history.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sickbay.tree.node import MANIFEST, BadNode
from sickbay.tree.text import load, spell

FORMAT = 1
_TEXTS = ("code", "sdk", "model", "tools")
_NAMES = ("memory", "workspace", "parent")


@dataclass(frozen=True, slots=True)
class Manifest:
    """`memory`, `workspace` and `parent` are names of nodes; None where there is none."""

    memory: bytes | None = None
    workspace: bytes | None = None
    code: str = ""
    sdk: str = ""
    model: str = ""
    tools: str = ""
    parent: bytes | None = None

    def plain(self) -> bytes:
        said: dict[str, Any] = {"format": FORMAT, **asdict(self)}
        for key in _NAMES:
            said[key] = said[key].hex() if said[key] is not None else None
        return MANIFEST + spell(said)


def manifest_of(plain: bytes) -> Manifest:
    """The manifest of a K node; BadNode when it is not spelled as we would."""
    if plain[:2] != MANIFEST:
        raise BadNode(f"a node of type {plain[:2]!r} is no manifest")
    try:
        said = load(plain[2:])
        number = said.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError):
        raise BadNode("the manifest cannot be read") from None
    if number != FORMAT:
        raise BadNode(f"format {number!r:.20} is unknown here: this version reads format {FORMAT}")
    manifest = _checked(said)
    if manifest.plain() != plain:
        raise BadNode("the manifest is not spelled as it must be")
    return manifest


def _checked(said: dict[str, Any]) -> Manifest:
    given: dict[str, Any] = {}
    for key in _NAMES:
        given[key] = _name(said.get(key))
    for key in _TEXTS:
        text = said.get(key)
        if not isinstance(text, str) or len(text) > 200:
            raise BadNode(f"the manifest's {key} is no text of at most 200 characters")
        given[key] = text
    return Manifest(**given)


def _name(value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        name = bytes.fromhex(value)
    except (TypeError, ValueError):
        name = b""
    if len(name) != 32:
        raise BadNode("a name in the manifest is no SHA-256")
    return name
