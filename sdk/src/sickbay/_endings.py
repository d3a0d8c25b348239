"""How a run ends, by what came out of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sickbay._errors import AgentPauseRequired

if TYPE_CHECKING:
    from sickbay._ward import Ward


@dataclass(frozen=True, slots=True)
class Ending:
    """`counted`: the failure that ended it is one nobody has counted yet."""

    word: Literal["finished", "failed"]
    counted: bool = False


def ending_of(error: BaseException | None, ward: Ward) -> Ending:
    """Finished on a normal exit, a pause, sys.exit(0), Ctrl-C, cancellation; failed on anything else."""
    if error is None or is_calm(error) or isinstance(error, ward.passes):
        return Ending("finished")
    if isinstance(error, SystemExit):
        return Ending("failed", counted=True)
    return Ending("failed", counted=ward.ruling(error, 0).counted)


def is_calm(error: BaseException) -> bool:
    """Whether this is no failure at all."""
    if isinstance(error, BaseExceptionGroup):
        return all(is_calm(e) for e in error.exceptions)
    if isinstance(error, SystemExit):
        return error.code in (None, 0)
    return not isinstance(error, Exception)


def is_pause(error: BaseException) -> bool:
    """Whether a pause came out, alone or among what parallel tasks raised."""
    if isinstance(error, BaseExceptionGroup):
        return any(is_pause(e) for e in error.exceptions)
    return isinstance(error, AgentPauseRequired)
