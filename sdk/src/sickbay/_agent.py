"""The agent: what a developer declares once, and runs.

Declaring one loads little: what runs, records and speaks (`_entering` and below) is loaded by its first run.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from os import PathLike
from typing import TYPE_CHECKING, Any, Never, ParamSpec, TypeVar, overload

from sickbay._arguments import FailureBudget, checked, unknown
from sickbay._clock import Clock
from sickbay._errors import BadArgument, NoRun
from sickbay._memory import Memory
from sickbay._mind import Mind

if TYPE_CHECKING:
    from sickbay._checkpoint import RolledBack
    from sickbay._entering import Entering
    from sickbay._life import Life
    from sickbay._run import AsyncRun, Run
    from sickbay._transient import More
    from sickbay._ward import Ward

P = ParamSpec("P")
R = TypeVar("R")


class Agent:
    """An agent with a name, a budget, and someone who is told.

    Args:
        name: 1 to 63 of a-z, 0-9, '.', '_', '-'. It registers itself at its first run.
        instructions: what it must never forget.
        memory: a dict that JSON keeps unchanged, or Memory(save=…, load=…). `agent.memory` from then on.
        workspace: a directory of its own, or None.
        shared_workspace: True when others write there as well: it is in checkpoints and comparisons, and no
            rollback touches its files.
        budget: FailureBudget(max_consecutive=3, max_hourly=10).
        checkpoint_every: how often a checkpoint is taken, at the next safe point.
        every: for jobs: how often a run must start; a missed start is a failure.
        grace: for jobs: how late a start may be.
        about: what it is for, one line.
        owner: whose it is.
        runbook: where the person on call finds what to do.
        while_paused: what waiting costs, such as "refunds wait; 4 h is fine".
        heal: False for agents that move money and the like: nothing is rolled back or repeated by itself.
        passes: exception classes that are no failures, such as a framework's interrupts.
        transient: exception classes, or a function of the exception (True, False, or None for the usual
            rule), that spend no budget.
        redact: called with each text before it is recorded; returns the text to record.
        code_version: what is deployed, such as a commit.
        model: what it thinks with, such as "gpt-5.2"; a rollback to a state of another model says so.
        url: the server; default SICKBAY_URL. Without one everything stays on this machine.
        token: default SICKBAY_TOKEN.
        instance: which worker of a pool this is; default SICKBAY_INSTANCE, else "main".
        home: where its state and its spool lie; default SICKBAY_HOME, else ~/.sickbay.

    Raises:
        BadArgument: an argument is wrong; says what to write instead.

    Example:
        agent = Agent("refund-desk", about="refunds up to 50 €", owner="payments")
        with agent.run() as run:
            run.execute(issue_refund, order, verify=lambda r: r["amount"] == order["amount"])
    """

    def __init__(
        self,
        name: str,
        *,
        instructions: str | None = None,
        memory: dict[str, Any] | Memory | None = None,
        workspace: str | PathLike[str] | None = None,
        shared_workspace: bool = False,
        budget: FailureBudget | None = None,
        checkpoint_every: timedelta | None = None,
        every: timedelta | None = None,
        grace: timedelta | None = None,
        about: str | None = None,
        owner: str | None = None,
        runbook: str | None = None,
        while_paused: str | None = None,
        heal: bool = True,
        passes: tuple[type[BaseException], ...] = (),
        transient: More = (),
        redact: Callable[[str], str] | None = None,
        code_version: str | None = None,
        model: str | None = None,
        url: str | None = None,
        token: str | None = None,
        instance: str | None = None,
        home: str | PathLike[str] | None = None,
        **wrong: Never,
    ) -> None:
        self._arguments = checked(
            {
                **wrong,
                "name": name, "instructions": instructions, "memory": memory, "workspace": workspace,
                "shared_workspace": shared_workspace, "budget": budget, "checkpoint_every": checkpoint_every,
                "every": every, "grace": grace, "about": about, "owner": owner, "runbook": runbook,
                "while_paused": while_paused, "heal": heal, "passes": passes, "transient": transient,
                "redact": redact, "code_version": code_version, "model": model, "url": url, "token": token,
                "instance": instance, "home": home,
            }
        )  # fmt: skip
        self.name = self._arguments.name
        self.memory = self._arguments.memory
        self._clock = Clock()
        self._secrets: list[tuple[str, ...]] = []
        self._mind = Mind(self, self._secrets)
        self._tools: dict[str, str] = {}
        self._checks: list[Callable[[], Any]] = []
        self._has_run = False
        self._life: Life | None = None
        self._last: Ward | None = None
        self._entering = threading.Lock()

    def __repr__(self) -> str:
        return f"Agent({self.name!r}, instance={self._arguments.instance!r})"

    @property
    def instance(self) -> str:
        """Which worker this is."""
        return self._arguments.instance

    @property
    def instructions(self) -> str:
        """What it must never forget."""
        return self._arguments.instructions

    @property
    def guidance(self) -> str | None:
        """`run.guidance` of the live run, for prompts, nodes and tools that hold no run; else None."""
        ward = self._last
        return ward.ledger.data.guidance if ward is not None and self._life is not None else None

    @property
    def rolled_back(self) -> RolledBack | None:
        """`run.rolled_back` of the live run, for whatever holds no run; else None."""
        ward = self._last
        return ward.points.rolled_back if ward is not None and self._life is not None else None

    def run(self, *, wait: bool = False, fresh: bool = False, beat: bool = True, **wrong: Never) -> Entering:
        """Enter a run: `with agent.run() as run:` or `async with agent.run() as run:`.

        Asks the server for at most 3 seconds; without an answer the agent works all the same, and what it
        records is sent later.

        Args:
            wait: while the agent is paused, wait for the decision instead of raising.
            fresh: do not go on from the newest checkpoint: memory and files stay what they are.
            beat: False for hosts that freeze between calls: no heartbeat, and no alarm when it is silent.

        Raises (when entered):
            AgentPauseRequired: it is paused; AgentStopped: a human stopped it. Nothing has run.
            AlreadyRunning: another living process has this name and instance.
            TokenRefused: the server does not know the token.
            BadArgument: the memory holds what JSON would change.
        """
        if wrong:
            raise BadArgument(unknown("run()", wrong, ("wait", "fresh", "beat")))
        for option, value in (("wait", wait), ("fresh", fresh), ("beat", beat)):
            if not isinstance(value, bool):
                raise BadArgument(f"run({option}={value!r:.60}): write True or False")
        from sickbay._entering import Entering

        return Entering(self, wait=wait, fresh=fresh, beat=beat)

    def supervise(self, step: Callable[[Run], Any]) -> None:
        """Call `step(run)` again and again, for weeks: the loop that heals, pauses, waits and goes on.

        A step that fails is taken again after 1, 2, 4 … 60 s. On a pause it waits, at no cost, for the
        decision; `run.guidance` then says what the human said. It returns when a human stops the agent (at
        once when it was stopped before), and on SIGTERM at the next safe point; it ends as well when a step
        calls `sys.exit(0)`, and on Ctrl-C.

        Args:
            step: one turn of work.

        Raises:
            SystemExit, KeyboardInterrupt: out of the step.

        Example:
            agent.supervise(lambda run: run.execute(handle, queue.get()))
        """
        from sickbay._supervise import supervise

        supervise(self.run(wait=True), step)

    async def asupervise(self, step: Callable[[AsyncRun], Awaitable[Any]]) -> None:
        """`supervise` for coroutine functions: `await agent.asupervise(step)`."""
        from sickbay._supervise import asupervise

        await asupervise(self.run(wait=True), step)

    @overload
    def tool(self, function: Callable[P, R], /) -> Callable[P, R]: ...

    @overload
    def tool(self, /, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def tool(self, function: Any = None, /, **options: Any) -> Any:
        """Make every call of a function an action of the run that is live; for frameworks' tools.

        What the function raises is recorded and raised unchanged, so that existing `except` clauses go on
        working; a failed verification raises ActionFailed, a spent budget AgentPauseRequired.

        Args:
            function: a plain or a coroutine function; a generator is refused.
            **options: name=, expected=, verify=, external=, retries=, record= as for `run.execute`;
                key= is a function of the call's arguments that names the effect.

        Raises (when called):
            NoRun: no run of this agent is live.

        Example:
            @agent.tool(verify=bool)
            def search(query: str) -> list[str]: ...
        """
        from sickbay._tools import guarded

        if function is None:
            return lambda function: guarded(self, function, options)
        return guarded(self, function, options)

    def check(self, check: Callable[[], Any]) -> Callable[[], Any]:
        """Have the agent's state checked before each checkpoint: True proves it good, False is a failure.

        A failure bears the name `check` and counts like any other. Keep it quick: one checkpoint is taken
        before every external action.

        Args:
            check: called without arguments; True, False, None (cannot tell) or a Verdict with the reason.

        Example:
            @agent.check
            def balances() -> bool:
                return sum(agent.memory["ledger"].values()) == 0
        """
        if not callable(check):
            raise BadArgument(f"check({check!r:.60}): write a function that answers True or False")
        self._checks.append(check)
        return check

    def editing(self) -> AbstractContextManager[object]:
        """Hold checkpoints off while a thread changes several places: `with agent.editing():`.

        A checkpoint is one moment of the memory, and one of the workspace. What must be seen together,
        several files, or a file and the memory, is changed in here. Keep it short, and do not await in it:
        a checkpoint waits for at most ten seconds.

        Example:
            with agent.editing():
                Path("work/orders.json").write_text(json.dumps(orders))
                agent.memory["orders"] = len(orders)
        """
        return self._mind.editing

    def secret(self, *path: str) -> None:
        """Name a value of the memory that must not leave this host: it is masked wherever it appears.

        It stays out of checkpoints, and a rollback leaves it as it is in the living process.

        Args:
            *path: the keys that lead to it, such as agent.secret("smtp", "password").
        """
        if not path or not all(isinstance(key, str) and key for key in path):
            raise BadArgument(f"secret{path!r:.60}: write the keys that lead to it, as in secret('smtp')")
        self._secrets.append(path)

    def _secret_values(self) -> list[str]:
        values = []
        for path in self._secrets:
            value: Any = self.memory
            for key in path:
                value = value.get(key) if isinstance(value, dict) else None
            if isinstance(value, str) and len(value) >= 4:
                values.append(value)
        return values

    def _lets_pass(self, kind: type[BaseException]) -> None:
        """A framework's own interrupts are no failures; what adapts it says so."""
        given = self._arguments
        given.passes = tuple(dict.fromkeys((*given.passes, kind)))
        if self._last is not None:
            self._last.passes = given.passes

    def _ward(self) -> Ward:
        """Where tools record: the live run, or what bars it."""
        ward = self._last
        if ward is None:
            raise NoRun(f"{self.name} has no run: call its tools inside `with agent.run() as run:`")
        if self._life is None:
            raise ward.ledger.barred() or NoRun(
                f"the run of {self.name} is over: call its tools inside `with agent.run() as run:`"
            )
        return ward
