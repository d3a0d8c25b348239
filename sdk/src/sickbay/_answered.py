"""What a human said of an effect, written into the ledger: once, whatever dies in between.

accepted   it stands as it is: the recorded result is returned, and verified no more
again      its key is free: it is done once more when the agent comes to it
happened   its key is done, without a result: nobody has one
did_not    its key is free

Of what is known to have ended the first two are said, of what may have happened the others; an answer that
the ledger has outrun (`confirm` was asked meanwhile, or it is in flight) is refused with what is known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sickbay._effects import Effect

if TYPE_CHECKING:
    from sickbay._effects import Effects
    from sickbay._ledger import Ledger

STATES = {"accepted": "done", "again": "released", "happened": "done", "did_not": "failed"}
FITS = {
    "begun": ("happened", "did_not"),
    "unknown": ("happened", "did_not"),
    "done": ("accepted", "again", "happened"),
    "failed": ("did_not", "again"),
    "released": ("again",),
}
LONGEST = 200
SAID = {
    "accepted": "is accepted as it is",
    "again": "may be done again",
    "happened": "happened",
    "did_not": "did not happen",
}


class NotWritten(Exception):
    """The disk refused the line; the command waits."""


def obey(effects: Effects, ledger: Ledger, command: dict[str, Any]) -> str:
    """Write the answer down and wake who waits for it; or the sentence why it is refused."""
    payload = command.get("payload") or {}
    said, id = payload.get("answer"), _text(payload.get("effect"))
    if said not in STATES or not id:
        return "this version of the SDK does not know this answer"
    known = effects.get(id)
    if known is None:  # of another home of this agent, or one that is lost
        key = _text(payload.get("key")) or None
        known = Effect(id, _text(payload.get("name")) or "effect", key, None, "", 0.0)
    refused = _refused(known, said, ledger)
    if refused:
        return refused
    state = known.state if known.is_free else STATES[said]
    # Done, as somebody saw: that it happened is no news, and its result is verified as before.
    by = "" if said == "happened" and known.state == "done" else _text(payload.get("by")) or "a human"
    if not effects.answered(known, state, by=by, command=command["id"]):
        raise NotWritten
    return ""


def sentence(command: dict[str, Any]) -> str:
    """As the timeline says it."""
    payload = command.get("payload") or {}
    what, key = _text(payload.get("name")) or "effect", _text(payload.get("key"))
    by, reason = _text(payload.get("by")), _text(payload.get("reason"))
    told = f"{what}{f': {key}' if key else ''} {SAID.get(str(payload.get('answer')), 'is answered for')}"
    told += f", says {by}" if by else ""
    return f"{told}: {reason}" if reason else told


def _refused(effect: Effect, said: str, ledger: Ledger) -> str:
    run, _, act = effect.id.rpartition("-")
    if run == ledger.run and act.isdigit() and int(act) in ledger.in_flight:
        return f"{effect.name} is in flight; its end will say what it did"
    if said in FITS.get(effect.state, STATES):
        return ""
    known = {"done": "is done", "failed": "did not happen", "released": "may be done again"}
    return f"{effect.name} {known.get(effect.state, 'may have happened')}, as its ledger knows by now"


def _text(given: Any) -> str:
    if not isinstance(given, str):
        return ""
    return "".join(c if c.isprintable() else " " for c in given[:LONGEST])
