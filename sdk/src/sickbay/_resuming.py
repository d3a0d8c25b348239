"""Entering a run: from where it goes on.

Nothing is loaded when this process ran the agent before: its memory is alive. Otherwise the memory comes
from the newest usable checkpoint: one that still waits here for the server, else the server's, else (without
an answer) the newest that this home knows. Files are as the last process of this home left them, with what
was worked on since that checkpoint; they are restored only when the checkpoint is not of this home, as on
another machine. What is in the way there is kept aside.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sickbay._errors import RestoreRefused, RestoreUnfinished, SickbayError
from sickbay._flow import Blocking, Flow
from sickbay._guard import log
from sickbay._order import Order

if TYPE_CHECKING:
    from sickbay._keeper import Keeper
    from sickbay._returns import Returns
    from sickbay._shelf import Taken
    from sickbay._shipping import Shipping


def resuming(
    keeper: Keeper, returns: Returns, reaches: Callable[[], Shipping | None], has_run: bool
) -> Flow[None]:
    """Load what there is to go on from; what stands in the way is said, and the agent begins without."""
    newest = keeper.shelf.newest
    keeper.parent = keeper.parent or (newest.id if newest else None)
    if has_run or returns.put_memory or not keeper.has_state:
        return
    order, is_ours = yield Blocking(lambda: _newest(keeper, returns, reaches()))
    while order is not None:
        try:
            yield from returns.going_on(order, files=not is_ours)
            return
        except RestoreUnfinished as stuck:
            returns.stuck(order, str(stuck))
            return
        except (RestoreRefused, SickbayError, ValueError, OSError) as error:
            order, is_ours = _said(keeper, returns, order, error), True


def _said(keeper: Keeper, returns: Returns, order: Order, error: Exception) -> Order | None:
    """What stands in the way is said; an older one that is at hand is better than none."""
    older = _at_hand(keeper)
    if older is not None and older.at >= order.at:
        older = None
    instead = f"from that of {older.label or older.id[:8]}" if older else "with the memory it was given"
    log.warning("sickbay: %s goes on %s: %s", returns.name, instead, error)
    keeper.say(
        f"could not go on from checkpoint {order.label or order.checkpoint[:8]}, but {instead}: {error}"
    )
    return Order.of(older) if older is not None else None


def _newest(keeper: Keeper, returns: Returns, shipping: Shipping | None) -> tuple[Order | None, bool]:
    """The newest usable one, and whether this home took it."""
    waiting = next(iter(keeper.shelf.usable(set(keeper.packs.waiting()))), None)
    told = None
    if waiting is None and shipping is not None:
        try:
            told = shipping.newest()
            if told is None:
                return None, True
        except SickbayError as error:
            log.warning("sickbay: the newest checkpoint could not be asked for: %s", error)
    if told is not None:
        keeper.shelf.told(told.id, told.standing)
        order = Order(told.id, told.memory, told.workspace, told.at, label=told.label)
        return order, keeper.shelf.get(told.id) is not None
    found = waiting or _at_hand(keeper) or next(iter(keeper.shelf.usable()), None)
    return (Order.of(found), True) if found is not None else (None, True)


def _at_hand(keeper: Keeper) -> Taken | None:
    """The newest whose memory is here."""
    usable = keeper.shelf.usable()
    return next((t for t in usable if t.memory and keeper.text_at_hand(t.memory) is not None), None)


def ordered(command: dict[str, Any]) -> Order:
    """What the server's command asks for; whatever does not fit is refused by whoever reads it."""
    said = command.get("payload") or {}
    scope = said.get("scope")
    return Order(
        checkpoint=str(said.get("checkpoint")),
        memory=_name(said.get("memory")),
        workspace=_name(said.get("workspace")),
        by=str(said.get("by") or "a human")[:200],
        why=str(said.get("reason") or "")[:500],
        rollback=str(uuid.UUID(str(said.get("rollback")))),
        scope=scope if isinstance(scope, dict) else {"memory": True, "workspace": True, "paths": None},
    )


def _name(text: Any) -> str | None:
    """A node's name in hex, or nothing."""
    if not isinstance(text, str) or len(text) != 64:
        return None
    bytes.fromhex(text)
    return text
