"""`@agent.tool`: every call of a function is an action of the run that is live."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sickbay._action import Action, Ended
from sickbay._arguments import unknown
from sickbay._dependencies import signature_of
from sickbay._errors import ActionFailed, BadArgument
from sickbay._flow import Flow, adrive, drive
from sickbay._performing import performed
from sickbay._run import EXECUTES, check, check_retries, name_of

if TYPE_CHECKING:
    from sickbay._agent import Agent
    from sickbay._ward import Ward


def guarded(agent: Agent, function: Any, options: dict[str, Any]) -> Any:
    """The function, each call of it an action."""
    import inspect  # 10 ms, once a program that has tools

    _check(function, options)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise BadArgument(
            f"@agent.tool on {name_of(function)}, a generator: begin the action inside it, "
            f"`act = run.begin({name_of(function)!r}, …)`, and end it with `act.end(result)`"
        )
    agent._tools[options.get("name") or name_of(function)] = signature_of(function)
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def acall(*args: Any, **kwargs: Any) -> Any:
            ward = agent._ward()
            return _told(await adrive(_flow(ward, function, args, kwargs, options), ward))

        return acall

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        ward = agent._ward()
        return _told(drive(_flow(ward, function, args, kwargs, options), ward))

    return call


def _flow(
    ward: Ward,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: dict[str, Any],
) -> Flow[Ended]:
    key = options.get("key")
    given: Any = kwargs if kwargs and not args else args[0] if len(args) == 1 and not kwargs else list(args)
    if args and kwargs:
        given = {"args": list(args), **kwargs}
    act = Action(
        ward,
        options.get("name") or name_of(function),
        given or None,
        options.get("expected"),
        options.get("verify"),
        options.get("external", False),
        None if key is None else str(key(*args, **kwargs))[:200],
        options.get("record", "all"),
        options.get("again", False),
        options.get("confirm"),
    )
    call = functools.partial(function, **kwargs) if kwargs else function
    return performed(act, call, args, options.get("retries", 0))


def _told(ended: Ended) -> Any:
    """The result; what the function raised, unchanged; or the pause."""
    if isinstance(ended.error, ActionFailed) and ended.cause is not None:
        raise ended.cause
    return ended.told()


def _check(function: Any, options: dict[str, Any]) -> None:
    if not callable(function) or isinstance(function, type):
        raise BadArgument(f"@agent.tool on {function!r:.60}: it makes functions into actions")
    if wrong := [option for option in options if option not in EXECUTES]:
        raise BadArgument(unknown("@agent.tool(…)", wrong, EXECUTES))
    key = options.get("key")
    if key is not None and not callable(key):
        raise BadArgument(
            f"@agent.tool(key={key!r:.60}): each call is an effect of its own; write a function of its "
            "arguments, such as key=lambda order: f'refund:{order}'"
        )
    external = options.get("external", False)
    check(
        name=options.get("name") or name_of(function),
        expected=options.get("expected"),
        verify=options.get("verify"),
        external=external,
        key=None,
        record=options.get("record", "all"),
        again=options.get("again", False),
    )
    if options.get("confirm") is not None and (not callable(options["confirm"]) or key is None):
        raise BadArgument("@agent.tool(confirm=…) is a function of the key: give key= as well")
    if key is not None and not external:
        raise BadArgument("@agent.tool(key=…) names an effect on the outside world: add external=True")
    check_retries(options.get("retries", 0), external, key)
