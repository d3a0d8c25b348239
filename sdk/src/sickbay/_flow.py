"""One core for sync and async: a flow is a generator that yields what it wants done, and a driver does it.

(function, arguments)   call it; the async driver awaits an awaitable answer
Rest(seconds, rings)    wait so long, or until the ledger's bell has rung since `rings` was read
Blocking(function)      call it where it may block: here, or beside the event loop
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait `seconds` (None: until it rings)."""

    seconds: float | None
    rings: int


@dataclass(frozen=True, slots=True)
class Blocking:
    """A call that may wait for a disk or a network."""

    call: Callable[[], Any]


def backoff(failures: int) -> float:
    """1, 2, 4 … 60 seconds, each up to a fifth longer or shorter."""
    import random  # only failures pay for it

    return min(60.0, 2.0 ** (min(failures, 10) - 1)) * random.uniform(0.8, 1.2)


Ask = tuple[Callable[..., Any], tuple[Any, ...]] | Rest | Blocking
Flow = Generator[Ask, Any, T]


class Couch(Protocol):
    """Where a flow rests."""

    def rest(self, rest: Rest) -> None: ...

    async def arest(self, rest: Rest) -> None: ...


def drive(flow: Flow[T], couch: Couch | None = None) -> T:
    """Run a flow by calling what it asks for."""
    try:
        ask = next(flow)
        while True:
            try:
                answer = ask[0](*ask[1]) if type(ask) is tuple else _done(ask, couch)
            except BaseException as error:
                ask = flow.throw(error)
            else:
                ask = flow.send(answer)
    except StopIteration as stop:
        ended: T = stop.value
    return ended


async def adrive(flow: Flow[T], couch: Couch | None = None) -> T:
    """Run a flow by calling what it asks for, and awaiting what can be awaited."""
    try:
        ask = next(flow)
        while True:
            try:
                if type(ask) is tuple:
                    answer = ask[0](*ask[1])
                    if isinstance(answer, Awaitable):
                        answer = await answer
                else:
                    answer = await _adone(ask, couch)
            except BaseException as error:
                ask = flow.throw(error)
            else:
                ask = flow.send(answer)
    except StopIteration as stop:
        ended: T = stop.value
    return ended


def _done(ask: Any, couch: Couch | None) -> Any:
    if isinstance(ask, Blocking):
        return ask.call()
    assert couch is not None
    return couch.rest(ask)


async def _adone(ask: Any, couch: Couch | None) -> Any:
    if isinstance(ask, Blocking):
        return await _beside(ask.call)
    assert couch is not None
    return await couch.arest(ask)


async def _beside(call: Callable[[], T]) -> T:
    """Call it in a thread of its own, which ends with it: no pool stays behind in the host."""
    import asyncio

    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def deliver(how: Callable[[Any], None], what: Any) -> None:
        if not answer.done():
            how(what)

    def work() -> None:
        how: Callable[[Any], None] = answer.set_result
        what: Any = None
        try:
            what = call()
        except BaseException as error:
            how, what = answer.set_exception, error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there
            loop.call_soon_threadsafe(deliver, how, what)

    threading.Thread(target=work, name="sickbay-beside", daemon=True).start()
    return await answer
