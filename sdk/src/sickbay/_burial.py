"""What a run that vanished left behind, read from its spool at the next start.

The process died between any two instructions. What its spool holds is what happened: an action whose line
stands there had ended, whatever the mark says; and its last failure may be there without having been
counted, because the account is saved just after.
"""

from __future__ import annotations

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
    in_flight = _flying(vanished.in_flight, ended)
    ledger.crashed(vanished.run, uncounted, in_flight=in_flight)


def _flying(mark: str | None, ended: set[Any]) -> str | None:
    """The names of the actions that had begun and not ended; None when there were none."""
    names = []
    for line in (mark or "").splitlines():
        act, _, name = line.partition(" ")
        if not act.isdigit() or int(act) not in ended:
            names.append(name or act)
    return ", ".join(names)[:200] if names else None


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
