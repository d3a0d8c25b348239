"""An effect with a key happens once, over rollbacks, restarts and retries.

done          the recorded result is returned, nothing runs; it is verified again
may have      it began and nobody wrote down its end: `confirm(key)` is asked
              False: it did not, so it runs · True, or its result: it did · None, or no confirm: a human
did not       it runs
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sickbay._errors import ActionFailed, BadArgument
from sickbay._flow import Flow
from sickbay._guard import log

if TYPE_CHECKING:
    from sickbay._action import Action, Ended
    from sickbay._effects import Effect

DAY = 86_400.0


def known(act: Action) -> Flow[Ended | None]:
    """How it ended before; None: it is to run now."""
    effects, key = act.ward.effects, act.key
    assert key is not None
    if not effects.claim(key):
        raise BadArgument(f"{act.name}: {key!r} is in flight in another action; a key names one effect")
    act.claimed = True
    effect = effects.of(key)
    try:
        if effect is not None and effect.state in ("begun", "unknown"):
            effect = yield from _confirmed(act, effect)
        if effect is None or effect.state == "failed":
            return None
        ended = (yield from _already(act, effect)) if effect.state == "done" else _unknown(act, effect)
    except BaseException:
        act.release()
        raise
    act.release()
    return ended


def refuse(act: Action) -> None:
    """A `with` block runs whatever was done before, so it does not begin."""
    assert act.key is not None
    effect = act.ward.effects.of(act.key)
    if effect is None or effect.state == "failed":
        return
    if effect.state == "done":
        what = f"{act.key} was {_when(act, effect)}"
    else:
        what = f"{act.key} may have happened at {_clock(act, effect.at)}"
    raise ActionFailed(
        f"{act.name}: {what}; run.execute(…, key={act.key!r}) returns what was recorded and asks confirm=, "
        "again=True does it again",
        action=act.name,
        result=effect.result,
    )


def may_repeat(act: Action, transient: bool) -> Flow[bool]:
    """Whether an attempt that raised surely did nothing; a time-out may have reached the world."""
    if not transient:
        return True
    if act.confirm is None:
        return False
    return (yield from _asked(act)) is False


def _asked(act: Action) -> Flow[Any]:
    try:
        return (yield act.confirm, (act.key,)) if act.confirm is not None else None
    except Exception as error:
        log.warning("sickbay: confirm of %s raised %s: %s", act.key, type(error).__name__, error)
        return None


def _confirmed(act: Action, effect: Effect) -> Flow[Effect]:
    answer = yield from _asked(act)
    if answer is None:
        return effect
    happened = answer is not False
    result = answer if happened and answer is not True else None
    act.ward.effects.outcome(effect.id, "done" if happened else "failed", result)
    act.trusted = answer is True  # there is nothing to verify
    return act.ward.effects.of(effect.key or "") or effect


def _already(act: Action, effect: Effect) -> Flow[Ended]:
    """What was recorded, judged again: an effect that was done wrong does not cure itself."""
    act.already = _when(act, effect)
    act.begun(intends=False)
    verdict = None
    if act.verify is not None and not act.trusted:
        verdict = yield from act.judging(effect.result)
    return (yield from act.ending(act.returned(effect.result, verdict)))


def _unknown(act: Action, effect: Effect) -> Ended:
    when = _clock(act, effect.at)
    ward = act.ward
    title = f"{act.name}: {act.key} may have happened at {when}, and nobody can tell"
    ward.ledger.note({"kind": "signal", "name": "effect", "level": "warn", "title": title[:500]})
    act.begun(intends=False)
    return act.failed(
        ActionFailed(
            f"{title}: give confirm=, or look and call it with again=True where it did not happen",
            action=act.name,
        )
    )


def _when(act: Action, effect: Effect) -> str:
    rolled = act.ward.ledger.data.rolled_back
    since = ", before the rollback" if rolled is not None and rolled.get("at", 0.0) > effect.at else ""
    return f"already done at {_clock(act, effect.at)}{since}"


def _clock(act: Action, at: float) -> str:
    recent = act.ward.clock.wall() - at < DAY
    return time.strftime("%H:%M" if recent else "%Y-%m-%d %H:%M", time.localtime(at))
