"""What the address of the roll-back page asks for: how much, which files, and what comes after.

?scope=memory | workspace | files      nothing: all that the checkpoint has
&path=…                                a file, as comparing/paths writes it; once for each
&then=resume                           a paused agent goes on from there; nothing: it stays as it is
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.http import QueryDict

from checkpoints.models import Checkpoint
from checkpoints.proving import LONGEST_PATH, MOST_PATHS, Scope
from dashboard.contexts.comparing import paths

EVERYTHING, MEMORY, WORKSPACE, FILES = "", "memory", "workspace", "files"
WORDS = {
    EVERYTHING: "Everything",
    MEMORY: "Memory only",
    WORKSPACE: "Workspace only",
    FILES: "Single files",
}
RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Asked:
    """Wishes only: the target may not have what is asked for, see `fitted`."""

    scope: str = EVERYTHING
    paths: tuple[bytes, ...] = ()
    goes_on: bool = False

    def query(self, **changes: Any) -> str:
        """The part of an address that asks for this."""
        wanted = replace(self, **changes)
        pairs = [("scope", wanted.scope)] if wanted.scope else []
        if wanted.scope == FILES:
            pairs += [("path", paths.file_written(path)) for path in wanted.paths]
        if wanted.goes_on:
            pairs.append(("then", RESUME))
        return f"?{urlencode(pairs)}" if pairs else ""


def read(query: QueryDict) -> Asked:
    """Whatever cannot be read is left out."""
    named = [paths.file_read(text) for text in query.getlist("path")[:MOST_PATHS]]
    found = tuple(dict.fromkeys(path for path in named if path))
    scope = query.get("scope", FILES if found else EVERYTHING)
    return Asked(
        scope if scope in WORDS else EVERYTHING,
        found if scope == FILES else (),
        query.get("then") == RESUME,
    )


def offered(target: Checkpoint) -> list[str]:
    """What of it can be put back at all."""
    has_files = target.workspace is not None and not target.agent.shared_workspace
    if target.memory is not None and has_files:
        return [EVERYTHING, MEMORY, WORKSPACE, FILES]
    if has_files:
        return [WORKSPACE, FILES]
    return [MEMORY] if target.memory is not None else []


def fitted(asked: Asked, target: Checkpoint) -> Asked:
    """The wish as far as the target can serve it."""
    able = offered(target)
    if asked.scope in able or not able:
        return asked
    return replace(asked, scope=able[0], paths=())


def of_scope(plain: dict[str, Any], *, goes_on: bool = False) -> Asked:
    """The wish that makes a rollback with the scope of this one."""
    if plain.get("paths") is not None:
        named = tuple(path.encode("utf-8", "surrogateescape") for path in plain["paths"])
        return Asked(FILES, named, goes_on)
    memory, workspace = plain.get("memory", True), plain.get("workspace", True)
    scope = EVERYTHING if memory == workspace else MEMORY if memory else WORKSPACE
    return Asked(scope, (), goes_on)


def named(path: bytes) -> str | None:
    """The path as a scope names it; None where only the whole workspace brings it back."""
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return None
    return text if len(text) <= LONGEST_PATH and "\0" not in text else None


def scope(asked: Asked, moved: dict[bytes, bytes]) -> Scope:
    """What the verbs take. A file that was renamed since comes back by its old name, and its new one goes."""
    if asked.scope == FILES:
        wanted = [path for one in asked.paths for path in (one, moved.get(one, b"")) if path]
        texts = [text for path in dict.fromkeys(wanted) if (text := named(path)) is not None]
        return Scope(memory=False, paths=tuple(texts))
    return Scope(memory=asked.scope != WORKSPACE, workspace=asked.scope != MEMORY)
