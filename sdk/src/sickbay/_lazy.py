"""Functions that have done nothing yet when they return: coroutines where nobody awaits, generators."""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any

from sickbay._errors import BadArgument

KINDS = {GeneratorType, AsyncGeneratorType, CoroutineType}


def refusal_of(name: str, result: Any) -> BadArgument:
    """Why a lazy result cannot be executed; nothing of it has run."""
    _close(result)
    if isinstance(result, CoroutineType):
        return BadArgument(
            f"{name} is a coroutine function: write `async with agent.run() as run:` and "
            f"`await run.execute({name}, …)`"
        )
    return BadArgument(
        f"{name} is a generator, which has done nothing yet when it returns: write "
        f"`act = run.begin({name!r}, …)`, take what it yields, then `act.end(result)`"
    )


def refusal_of_step(name: str, result: Any) -> BadArgument | None:
    """Why a step cannot be lazy, where it is."""
    if type(result) not in KINDS:
        return None
    _close(result)
    if isinstance(result, CoroutineType):
        return BadArgument(f"{name} is a coroutine function: write `await agent.asupervise({name})`")
    return BadArgument(f"{name} is a generator: a step does its work and returns")


def _close(result: Any) -> None:
    if isinstance(result, CoroutineType | GeneratorType):
        result.close()
