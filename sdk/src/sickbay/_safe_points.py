"""Safe points: where nothing of the agent is in flight. What must not happen elsewhere happens here.

before an action   a rollback that was ordered; a checkpoint that is due, or that an effect needs first
after one          the way back, when a verification has failed: to the last known good checkpoint
between steps      both, and what `supervise` heals
at the entry       what an earlier process began, and what was ordered while there was none
"""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any, Literal

from sickbay._checkpoint import Checkpoint, RolledBack
from sickbay._errors import (
    ActionFailed,
    BadArgument,
    NoRun,
    RestoreRefused,
    RestoreUnfinished,
    SickbayError,
)
from sickbay._flow import Blocking, Flow
from sickbay._order import Order
from sickbay._resuming import ordered

if TYPE_CHECKING:
    from sickbay._keeper import Keeper
    from sickbay._ledger import Ledger
    from sickbay._orders import Orders
    from sickbay._returns import Returns

Wanted = Literal["pause", "stop", "rollback", "leave"]
ASK_AGAIN = 30.0
SOON = 1.0
LONGEST_LABEL = 200


class SafePoints:
    """The safe points of one life."""

    def __init__(
        self, ledger: Ledger, keeper: Keeper, returns: Returns, orders: Orders, *, heals: bool
    ) -> None:
        self._ledger, self._keeper, self._returns, self._orders = ledger, keeper, returns, orders
        self._heals = heals
        self._clock = keeper.home.clock
        self._asked_at = self._ask_again_at = 0.0
        self._is_due = False  # a verification has failed, and something was still in flight
        self._healed_for = 0

    # — around actions —

    @property
    def wanted(self) -> Wanted | None:
        """What waits until nothing is in flight."""
        pause = self._ledger.pause
        if self._ledger._end is not None:
            return "leave"
        if pause is not None:
            return "stop" if pause.stopped else "pause"
        return "rollback" if self._orders.rollback is not None and self.can_go_back else None

    @property
    def has_to_stop(self) -> bool:
        return self.can_go_back or self._keeper.is_due()

    @property
    def can_go_back(self) -> bool:
        """Whether the server waits for a rollback, or for word of one, and may be there."""
        waits = self._orders.rollback is not None or self.owes
        return waits and self._clock.boot() >= self._ask_again_at

    def server_is_back(self) -> None:
        """It has answered something, so what it could not be asked is asked soon; it rings once.

        Not at once: one that answers this and fails that would be asked without end.
        """
        if self.waits_for_server and self._asked_at + SOON < self._ask_again_at:
            self._ask_again_at = self._asked_at + SOON
            self._ledger.ring()

    @property
    def rest(self) -> float:
        """Seconds until the server is asked again."""
        return max(0.1, self._ask_again_at - self._clock.boot())

    def _ask_later(self) -> None:
        self._asked_at = self._clock.boot()
        self._ask_again_at = self._asked_at + ASK_AGAIN

    def before(self, external: bool) -> Flow[None]:
        """An action is about to begin; an effect may turn out to be done, or to wait for an answer."""
        ledger, keeper = self._ledger, self._keeper
        if ledger.pause is not None or keeper.home.is_forked:
            return  # it will not begin
        if not ledger.in_flight and self.can_go_back:
            yield from self.going_back()
        if not external and not ledger.in_flight and keeper.is_due():
            yield from keeper.taking("every")

    def before_effect(self) -> Flow[None]:
        """It will reach the outside world now."""
        keeper = self._keeper
        if self._ledger.pause is None and not keeper.home.is_forked and keeper.has_state:
            yield from keeper.taking("effect", sync=True)

    def note(self, error: BaseException | None) -> None:
        """An action has ended so."""
        verdict = error.verdict if isinstance(error, ActionFailed) else None
        if verdict is not None and verdict.passed is False:
            self._is_due = True

    def wants(self) -> bool:
        """Whether there is something to do now that an action has ended."""
        return not self._ledger.in_flight and (self._is_due or self.has_to_stop)

    def after(self, name: str) -> Flow[str | None]:
        """The last action in flight has ended. The id of the checkpoint gone back to, if so."""
        due, self._is_due = self._is_due, False
        to = (yield from self.healing(f"{name} is not as expected")) if due else None
        if self.has_to_stop:
            yield from self.before(False)
        return to

    def between_steps(self, failed: str | None) -> Flow[None]:
        """A step has ended; `failed`: it raised, and this is the sentence."""
        if failed is not None and len(self._ledger.data.account.streak) >= 2:
            yield from self.healing(failed)
        if self.has_to_stop:
            yield from self.before(False)

    def healing(self, why: str) -> Flow[str | None]:
        """Back to a good one: the last, and from the third failure of a streak on one further each."""
        ledger, keeper = self._ledger, self._keeper
        streak, ever = len(ledger.data.account.streak), keeper.facts.ever_failed
        if not self._heals or not streak or ledger.pause is not None or not keeper.has_state:
            return None
        if self._healed_for == ever:
            return None  # for this failure it was done
        self._healed_for = ever
        goods = keeper.shelf.good()
        if not goods:
            keeper.say("not rolled back: no checkpoint is known to be good; the agent goes on as it is")
            return None
        order = Order.of(goods[min(max(0, streak - 2), len(goods) - 1)])
        order.by, order.why, order.asked_by = "supervise", why[:500], "verdict"
        try:
            yield from self._returns.rolling(order)
        except RestoreRefused as refused:
            keeper.say(f"not rolled back, the agent goes on as it is: {refused}")
            return None
        except RestoreUnfinished:
            return None  # a pause holds
        return order.checkpoint

    # — what is ordered —

    def going_back(self) -> Flow[None]:
        """Finish what was begun, and do what the server has ordered."""
        if self.is_unfinished or self._returns.is_pending:
            if (begun := self._returns.begun) is not None:
                yield Blocking(lambda: self._orders.take(begun))
            with contextlib.suppress(RestoreUnfinished, RestoreRefused):  # said where they were raised
                yield from self._returns.finishing()
        if not self.can_go_back:
            return
        yield from self._telling()
        command = self._orders.rollback
        if command is None or self.is_unfinished:
            return
        if self._returns.did(command):  # it was told again while it was being done
            self._orders.rollback = None
            return
        taken = yield Blocking(lambda: self._orders.take(command))
        if taken == "unreachable":
            self._ask_later()
            return
        self._orders.rollback = None
        if taken == "ok":
            yield from self._obeying(command)

    def _obeying(self, command: dict[str, Any]) -> Flow[None]:
        self._returns.is_told = True
        try:
            yield from self._returns.rolling(ordered(command), command)
        except RestoreUnfinished:
            return
        except (RestoreRefused, ValueError) as refused:
            why = str(refused)
            if not self._returns.is_told or not (yield Blocking(lambda: self._orders.gave_up(command, why))):
                self._later(command)
        except SickbayError:  # the server is away, and has what is needed
            self._later(command)
        else:
            yield from self._telling()

    def _later(self, command: dict[str, Any]) -> None:
        """Nothing was changed and nobody was told: it is tried again when the server is there."""
        self._orders.rollback = command
        self._ask_later()

    def _telling(self) -> Flow[None]:
        """The server is owed the proof of what was done; without it no pause of a decision ends."""
        command = self._returns.owed
        if command is None:
            return
        if (yield Blocking(lambda: self._orders.take(command))) == "unreachable":
            self._ask_later()
            return
        heard = yield Blocking(self._returns.tell_owed)
        if heard == "verified":
            yield Blocking(lambda: self._orders.rolled_back(command))
        elif heard is None:
            self._ask_later()

    @property
    def owes(self) -> bool:
        """Whether the server has yet to be told how a rollback ended."""
        return self._returns.owed is not None

    @property
    def waits_for_server(self) -> bool:
        return self.owes or self._orders.rollback is not None

    @property
    def is_unfinished(self) -> bool:
        return self._ledger.data.restoring is not None

    # — what the agent asks for —

    def checkpoint(self, label: str | None) -> Flow[Checkpoint]:
        if label is not None and (not isinstance(label, str) or len(label) > LONGEST_LABEL):
            raise BadArgument(
                f"checkpoint({label!r:.60}): write a text of at most {LONGEST_LABEL} characters"
            )
        self._refuse_dead()
        return (yield from self._keeper.taking("asked", label))

    def rollback(self, to: str | None) -> Flow[RolledBack]:
        ledger = self._ledger
        if to is not None:
            try:
                to = str(uuid.UUID(to))
            except (ValueError, AttributeError, TypeError):
                raise BadArgument(f"rollback({to!r:.60}): write the id of a checkpoint, or nothing") from None
        self._refuse_dead()
        if ledger.in_flight:
            raise BadArgument(f"run.rollback() while {ledger.doing()} is in flight: go back between actions")
        barred = ledger.barred()
        if barred is not None:
            raise barred
        order = yield Blocking(lambda: self._returns.target(to))
        order.why = "asked for by the agent"
        return (yield from self._returns.rolling(order))

    @property
    def rolled_back(self) -> RolledBack | None:
        """In this run, or between the last one and this."""
        told = self._ledger.data.rolled_back
        if told is None or told.get("run") != self._keeper.run:
            return None
        effects = self._keeper.home.effects.between(told["since"], told["at"])
        return RolledBack(told["before"], told["to"], told["by"], told["why"], told["at"], effects)

    def _refuse_dead(self) -> None:
        if not self._ledger.run or self._keeper.home.is_forked:
            raise self._ledger.barred() or NoRun(f"the run of {self._ledger.agent} is over")
