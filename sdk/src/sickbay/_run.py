"""A run: one life of an agent's process. Where its actions begin."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, Never, TypeVar, cast, overload

from sickbay import _waiting
from sickbay._action import Action, Ended
from sickbay._arguments import unknown
from sickbay._asking import ask, check_question
from sickbay._checkpoint import Checkpoint, RolledBack
from sickbay._errors import BadArgument
from sickbay._flow import Flow, adrive, drive
from sickbay._mask import Record
from sickbay._outcome import Verify
from sickbay._performing import performed
from sickbay._ward import Ward

if TYPE_CHECKING:
    from sickbay._agent import Agent
    from sickbay._safe_points import Wanted

T = TypeVar("T")
Confirm = Callable[[str], Any]
ACTS = ("input", "expected", "verify", "external", "key", "record", "again")
EXECUTES = ("name", "expected", "verify", "external", "key", "confirm", "retries", "again", "record")


class _Options(NamedTuple):
    """What an action is made of, in the order that `Action` takes it."""

    expected: str | None
    verify: Verify | None
    external: bool
    key: str | None
    record: Record
    again: bool = False
    confirm: Confirm | None = None


class RunBase:
    """What `Run` and `AsyncRun` share.

    Attributes:
        id: the run's id, 32 hex digits.
        agent: the agent that runs.
        guidance: what the human said with the last decision, or None.
    """

    def __init__(self, agent: Agent, ward: Ward) -> None:
        self.agent = agent
        self.id = ward.run
        self._ward = ward

    @property
    def guidance(self) -> str | None:
        """What the human said with the decision that let this agent go on; until the next decision."""
        return self._ward.ledger.data.guidance

    @property
    def rolled_back(self) -> RolledBack | None:
        """That the agent was rolled back in this run, or between the last one and this: from where, to what,
        by whom and why, and which effects stay; so that a model can be told. None when it was not."""
        return self._ward.points.rolled_back

    @property
    def wanted(self) -> Wanted | None:
        """What waits until nothing of the agent is in flight: "pause", "stop" (a human's decision),
        "rollback", or "leave" (the host wants the process to end, or a newer one took its place); else None.

        Look at it in an action that takes long, and end the action early. Asking changes nothing.

        Example:
            while not job.done() and run.wanted is None:
                time.sleep(0.2)
        """
        return self._ward.points.wanted

    def waiting(self, seconds: float, what: str = "") -> None:
        """Say that the agent waits on purpose, for at most so long; it returns at once.

        The fleet shows "waits for the export until 03:20:00 UTC" in place of nothing. It ends with the next
        action, or when the time is over. It is a safe point.

        Args:
            seconds: how long at most, up to 31 days.
            what: in a few words, what it waits for.

        Raises:
            AgentPauseRequired: the agent is paused.
            BadArgument: not a number of seconds.

        Example:
            run.waiting(3600, "the nightly export")
            export.wait()
        """
        _waiting.check(seconds, what)
        _waiting.say(self._ward.ledger, seconds, what, self._ward.clock.wall())

    def ask(self, question: str, *, key: str) -> str:
        """Ask a human, and wait as a pause waits: raises at first, answers once the human has decided.

        The agent is paused, with the question on its incident; over restarts too. Called again after
        *Resume*, with the same key, it returns what the human wrote ("" for nothing). After any other
        decision it asks again. What stands before it in a step is done again.

        Args:
            question: one sentence.
            key: names this very question, such as "refund:17".

        Raises:
            AgentPauseRequired: nobody has answered yet; leave the block, or let `supervise` wait.

        Example:
            if run.ask(f"Refund {amount} € for order 17?", key="refund:17") != "no": ...
        """
        check_question(question, key)
        return ask(self._ward, question, key)

    def action(
        self,
        name: str,
        *,
        input: Any = None,
        expected: str | None = None,
        verify: Verify | None = None,
        external: bool = False,
        key: str | None = None,
        record: Record = "all",
        again: bool = False,
        **wrong: Never,
    ) -> Action:
        """One action as a `with` block; `async with` where its verifier is a coroutine function.

        Args:
            name: what budgets and failure groups go by; at most 200 characters.
            input: what it works on; recorded, at most 4 KB.
            expected: one sentence: what must be true afterwards. Stands beside the result when it is not.
            verify: called with `result`; True pass, False fail, None unknown, or a Verdict.
            external: True when it reaches the outside world; its intent is written down before it runs.
            key: names the effect, such as "refund:17"; with external=True only.
            record: "all", "shape" (types and sizes only) or "none".
            again: True to do an effect whose key is done already.

        Raises:
            BadArgument: at once, with what to write instead.
            ActionFailed: at the end of the block, from what was raised in it, or when verify said no; at its
                beginning, when the key's effect is done or may have happened.
            AgentPauseRequired: the agent is paused, or this failure spent its budget.

        Example:
            with run.action("search", input=query, verify=bool) as act:
                act.result = index.search(query)
        """
        if wrong:
            raise BadArgument(unknown(f"action({name!r:.60})", wrong, ACTS))
        check(name, expected, verify, external, key, record, again)
        return Action(self._ward, name, input, expected, verify, external, key, record, again)

    def begin(
        self,
        name: str,
        *,
        input: Any = None,
        expected: str | None = None,
        verify: Verify | None = None,
        external: bool = False,
        key: str | None = None,
        record: Record = "all",
        again: bool = False,
        **wrong: Never,
    ) -> Action:
        """Begin an action that ends elsewhere, for callbacks and streams: `act.end(result)` ends it.

        The arguments are those of `action`; verify must be a plain function here.

        Example:
            act = run.begin("stream", input=prompt)
            text = "".join(model.stream(prompt))
            act.end(text)
        """
        if wrong:
            raise BadArgument(unknown(f"begin({name!r:.60})", wrong, ACTS))
        return self.action(
            name, input=input, expected=expected, verify=verify, external=external, key=key, record=record,
            again=again,
        ).start()  # fmt: skip

    def _prepared(
        self, action: Any, args: tuple[Any, ...], name: str | None, retries: int, options: _Options
    ) -> Flow[Ended]:
        if not callable(action):
            raise BadArgument(
                f"execute({action!r:.60}): its first argument is the function, and its arguments follow: "
                "run.execute(issue_refund, order)"
            )
        name = name_of(action) if name is None else name
        check(name, *options)
        check_retries(retries, options.external, options.key)
        given = None if not args else args[0] if len(args) == 1 else list(args)
        return performed(Action(self._ward, name, given, *options), action, args, retries)


class Run(RunBase):
    """A run, in a plain `with agent.run() as run:`. Safe to use from several threads."""

    def execute(
        self,
        action: Callable[..., T],
        *args: Any,
        name: str | None = None,
        expected: str | None = None,
        verify: Callable[[T], Any] | None = None,
        external: bool = False,
        key: str | None = None,
        confirm: Confirm | None = None,
        retries: int = 0,
        again: bool = False,
        record: Record = "all",
        **wrong: Never,
    ) -> T:
        """Call `action(*args)`, verify what it returns, count what goes wrong.

        Args:
            action: the function; for named arguments use functools.partial or a lambda.
            *args: its arguments; recorded, at most 4 KB.
            name: default `action.__name__`; what budgets and failure groups go by.
            expected: one sentence: what must be true afterwards.
            verify: called with the result: True pass, False fail, None unknown, or Verdict(…, why).
                Anything else, or a raise, is unknown: the result is returned and nothing is counted.
            external: True when it reaches the outside world; a checkpoint is taken before it.
            key: names the effect, such as "refund:17"; with external=True only. What is done under it is not
                done again, over rollbacks, restarts and retries: the recorded result comes back.
            confirm: called with the key when its effect may have happened (the process died, or it timed
                out): False, it did not; True, or the result, it did; None, nobody can tell.
            retries: so many attempts more, after 1, 2, 4 … 60 s; together they are one action. With
                external=True only with a key, and after a time-out only when confirm says False.
            again: True to do an effect whose key is done already.
            record: "all", "shape" (types and sizes only) or "none".

        Returns:
            What the action returned.

        Raises:
            BadArgument: at once, with what to write instead.
            ActionFailed: from what the action raised, or when verify said no.
            AgentPauseRequired: the agent is paused, or this failure spent its budget.

        Example:
            refund = run.execute(issue_refund, order, verify=lambda r: r["amount"] == order["amount"])
        """
        if wrong:
            raise misnamed(action, wrong)
        options = _Options(expected, verify, external, key, record, again, confirm)
        return cast(T, drive(self._prepared(action, args, name, retries, options), self._ward).told())

    def checkpoint(self, label: str | None = None) -> Checkpoint:
        """Take a checkpoint of memory and workspace, now. It is on disk when this returns, and sent later.

        Args:
            label: what to call it, at most 200 characters.

        Returns:
            The checkpoint. Where none could be taken (a full disk, a memory that JSON would change) its id is
            empty, the timeline says why, and the agent goes on.

        Example:
            run.checkpoint("after refund")
        """
        return drive(self._ward.points.checkpoint(label), self._ward)

    def rollback(self, to: str | None = None) -> RolledBack:
        """Go back to a checkpoint; memory and workspace are as it has them when this returns.

        The state just before is kept as a checkpoint, so that this can be undone. What reached the outside
        world stays as it is: the answer lists it.

        Args:
            to: the checkpoint's id; default the last known good one.

        Raises:
            BadArgument: inside an action, or no id.
            RestoreRefused: it cannot be done, and nothing was changed.
            RestoreUnfinished: it has begun and cannot go on yet; the agent is paused until it is finished.
                Or something writes there still, and what is there afterwards is not what was put back.
            AgentPauseRequired: the agent is paused.
        """
        return drive(self._ward.points.rollback(to), self._ward)


class AsyncRun(RunBase):
    """A run, in `async with agent.run() as run:`. Its actions may run in parallel tasks."""

    @overload
    async def execute(self, action: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T: ...

    @overload
    async def execute(self, action: Callable[..., T], *args: Any, **options: Any) -> T: ...

    async def execute(
        self,
        action: Callable[..., Any],
        *args: Any,
        name: str | None = None,
        expected: str | None = None,
        verify: Verify | None = None,
        external: bool = False,
        key: str | None = None,
        confirm: Confirm | None = None,
        retries: int = 0,
        again: bool = False,
        record: Record = "all",
        **wrong: Never,
    ) -> Any:
        """`Run.execute`, awaited: coroutine functions are awaited, plain ones called; verify may be either.

        Example:
            answer = await run.execute(ask_model, question, verify=lambda a: bool(a.citations))
        """
        if wrong:
            raise misnamed(action, wrong)
        options = _Options(expected, verify, external, key, record, again, confirm)
        return (await adrive(self._prepared(action, args, name, retries, options), self._ward)).told()

    async def checkpoint(self, label: str | None = None) -> Checkpoint:
        """`Run.checkpoint`, awaited: the memory is read at once, disk and files beside the event loop."""
        return await adrive(self._ward.points.checkpoint(label), self._ward)

    async def rollback(self, to: str | None = None) -> RolledBack:
        """`Run.rollback`, awaited."""
        return await adrive(self._ward.points.rollback(to), self._ward)


def name_of(action: Any) -> str:
    """The name a function goes by; a partial's is that of what it wraps."""
    while isinstance(action, functools.partial):
        action = action.func
    name = getattr(action, "__name__", None)
    return name if isinstance(name, str) and name else type(action).__name__


def misnamed(action: Any, wrong: Iterable[str]) -> BadArgument:
    """What to write instead of a named argument that `execute` does not take."""
    from difflib import get_close_matches  # only who writes it wrong pays for it

    option, name = next(iter(wrong)), name_of(action)
    meant = get_close_matches(option, EXECUTES, 1, 0.8)
    return BadArgument(
        f"execute({name}, {option}=…): "
        + (f"did you mean {meant[0]}=? Otherwise, " if meant else "execute has no such argument; ")
        + f"give the action its named arguments as run.execute(functools.partial({name}, {option}=…)), or as "
        f"run.execute(lambda: {name}({option}=…), name={name!r})"
    )


def check(
    name: Any, expected: Any, verify: Any, external: Any, key: Any, record: Any,
    again: Any = False, confirm: Any = None,
) -> None:  # fmt: skip
    """Refuse what no action can be made of."""
    if not isinstance(name, str) or not 0 < len(name) <= 200:
        raise BadArgument(f"name={name!r:.60}: write a text of 1 to 200 characters, such as 'issue_refund'")
    if expected is not None and not isinstance(expected, str):
        raise BadArgument(f"expected={expected!r:.60}: write a sentence, and give the test as verify=")
    if verify is not None and not callable(verify):
        raise BadArgument(f"verify={verify!r:.60}: write a function of the result, such as lambda r: r == 4")
    if not isinstance(external, bool):
        raise BadArgument(f"external={external!r:.60}: write external=True or leave it out")
    if record not in ("all", "shape", "none"):
        raise BadArgument(f"record={record!r:.60}: write 'all', 'shape' or 'none'")
    if key is not None and (not isinstance(key, str) or not 0 < len(key) <= 200):
        raise BadArgument(f"key={key!r:.60}: write a text of 1 to 200 characters, such as 'refund:17'")
    if key is not None and not external:
        raise BadArgument(f"key={key!r} names an effect on the outside world: add external=True")
    if not isinstance(again, bool):
        raise BadArgument(f"again={again!r:.60}: write again=True or leave it out")
    if confirm is not None and (not callable(confirm) or key is None):
        raise BadArgument(
            "confirm= is a function of the key that tells whether its effect happened: give key="
        )


def check_retries(retries: Any, external: bool, key: object) -> None:
    """Refuse what would repeat an effect."""
    if not isinstance(retries, int) or isinstance(retries, bool) or not 0 <= retries <= 100:
        raise BadArgument(f"retries={retries!r:.60}: write how many attempts more, from 0 to 100")
    if retries and external and key is None:
        raise BadArgument(
            f"retries={retries} with external=True: what reaches the outside world is repeated under a key "
            "only, such as key='refund:17'; give one, or leave retries= out"
        )
