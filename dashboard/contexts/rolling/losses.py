"""What a rollback takes away: the difference between its target and the newest checkpoint, in its scope."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

from checkpoints import compared, proving, queries
from checkpoints.blast import Blast
from checkpoints.compared import Pair
from checkpoints.models import Checkpoint
from dashboard import phrasing
from dashboard.contexts import changed
from dashboard.contexts.comparing import page as comparing
from dashboard.contexts.rolling import asked as wishes
from dashboard.contexts.rolling.asked import FILES, MEMORY, WORKSPACE, Asked
from dashboard.contexts.rolling.files import Listed

NOTHING = "nothing changed"


@dataclass(frozen=True, slots=True)
class Lost:
    """`memory`: its changes in a word, "" where it has none. `is_same`: no checkpoint shows a difference."""

    memory: str
    first: tuple[str, str, str]
    files: str
    takes_memory: bool
    takes_files: bool
    is_same: bool
    condemns: bool
    compare: str
    checkpoints: list[Checkpoint]

    @property
    def memory_differs(self) -> bool:
        return self.memory not in ("", NOTHING)

    @property
    def sentence(self) -> str:
        """`5 messages, 2 values and 4 files are undone.`"""
        parts = [self.memory if self.takes_memory and self.memory_differs else ""]
        parts.append(self.files if self.takes_files else "")
        said = " and ".join(part for part in parts if part)
        return f"Undoes {said}." if said else ""


def present(found: Blast) -> Checkpoint:
    """How the agent is now, as far as is known: its newest checkpoint, with what was put back since.

    A paused agent takes no checkpoint after a rollback, so the one just before would be its newest.
    """
    newest = found.newest or found.checkpoint
    row = queries.last_verified(newest.instance_id, since=newest.at)
    scope = proving.scope_of(row.scope) if row is not None else None
    target = queries.of_agent(row.agent_id, row.checkpoint) if row is not None else None
    if target is None or scope is None or scope.paths is not None:
        return newest
    there = copy.copy(target if scope.memory and scope.workspace else newest)
    there.agent = found.checkpoint.agent
    if scope.memory:
        there.memory, there.memory_length = target.memory, target.memory_length
    if scope.workspace:
        there.workspace, there.files, there.bytes = target.workspace, target.files, target.bytes
    return there


def of(pair: Pair, wish: Asked, found: Blast, picked: Listed) -> Lost:
    target, newest = pair.old, pair.new
    (told,) = compared.summaries(newest.project_id, [(target, newest)])
    takes_memory = target.memory is not None and wish.scope not in (WORKSPACE, FILES)
    takes_files = wish.scope != MEMORY and target.workspace is not None and not target.agent.shared_workspace
    single = phrasing.some(len(picked.ticked), "file") if picked.ticked else ""
    return Lost(
        memory="" if target.memory is None else changed.words(replace(told, files=0)),
        first=changed.first(told),
        files=single if wish.scope == FILES else picked.words,
        takes_memory=takes_memory,
        takes_files=takes_files,
        is_same=not (takes_memory and target.memory != newest.memory)
        and not (takes_files and _differ(pair, wish, picked)),
        condemns=bool(found.lost) and _covers(target, wish),
        compare="" if target.pk == newest.pk else comparing.address(pair),
        checkpoints=found.lost,
    )


def _differ(pair: Pair, wish: Asked, picked: Listed) -> bool:
    if wish.scope == FILES and not picked.damaged:
        return bool(picked.ticked)
    return pair.old.workspace != pair.new.workspace


def _covers(target: Checkpoint, wish: Asked) -> bool:
    """Whether all that it has goes back: then whatever was taken since is called bad."""
    return [wish.scope] == wishes.offered(target)[:1]
