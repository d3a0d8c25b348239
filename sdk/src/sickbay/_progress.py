"""What the server is told of a rollback, and what it says to that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from sickbay._errors import SickbayError
from sickbay._guard import harmless, log
from sickbay._order import Order

if TYPE_CHECKING:
    from sickbay._shipping import Shipping

Heard = Literal["verified", "heard", "refused"] | None


@harmless(None)
def report(shipping: Shipping | None, order: Order, said: dict[str, Any]) -> Heard:
    """What the server says to it; None: it has not heard it yet."""
    from sickbay._wire import Refused

    if shipping is None:
        return None
    body = {**said, "before": order.before}
    if order.command is None:
        body |= {"asked_by": order.asked_by, "checkpoint": order.checkpoint, "reason": order.why}
        body |= {"scope": order.scope}
    try:
        answer = shipping.progress(order.rollback, body)
    except Refused as refused:
        log.warning("sickbay: the server does not take the report of a rollback: %s", refused)
        return None if refused.error in ("no_checkpoint", "not_taken") else "refused"
    except SickbayError as error:
        log.warning("sickbay: the report of a rollback did not get through: %s", error)
        return None
    return "verified" if answer.verified else "heard"


def is_away(error: Exception) -> bool:
    """Whether it is the server that is not there: what it ordered is tried again when it is."""
    from sickbay._wire import NotAnswered

    return isinstance(error, NotAnswered)
