"""Going back: a rollback from the order to the proof, exactly once over any death.

    before    the state just before is a checkpoint, so that going back can be undone
    record    what is being done stands in the state file: from here on it is *restoring*
    fetch     the memory's text is here before the first file is touched
    files     the workspace, all of it or nothing, by its own journal                       (_restore)
    memory    the same dict has other contents; secrets stay
    proof     a new snapshot; its names must be those of the checkpoint; the server is told them
    record    is gone; what comes after descends from the checkpoint

Until the files' journal is written the old state is intact, and RestoreRefused says why nothing was done.
After it nothing of the agent runs: RestoreUnfinished names what is in the way, a pause holds, and the next
start or the next resume finishes what the record says.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sickbay import _journal
from sickbay._checkpoint import RolledBack
from sickbay._edits import Edits
from sickbay._errors import RestoreRefused, RestoreUnfinished, SickbayError
from sickbay._failpoints import failpoint
from sickbay._flow import Blocking, Flow
from sickbay._guard import harmless, log
from sickbay._order import Order, evidence, left_out, unproven
from sickbay._progress import Heard, is_away, report
from sickbay._state import Pause

if TYPE_CHECKING:
    from sickbay._effects import Effects
    from sickbay._folder import Folder
    from sickbay._home import Home
    from sickbay._keeper import Keeper
    from sickbay._ledger import Ledger
    from sickbay._restore import Restored
    from sickbay._shipping import Shipping
    from sickbay._workspace import Snapshot


class Returns:
    """What one life does to go back. Its flows run where nothing else of the agent does."""

    def __init__(
        self, home: Home, keeper: Keeper, ledger: Ledger, shipping: Callable[[], Shipping | None], name: str
    ) -> None:
        self.keeper, self.ledger = keeper, ledger
        self._home, self._shipping, self.name = home, shipping, name
        self._data = home.state.data
        self._effects: Effects = home.effects
        self.edits = Edits(keeper, shipping)
        self.flush: Callable[[], object] = lambda: None
        self.put_memory = False  # this process has the memory that the record asked for
        self.is_blank = False  # this process has yet to be given the memory of the last one
        self.is_told = True  # the server knows how the last one ended that changed nothing
        self._tried: tuple[str, str | None, Any] = ("", None, None)

    def begin(self, run: str) -> None:
        """What happened while there was no run is this run's to know."""
        told = self._data.rolled_back
        if told is not None and not told.get("run"):
            told["run"] = run
            self._home.state.save()  # told to this run and to no later one

    # — to where —

    def target(self, to: str | None) -> Order:
        """The order for a checkpoint, or for the last known good one; RestoreRefused when there is none."""
        found = self.keeper.shelf.get(to)
        if found is not None:
            return Order.of(found)
        told = self._asked(to)
        if told is not None:
            return told
        good = self.keeper.shelf.good() if to is None else []
        if good:
            return Order.of(good[0])
        what = f"checkpoint {to} is not known" if to else "no checkpoint is known to be good"
        raise RestoreRefused(
            f"nothing was rolled back: {what}, here or at the server",
            what_to_do="choose one from the agent's page, or judge one good there",
        )

    def _asked(self, to: str | None) -> Order | None:
        shipping = self._shipping()
        if shipping is None:
            return None
        try:
            self.flush()
            told = shipping.one(to) if to else shipping.newest("good")
        except (SickbayError, ValueError) as error:
            log.debug("sickbay: %s", error)
            return None
        return Order.of(told) if told is not None else None

    # — the way —

    def rolling(self, order: Order, command: dict[str, Any] | None = None) -> Flow[RolledBack]:
        """All of it; raises RestoreRefused (nothing has changed) or RestoreUnfinished (and a pause holds).

        What the server has ordered and cannot be fetched while it is away raises NotAnswered: try again.
        """
        order.command = command
        self._leave_shared(order)
        if command is not None:
            yield Blocking(lambda: self._dated(order))
        by_hand = self._tried_before(order)
        if order.before is None:
            # Nothing of the agent runs while a pause holds, so what differs then was changed by hand.
            by_hand = (yield Blocking(self.edits.look)) if self.ledger.pause is not None else None
            if self.is_blank and not self.put_memory:
                yield Blocking(self._as_left)
            before = yield from self.keeper.taking("rollback", "before the rollback", sync=True)
            order.before = before.id or None
        self._tried = (order.rollback, order.before, by_hand)
        self._data.restoring = asdict(order)
        if not (yield Blocking(self._home.state.save)):
            why = f"what is begun cannot be written to {self._home.directory}, so nothing was rolled back"
            self._gave_up(order, why)
            raise RestoreRefused(why, what_to_do="make room there and roll back again")
        failpoint("rollback:recorded")
        self.ledger.tell(True)
        return (yield from self._carried(order, self.keeper.snapshot, by_hand))

    def _as_left(self) -> None:
        """At a start the memory is what the program begins with; what is kept aside is what was left."""
        from sickbay.tree.prove import proven_text

        newest = self.keeper.shelf.newest
        if newest is None or newest.memory is None or not self.keeper.has_state:
            return
        try:
            text = self.keeper.text_at_hand(newest.memory)
            if text is None:
                text = proven_text(bytes.fromhex(newest.memory), self._fetch())
            self.keeper.mind.put(text)
        except Exception as error:  # load() is the host's, and may raise anything
            if is_away(error):
                raise  # nothing was changed: the order waits for the server
            self.keeper.say(
                f"the memory of {newest.label or newest.id[:8]} could not be kept before a rollback: {error}"
            )
            return
        self.keeper.came_from(text, newest.id)

    def _leave_shared(self, order: Order) -> None:
        """A workspace that others write into as well stays as it is; the server, too, asks for no other."""
        if not self.keeper.shares_files or not order.wants_files:
            return
        if order.command is not None or not order.wants_memory:
            raise RestoreRefused(
                "nothing was rolled back: the workspace is shared with others, so its files stay as they are",
                what_to_do="roll back the memory alone, and change files by hand",
            )
        order.scope = {**order.scope, "workspace": False, "paths": None}

    def _tried_before(self, order: Order) -> Any:
        """The state just before, where an earlier try has kept it and nothing has happened since."""
        rollback, before, by_hand = self._tried
        if rollback != order.rollback or self.keeper.differs():
            return None
        order.before = before
        return by_hand

    def _dated(self, order: Order) -> None:
        """An order names its checkpoint; since when effects count, and what it is called, is known here."""
        known: Any = self.keeper.shelf.get(order.checkpoint)
        shipping = self._shipping()
        if known is None and shipping is not None:
            try:
                known = shipping.one(order.checkpoint)
            except (SickbayError, ValueError) as error:
                log.debug("sickbay: %s", error)
        if known is not None:
            order.at, order.label = known.at, known.label

    def finishing(self) -> Flow[RolledBack | None]:
        """What an earlier process began; before anything else of the agent."""
        record = self._data.restoring
        if record is not None:
            return (yield from self._carried(Order(**record), None, again=True))
        if self.is_pending:
            try:
                yield Blocking(self._finished)
            except RestoreUnfinished as stuck:
                self.stuck(Order("", None, None), str(stuck))
                raise
        return None

    def going_on(self, order: Order, *, files: bool) -> Flow[None]:
        """Enter from a checkpoint: nothing is lost by it that this home has, so it is no rollback."""
        text = yield Blocking(lambda: self._text(order))
        if files and not self.keeper.shares_files:
            yield Blocking(lambda: self._files(order, None))
        if text is not None:
            self._put(text)
            yield Blocking(lambda: self.keeper.came_from(text, order.checkpoint))
        self.keeper.parent = order.checkpoint

    @property
    def is_pending(self) -> bool:
        workspace = self.keeper.workspace
        return workspace is not None and _journal.is_pending(workspace.directory)

    def _carried(
        self, order: Order, current: Snapshot | None, last: Folder | None = None, *, again: bool = False
    ) -> Flow[RolledBack]:
        """`last`: the directory as it was before it was edited by hand; what was, is kept aside."""
        if order.command is not None:
            yield Blocking(lambda: self._report(order, {"state": "restoring"}))
        try:
            text = yield Blocking(lambda: self._text(order))
            restored = yield Blocking(lambda: self._files(order, current, last))
            failpoint("rollback:files")
            self._put(text)
        except RestoreUnfinished as stuck:
            self.stuck(order, str(stuck))
            raise
        except (SickbayError, ValueError, OSError) as error:
            # An earlier process may have put the files into place before it died.
            if self.is_pending or (again and not isinstance(error, RestoreRefused)):
                self.stuck(order, str(error))
                raise RestoreUnfinished(f"the rollback cannot go on yet: {error}") from error
            if order.command is not None and is_away(error):
                self._data.restoring = None
                self._home.state.save()
                raise
            self._gave_up(order, str(error))
            if isinstance(error, RestoreRefused):
                raise
            raise RestoreRefused(f"nothing was rolled back: {error}") from error
        failpoint("rollback:memory")
        return (yield from self._proven(order, text, restored))

    def _text(self, order: Order) -> bytes | None:
        from sickbay.tree.prove import proven_text

        if not order.wants_memory or order.memory is None:
            return None
        here = self.keeper.text_at_hand(order.memory)
        return here if here is not None else proven_text(bytes.fromhex(order.memory), self._fetch())

    def _files(self, order: Order, current: Snapshot | None, last: Folder | None = None) -> Restored | None:
        from sickbay import _restore

        workspace = self.keeper.workspace
        if workspace is None or not order.wants_files or order.workspace is None:
            return None
        paths = order.scope.get("paths")
        left = current.left if current is not None else {}
        return _restore.restore(
            workspace.directory,
            bytes.fromhex(order.workspace),
            self._fetch(),
            id=order.rollback,
            current=last or (current.folder if current is not None else None),
            rules=lambda text: left_out(text, left),
            scope=paths if paths else None,
            mark=workspace.mark(),
        )

    def _put(self, text: bytes | None) -> None:
        if text is None:
            return
        try:
            self.keeper.mind.put(text)
        except Exception as error:  # load() is the host's, and may raise anything
            raise RestoreUnfinished(
                f"the memory cannot be put back: {type(error).__name__}: {error}"
            ) from error
        self.put_memory = True

    def _proven(self, order: Order, text: bytes | None, restored: Restored | None) -> Flow[RolledBack]:
        keeper = self.keeper
        if text is not None:
            yield Blocking(lambda: keeper.came_from(text, order.checkpoint))
        keeper.parent = order.checkpoint
        keeper.facts.begin_anew()
        after = yield from keeper.taking("rollback", order.went_back, sync=True, restored=True)
        found = keeper.shelf.get(after.id)
        body = evidence(order, found, restored, keeper.nodes.fetch(None))
        is_proven = found is not None and (not order.wants_memory or found.memory == order.memory)
        if found is not None and order.wants_files and not order.scope.get("paths"):
            is_proven = is_proven and found.workspace == order.workspace
        told = self._told(order)
        before = (self._data.rolled_back or {}).get("of_memory")
        # Its effects stay in their own ledger: the state is small, and written at every failure.
        self._data.rolled_back = {
            "before": told.before, "to": told.to, "by": told.by, "why": told.why, "at": told.at,
            "since": order.at, "rollback": order.rollback, "run": self.ledger.run,
            "of_memory": order.rollback if order.wants_memory else before,
            "command": order.command and order.command["id"],
            "owed": {"command": order.command, "body": body} if order.command is not None else None,
        }  # fmt: skip
        self._data.restoring = None
        yield Blocking(self._home.state.save)
        failpoint("rollback:done")
        is_told = order.command is not None or (yield Blocking(lambda: self._applied(order, body)))
        if not is_told:
            why = f": {order.why}" if order.why else ""
            self._note("verified" if is_proven else "failed", order, f"{order.went_back} by {told.by}{why}")
        self.ledger.tell(True)
        if not is_proven and order.command is None:
            self._hold(unproven(order))
            raise RestoreUnfinished(unproven(order), what_to_do="end what writes there, and roll back again")
        return told

    def _told(self, order: Order) -> RolledBack:
        now = self._home.clock.wall()
        effects = self._effects.between(order.at, now)
        by = order.by or self.name
        return RolledBack(order.before, order.checkpoint, by, order.why, now, effects)

    # — what becomes of it —

    @property
    def begun(self) -> dict[str, Any] | None:
        """The command of what is being done."""
        record = self._data.restoring
        command: dict[str, Any] | None = record["command"] if record is not None else None
        return command

    def did(self, command: dict[str, Any]) -> bool:
        done = self._data.rolled_back
        return done is not None and done.get("command") == command["id"]

    @property
    def owed(self) -> dict[str, Any] | None:
        """The command whose end the server has yet to be told."""
        done = self._data.rolled_back
        owed = done.get("owed") if done is not None else None
        return owed["command"] if owed else None

    def tell_owed(self) -> Heard:
        """Tell it."""
        done = self._data.rolled_back
        if done is None or not done.get("owed"):
            return None
        order = Order(done["to"], None, None, rollback=done["rollback"], before=done["before"])
        order.command = done["owed"]["command"]
        heard = self._applied(order, done["owed"]["body"])
        if heard is not None:
            done["owed"] = None
            self._home.state.save()
        return heard

    def _applied(self, order: Order, body: dict[str, Any]) -> Heard:
        """The server has the checkpoints that it is told of."""
        if self._shipping() is None:
            return None
        self.flush()
        return self._report(order, body)

    def _gave_up(self, order: Order, why: str) -> None:
        """Nothing was changed; the agent is where it was."""
        self._data.restoring = None
        self._home.state.save()
        self.is_told = bool(self._report(order, {"state": "failed", "why": why[:2000]}))
        if not self.is_told:
            self._note("failed", order, f"not rolled back to {order.label or order.checkpoint[:8]}: {why}")
        self.ledger.tell(True)

    def stuck(self, order: Order, why: str) -> None:
        """The files are neither the old ones nor the new ones: nothing runs before they are."""
        self._home.state.save()
        self._hold(f"a rollback has begun and cannot go on yet: {why}")
        self._report(order, {"state": "restoring", "why": why[:2000]})
        self.ledger.tell(True)

    def _hold(self, cause: str) -> None:
        now = self._home.clock.wall()
        self.ledger.take(Pause(id=str(uuid.uuid4()), owner="detector", cause=cause, at=now))

    @harmless(None)
    def _note(self, outcome: str, order: Order, title: str) -> None:
        """Where the server does not: it writes the line of each rollback that it hears of."""
        line = {"kind": "rollback", "name": "rollback", "outcome": outcome, "title": title[:500]}
        self.ledger.note({**line, "checkpoint": order.checkpoint, "before": order.before, "by": order.by})

    def _report(self, order: Order, said: dict[str, Any]) -> Heard:
        return report(self._shipping(), order, said)

    def _finished(self) -> None:
        from sickbay import _restore

        workspace = self.keeper.workspace
        if workspace is not None:
            _restore.finish(workspace.directory, self._fetch(), mark=workspace.mark())

    def _fetch(self) -> Callable[[list[bytes]], dict[bytes, bytes]]:
        shipping = self._shipping()
        return self.keeper.nodes.fetch(shipping.fetch if shipping is not None else None)
