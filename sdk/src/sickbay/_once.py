"""An effect with a key happens once, over rollbacks, restarts and retries.

done          the recorded result is returned, nothing runs; it is verified again, unless a human accepted it
may have      it began and nobody wrote down its end: `confirm(key)` is asked
              False: it did not, so it runs · True, or its result: it did · None, or no confirm: a human
did not       it runs; so does what a human released

What only a human can tell fails each time it is called, and is not counted: the answer, not the budget, is
what the agent waits for.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from sickbay._errors import ActionFailed, BadArgument
from sickbay._flow import Flow
from sickbay._guard import log
from sickbay._outcome import Ruling

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
        if effect is None or effect.is_free:
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
    if effect is None or effect.is_free:
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
    ward = act.ward
    if answer is None:
        if act.confirm is not None and ward.effects.asks(effect.id):
            _tell(act, effect, "unknown", "confirm cannot tell whether it happened")
        return effect
    happened = answer is not False
    result = answer if happened and answer is not True else None
    state = "done" if happened else "failed"
    # Where there is no result there is nothing to verify, now or later.
    ward.effects.outcome(effect.id, state, result, by="confirm" if answer is True else "")
    _tell(act, effect, state, f"it {'happened' if happened else 'did not happen'}, says confirm")
    return ward.effects.of(effect.key or "") or effect


def _tell(act: Action, effect: Effect, state: str, how: str) -> None:
    """The server has a copy of the ledger."""
    line = {"kind": "effect", "name": effect.name, "key": effect.key, "of": effect.id, "outcome": state}
    act.ward.ledger.note({**line, "title": f"{effect.name}: {effect.key}: {how}"[:500]})


def _already(act: Action, effect: Effect) -> Flow[Ended]:
    """What was recorded, judged again: an effect that was done wrong does not cure itself."""
    act.already = _when(act, effect)
    act.begun(intends=False)
    verdict = None
    if act.verify is not None and not effect.by:
        verdict = yield from act.judging(effect.result)
    return (yield from act.ending(act.returned(effect.result, verdict)))


def _unknown(act: Action, effect: Effect) -> Ended:
    when = _clock(act, effect.at)
    ward = act.ward
    title = f"{act.name}: {act.key} may have happened at {when}, and nobody can tell"
    if ward.effects.asks(f"{effect.id} here"):
        ward.ledger.note({"kind": "signal", "name": "effect", "level": "warn", "title": title[:500]})
    act.begun(intends=False)
    return act.failed(
        ActionFailed(
            f"{title}: a human is asked, and it goes on with the answer; give confirm= to have the agent "
            "find out, or call it with again=True where it did not happen",
            action=act.name,
        ),
        Ruling("failed"),
    )


def _when(act: Action, effect: Effect) -> str:
    rolled = act.ward.ledger.data.rolled_back
    since = ", before the rollback" if rolled is not None and rolled.get("at", 0.0) > effect.at else ""
    by = f", and stands as it is, says {effect.by}" if effect.by else ""
    return f"already done at {_clock(act, effect.at)}{since}{by}"


def _clock(act: Action, at: float) -> str:
    recent = act.ward.clock.wall() - at < DAY
    return time.strftime("%H:%M" if recent else "%Y-%m-%d %H:%M", time.localtime(at))
