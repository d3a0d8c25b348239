"""A call that is an action: as often as allowed, judged, ended. A hold is waited out before each try."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sickbay import _holding, _lazy, _once
from sickbay._action import Action, Ended, current, restored_to
from sickbay._errors import EffectRefused
from sickbay._flow import Flow, Rest, backoff


def performed(act: Action, call: Callable[..., Any], args: tuple[Any, ...], retries: int) -> Flow[Ended]:
    """Call it, as often as allowed, judge it, end it."""
    points = act.ward.points
    while True:
        if points.has_to_stop:
            yield from points.before(act.external)
        if act.key is not None and not act.again:
            known = yield from _once.known(act)
            if known is not None:
                return known
        if not act.ward.ledger.holds.tools or not (yield from _holding.aside(act)):
            break
    try:
        if act.external:
            yield from points.before_effect()
        act.begun()
    except EffectRefused as refused:
        return (yield from act.ending(Ended(error=refused)))
    except BaseException:
        act.release()
        raise
    token = current.set(act)
    ledger = act.ward.ledger
    try:
        while True:
            again = act.attempts <= retries
            verdict, caught, result = None, None, None
            try:
                result = yield call, args
                if type(result) in _lazy.KINDS:
                    act.withdrawn()
                    return Ended(error=_lazy.refusal_of(act.name, result))
                if act.verify is not None:
                    verdict = yield from act.judging(result)
            except BaseException as error:
                caught = error
                again = again and _worth_another(act, error)
                if again and act.external:
                    again = yield from _once.may_repeat(act, act.ward.ruling(error, act.act).transient)
            else:  # an effect that was done wrong is done
                again = again and not act.external and verdict is not None and verdict.passed is False
            rings = ledger.rings
            if again and ledger.barred() is None:
                try:
                    yield Rest(backoff(act.attempts), rings)
                    yield from _holding.waiting(act)
                except BaseException as cut:
                    return (yield from act.ending(act.failed(cut)))
            if not again or ledger.barred() is not None:
                ended = act.returned(result, verdict) if caught is None else act.failed(caught)
                return (yield from act.ending(ended))
            act.attempts += 1
    finally:
        restored_to(token)


def _worth_another(act: Action, error: BaseException) -> bool:
    ruling = act.ward.ruling(error, act.act)
    if ruling.transient:
        act.ward.ledger.attempted(act.name)
    return ruling.outcome == "failed"
