"""The link between a home and its server: what core calls, and what it is called back with.

    register   asks for an epoch; the caller waits a limited time, the sender goes on trying
    flush      waits until everything spooled is acknowledged
    receipt    tells the server that a command was taken, done or refused
    snapshot() → the state that travels with every batch          (called on the sender's thread)
    on_account, on_pause, on_commands, on_holds, on_fenced        (called on the sender's or listener's)

At most three daemon threads, started by the first register: sender, listener, the socket's reader. Without a
URL only the sender, which makes the spool safe once a second. In a forked child the link is cut.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sickbay._aside import Aside
from sickbay._beats import Beats
from sickbay._complaints import UNREADABLE, Complaints
from sickbay._errors import SickbayError, TokenRefused
from sickbay._home import Home
from sickbay._identity import Identity
from sickbay._pacing import Pacing
from sickbay._sender import Failed, Portion, Sender, standing_of
from sickbay._spool import Batch

if TYPE_CHECKING:
    from sickbay._answers import Registered, Stored
    from sickbay._commands import Commands, Taken
    from sickbay._keeper import Keeper
    from sickbay._listener import Listener
    from sickbay._shipping import Shipping
    from sickbay._wire import Wire

LONGEST_WAIT = 600.0
log = logging.getLogger("sickbay")


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Register did not get through in time; the sender goes on trying. `why` is a sentence for a log."""

    why: str


class Link:
    """One home's line to one server. `url` None: nothing leaves this machine."""

    def __init__(
        self,
        home: Home,
        identity: Identity,
        url: str | None,
        token: str | None,
        *,
        snapshot: Callable[[], dict[str, Any]],
        on_account: Callable[[dict[str, Any]], None],
        on_commands: Callable[[list[dict[str, Any]]], None],
        on_pause: Callable[[dict[str, Any]], None],
        on_fenced: Callable[[], None],
        on_holds: Callable[[list[dict[str, Any]], float], None] = lambda told, at: None,
        on_heard: Callable[[], None] = lambda: None,
    ) -> None:
        self.home, self.identity = home, identity
        self.epoch: int | None = None
        self.is_fenced = False
        self._snapshot = snapshot
        self._state: dict[str, Any] = {}
        self._on_account, self._on_commands = on_account, on_commands
        self._on_pause, self._on_fenced, self._on_holds = on_pause, on_fenced, on_holds
        self._pid = os.getpid()
        self._wire: Wire | None = None
        self._listener: Listener | None = None
        self._commands: Commands | None = None
        if url:
            from sickbay._commands import Commands
            from sickbay._listener import Listener
            from sickbay._wire import Wire  # heavy, and only with a server

            self._wire = wire = Wire(url, token, on_heard)
            self._commands = Commands(wire, self.query, self._hand_on, self._fenced)
            if identity.beat:
                self._listener = Listener(self, wire.url, lambda: wire.headers)
        self._sender = Sender(home.spool, self._turn, Pacing())
        self._portion = Portion()
        self._aside = Aside(home.directory / "aside.ndjson")
        self.shipping: Shipping | None = None
        self._wants: str | None = None
        self._answered = False
        self._run, self._started_at = uuid.uuid4().hex, home.clock.wall()
        self._told: Any = None
        self._beats = Beats(home.clock)
        self.doing, self.beat = self._beats.doing, self._beats.next
        self.complaints = Complaints(identity.agent, home.directory)
        home.spool.wake = self._sender.nudge

    # What core calls

    def carry(self, keeper: Keeper) -> None:
        """Send this keeper's checkpoints, too; without a server, only make them safe."""
        self._sender.packs = keeper.packs
        if self._wire is not None:
            from sickbay._shipping import Shipping

            self.shipping = Shipping(self._wire, keeper, self.query)

    @property
    def reaches(self) -> Shipping | None:
        return self.shipping if self._answered and not self._cut else None

    def start(self) -> None:
        """Start the threads, if they do not run; never waits."""
        if not self._cut:
            self._sender.start()

    def register(self, timeout: float = 3.0, wants: str = "run") -> Registered | Unreachable:
        """Ask for an epoch for the spool's run (call `spool.begin` first). Raises TokenRefused.

        What fails at once is not waited for. If it comes through later, the callbacks tell.
        """
        if self._wire is None:
            return Unreachable("no url= (or SICKBAY_URL) is set: nothing leaves this machine")
        if self._cut:
            return Unreachable("this process was forked from the one that runs the agent")
        self._wants, self._answered, self.epoch, self.is_fenced = wants, False, None, False
        self._run = self.home.spool.run or self._run
        self._started_at = self.home.spool.started_at or self._started_at
        if self._listener is not None:
            self._listener.allow()
        self.start()
        job = self._sender.ask(self._register, late=self._tell_registered)
        in_time = job.wait(timeout)
        if isinstance(job.error, TokenRefused) and in_time:
            raise job.error
        if not in_time or job.error is not None:
            self._sender.nudge(True)  # it goes on trying
            late = f"{self._wire.url} did not answer within {timeout:g} s"
            return Unreachable(str(job.error) if in_time else self.complaints.late(late))
        return cast("Registered", job.result)

    def joins(self) -> None:
        """The run has begun, with or without a server: it asks for its epoch under a pause, too."""
        if self._wants is not None:
            self._wants = "join"

    def adopt(self, run: str, started_at: float) -> None:
        """Speak for a run that began without a server and is over; register comes next."""
        self._run, self._started_at = run, started_at

    def nudge(self, urgent: bool = False) -> None:
        """There is something to send, or the state changed."""
        if not self._cut:
            self._sender.nudge(urgent)

    def receipt(self, command: str, state: str, why: str = "", timeout: float = 10.0) -> Taken:
        """Tell the server; anything but "ok" means: do not act (or tell it again)."""
        commands = self._commands
        if commands is None or self._cut:
            return "unreachable"
        self.start()
        job = self._sender.ask(lambda: commands.receipt(command, state, why))
        if job.wait(timeout) and job.error is None:
            return cast("Taken", job.result)
        if job.error is not None:
            log.warning("sickbay: the receipt of a command did not get through: %s", job.error)
        return "unreachable"

    def fetch(self, timeout: float = 3.0) -> bool:
        """Fetch the commands that wait, now, and have them handed on; whether that was done in time."""
        if self._wire is None or self._cut:
            return False
        self.start()
        job = self._sender.ask(self.look)
        return job.wait(timeout) and job.error is None

    def flush(self, timeout: float = 5.0) -> bool:
        """Whether everything recorded, and the state, is acknowledged."""
        if self._wire is None or self._cut:
            return False
        self.start()
        return self._sender.drained(timeout)

    def stop(self, timeout: float = 2.0) -> None:
        """End the threads; what is left stays in the spool."""
        if self._cut:
            return
        deadline = time.monotonic() + timeout
        self._wants = None
        if self._listener is not None:
            self._listener.stop(max(0.0, timeout / 2))
        self._sender.stop(max(0.0, deadline - time.monotonic()))
        if self._wire is not None:
            self._wire.close()

    @property
    def _cut(self) -> bool:
        return self._pid != os.getpid()

    # Registering

    def _register(self) -> Registered:
        from sickbay._answers import plain

        assert self._wire is not None and self._commands is not None
        self._answered = False
        state = self.home.state
        body = {
            **self.identity.wire(),
            "run": self._run,
            "started_at": self._started_at,
            "sent_at": self.home.clock.wall(),
            "epoch": state.data.epoch,
            "state": self._fresh_state(),
            "wants": self._wants or "wait",
            "vanished": state.data.obituary(),
        }
        answer = self._wire.register(body)
        self.epoch = answer.epoch
        if answer.epoch is not None:
            state.data.epoch, state.data.epoch_run = answer.epoch, self._run
            state.save()
        self._answered = True  # from here on, being fenced is believed
        self.complaints.reached()
        self._told_pace(answer.beat_s, answer.reconnect_max_s)
        self._commands.after = 0
        self._call(self._on_holds, [plain(held) for held in answer.holds], answer.now)
        is_stopped = answer.pause is not None and answer.pause.stopped  # then it ends at once
        if self._listener is not None and not is_stopped:
            self._listener.start()
        return answer

    def _tell_registered(self, answer: Registered) -> None:
        """It came through when nobody waited any more."""
        self._tell(self._on_account, answer.account)
        self._tell(self._on_pause, answer.pause)

    @property
    def _must_register(self) -> bool:
        """Not while a refused start waits: it has no run, and asks again once its pause is lifted."""
        if self._wants is None or self.epoch is not None:
            return False
        is_free = self._wants == "run" and self._state.get("pause") is None
        return not self._answered or is_free or self._wants == "join"

    def _told_pace(self, beat_s: float, reconnect_max_s: float) -> None:
        self._sender.pacing.told(reconnect_max_s)
        if self._listener is not None:
            self._listener.told(beat_s, reconnect_max_s)

    # Sending: one turn of the sender

    def _turn(self) -> bool:
        """Send one batch, or a state that changed. Whether there may be more."""
        if self._wire is None:
            return False
        state = self._fresh_state()
        try:
            if self._must_register:
                self._tell_registered(self._register())
            batch = self._portion.next(self.home.spool)
            standing = standing_of(state)
            if batch is None and standing == self._told:
                return self._ship()
            answer = self._send(batch, state)
            if answer is None:
                self._told = standing if batch is None else self._told
                return True
            self._told = standing
            more = self._take(answer, batch)
            return self._ship() or more
        except SickbayError as error:
            raise self.complaints.failed(error) from error

    def _send(self, batch: Batch | None, state: dict[str, Any]) -> Stored | None:
        """The answer; None when the server refused just this, which was dealt with."""
        from sickbay._wire import Refused

        assert self._wire is not None
        lines, header = batch.lines if batch else [], self._header(batch, state)
        try:
            return self._wire.events(header, lines)
        except Refused as refused:
            if refused.status == 404:
                self._answered, self.epoch = False, None  # the server forgot this agent: register anew
            if refused.status not in UNREADABLE:
                raise
            if batch is None:
                log.error("sickbay: the state was refused: %s", refused)
            elif self._portion.refused(batch):
                self._aside.put("refused", batch, {batch.first})
                self.home.spool.acknowledged(batch, 1)
            return None

    def _header(self, batch: Batch | None, state: dict[str, Any]) -> dict[str, Any]:
        who, spool = self.identity, self.home.spool
        run, started_at = (batch.run, batch.started_at) if batch else (self._run, self._started_at)
        return {
            "agent": who.agent, "instance": who.instance, "process": who.process, "run": run,
            "started_at": started_at, "epoch": self._speaking_epoch, "n": len(batch.lines) if batch else 0,
            "first_seq": batch.first if batch else spool.seq + 1, "sent_at": self.home.clock.wall(),
            "state": state,
        }  # fmt: skip

    def _take(self, answer: Stored, batch: Batch | None) -> bool:
        """What an answer to a batch says, believed within reason. Whether more waited behind the batch."""
        self.complaints.reached()
        more = False
        if batch is not None:
            count = max(0, min(len(batch.lines), (answer.ack or 0) - batch.first + 1))
            self._aside.put("conflict", batch, set(answer.conflicts))
            self._aside.quarantined += len(answer.quarantined)
            self.home.spool.acknowledged(batch, count)
            self._portion.accepted()
            if count == 0:
                raise Failed(1.0)
            more = batch.more or count < len(batch.lines)
            if self.home.spool.run is not None and (signal := self._aside.signal(self.home.clock)):
                self.home.spool.append(signal)
        if answer.fenced:
            self._fenced(self._speaking_epoch)
        self._tell(self._on_account, answer.account)
        self._tell(self._on_pause, answer.pause)
        if answer.wait_ms > 0:
            self._sender.hold(min(LONGEST_WAIT, answer.wait_ms / 1000))
        if self._commands is not None and answer.commands_version > self._commands.after:
            self.look()
        return more

    def _ship(self) -> bool:
        """Send the oldest checkpoint that waits. Whether there are more."""
        from sickbay._wire import Refused

        shipping = self.reaches
        if shipping is None or self.is_fenced:
            return False
        epoch = self._speaking_epoch
        try:
            return shipping.ship()
        except Refused as refused:
            if refused.error != "fenced":
                raise
            self._fenced(epoch)
            return False

    def _fresh_state(self) -> dict[str, Any]:
        try:
            self._state = self._snapshot()
        except Exception:
            log.exception("sickbay: a bug: the state could not be told; the last one is told again")
        return self._state

    @property
    def _speaking_epoch(self) -> int:
        """Ours, or for a start without one the last that this home had."""
        return self.epoch if self.epoch is not None else self.home.state.data.epoch

    # Listening

    def query(self) -> dict[str, Any]:
        who, epoch = self.identity, self._speaking_epoch
        return {"agent": who.agent, "instance": who.instance, "epoch": epoch, "process": who.process}

    def heard(self, reconnect_max_s: float) -> None:
        """The socket is open: the server is there, so what was held back goes now."""
        self._sender.pacing.told(reconnect_max_s)
        self._sender.hurry()

    def look(self, wait: float = 0.0) -> None:
        """Fetch the commands that wait and hand them on."""
        if self._commands is not None and self._wants is not None and not self.is_fenced:
            self._commands.look(wait)

    def _fenced(self, epoch: int) -> None:
        """A newer process took over, unless it is this one: the answer to its register may be on its way."""
        if self._answered and epoch == self._speaking_epoch and not self.is_fenced:
            self.is_fenced = True
            self._call(self._on_fenced)

    # Calling back

    def _hand_on(self, commands: list[dict[str, Any]]) -> None:
        self._call(self._on_commands, commands)

    def _tell(self, callback: Callable[[dict[str, Any]], None], answer: Any) -> None:
        if answer is not None:
            from sickbay._answers import plain

            self._call(callback, plain(answer))

    def _call(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            callback(*args)
        except Exception:
            log.exception("sickbay: a bug while taking over what the server said; your agent goes on")
