"""What a rollback is to bring back, and whether it did: rules without a clock or a database.

Single paths are compared by the names that `sickbay.tree.paths` gives them, at both ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sickbay.tree.paths import entry_at as entry_at
from sickbay.tree.paths import entry_name as entry_name

MOST_PATHS = 100
LONGEST_PATH = 1_024
NAMED = 3  # files that a sentence names


@dataclass(frozen=True, slots=True)
class Scope:
    """What of a checkpoint is put back; with `paths`, of the workspace only these and what is below."""

    memory: bool = True
    workspace: bool = True
    paths: tuple[str, ...] | None = None

    def plain(self) -> dict[str, Any]:
        paths = list(self.paths) if self.paths is not None else None
        return {"memory": self.memory, "workspace": self.workspace, "paths": paths}


def scope_of(plain: Mapping[str, Any]) -> Scope:
    paths = plain.get("paths")
    return Scope(
        plain.get("memory", True), plain.get("workspace", True), tuple(paths) if paths is not None else None
    )


def wrong_path(paths: tuple[str, ...]) -> str | None:
    """Why one of them cannot be a place in a workspace."""
    for path in paths:
        parts = path.split("/")
        if (
            not path
            or len(path) > LONGEST_PATH
            or "\0" in path
            or any(part in ("", ".", "..") for part in parts)
        ):
            return f"{path[:60]!r} is no path inside of the workspace"
    return None


@dataclass(frozen=True, slots=True)
class Roots:
    """Names of trees, and of single paths."""

    memory: bytes | None = None
    workspace: bytes | None = None
    paths: Mapping[str, str | None] | None = None


def differences(
    scope: Scope, wanted: Roots, found: Roots, files: Callable[[], Sequence[bytes]] = tuple
) -> list[str]:
    """What is not as the checkpoint has it, in words; empty when it is proven.

    `files` tells the paths by which the workspaces differ, where they can be compared; it is asked only when
    they do.
    """
    said = []
    if scope.memory and wanted.memory != found.memory:
        said.append(_differ("memory", _hex(found.memory), _hex(wanted.memory)))
    if scope.workspace and scope.paths is None and wanted.workspace != found.workspace:
        paths = files() if wanted.workspace and found.workspace else ()
        said.append(
            _named(paths) if paths else _differ("workspace", _hex(found.workspace), _hex(wanted.workspace))
        )
    if scope.workspace and scope.paths is not None:
        there, reported = wanted.paths or {}, found.paths or {}
        said += [
            _differ(path, reported.get(path, "not reported"), there.get(path))
            for path in scope.paths
            if path not in reported or reported[path] != there.get(path)
        ]
    return said


def _named(paths: Sequence[bytes]) -> str:
    """The first few by name, as it can be kept: whoever shows it makes it safe."""
    first = ", ".join(path.decode(errors="backslashreplace")[:200] for path in paths[:NAMED])
    more = f" and {len(paths) - NAMED:,} more" if len(paths) > NAMED else ""
    return f"{first}{more} {'is' if len(paths) == 1 else 'are'} not as the checkpoint has it"


def _differ(what: str, found: str | None, wanted: str | None) -> str:
    return f"{what} is {_short(found)}, the checkpoint's is {_short(wanted)}"


def _short(name: str | None) -> str:
    return "none" if name is None else name[:12]


def _hex(name: bytes | None) -> str | None:
    return None if name is None else bytes(name).hex()
