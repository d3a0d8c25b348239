"""What a run that vanished left behind, read from its spool at the next start.

The process died between any two instructions. What its spool holds is what happened: an action whose line
stands there had ended, whatever the mark says; and its last failure may be there without having been
counted, because the account is saved just after. An effect may stand in its ledger as ended without a line
here, because the ledger is written just before: the server is told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from sickbay._home import Home
    from sickbay._ledger import Ledger

TAIL = 256 * 1024


def bury(home: Home, ledger: Ledger) -> None:
    """Count what is to be counted, once, and hold the line that tells of it."""
    vanished = home.vanished
    if vanished is None:
        ledger.data.buried = None
        return
    events = _tail(home, vanished.run)
    ended = {event.get("act") for _, event in events if event.get("kind") == "action"}
    seen = ledger.data.account.seen
    last = [
        (f"{vanished.run}-{seq}", str(event.get("name")))
        for seq, event in events
        if event.get("kind") == "failure" and event.get("counted")
    ][-1:]
    uncounted = [(id, name) for id, name in last if id not in seen]
    flying = _flying(vanished.in_flight, ended)
    in_flight = ", ".join(name or act for act, name in flying)[:200] if flying else None
    untold = list(_untold(home, vanished.run, [act for act, _ in flying]))
    ledger.crashed(vanished.run, uncounted, in_flight=in_flight, untold=untold)


def _flying(mark: str | None, ended: set[Any]) -> list[tuple[str, str]]:
    """The numbers and names of the actions that had begun and not ended."""
    begun = [line.partition(" ") for line in (mark or "").splitlines()]
    return [(act, name) for act, _, name in begun if not act.isdigit() or int(act) not in ended]


def _untold(home: Home, run: str, acts: list[str]) -> Iterator[dict[str, Any]]:
    """The ends of effects that no action's line tells."""
    for act in acts:
        effect = home.effects.get(f"{run}-{act}")
        if effect is not None and effect.state != "begun":
            title = f"{effect.name}: {effect.state}, as its ledger knows"[:500]
            line = {"kind": "effect", "name": effect.name, "key": effect.key, "of": effect.id}
            yield {**line, "outcome": effect.state, "at": home.clock.wall(), "title": title}


def _tail(home: Home, run: str) -> list[tuple[int, dict[str, Any]]]:
    """The last events of a run with their numbers; the spool keeps these whatever was sent."""
    segments = [s for s in home.spool._segments if s.run == run and not s.empty]
    if not segments:
        return []
    segment = segments[-1]
    with segment.path.open("rb") as file:
        file.seek(segment.start)
        lines = file.read(segment.size - segment.start).splitlines()
    kept, size = [], 0
    for seq, line in reversed(list(enumerate(lines, segment.first))):
        size += len(line)
        if size > TAIL:
            break
        try:
            event = orjson.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            kept.append((seq, event))
    return kept[::-1]
