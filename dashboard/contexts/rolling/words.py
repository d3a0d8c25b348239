"""What a rollback does, in the words that stand on its button and under it."""

from __future__ import annotations

from datetime import datetime

from agents.models import Instance, Pause, PauseState, Status
from agents.services import pauses
from checkpoints.blast import MOST_COUNTED, Blast
from checkpoints.models import Checkpoint, ProvenBy, Standing
from dashboard import phrasing
from dashboard.contexts import standings
from dashboard.contexts.rolling.asked import EVERYTHING, FILES, MEMORY, WORKSPACE, Asked, offered
from dashboard.contexts.rolling.files import Listed
from dashboard.contexts.rolling.losses import Lost
from dashboard.contexts.worklist import Worklist
from dashboard.unseen import plain_name

VERB = {EVERYTHING: "Roll back", MEMORY: "Roll back the memory", WORKSPACE: "Roll back the workspace"}
LONGEST_NAME = 32
UNPROVABLE = "Its files are not of one moment, so neither a verification nor time proves it."
PROVEN = {
    ProvenBy.VERIFIED: "A verification passed after the good one before it.",
    ProvenBy.SOAK: "Actions and time without a failure came after it.",
    ProvenBy.START: "It is the first one of the agent.",
}


def proof(target: Checkpoint, *, undo: bool) -> str:
    """How it was proven, or why it is not."""
    if undo:
        return "It was kept just before a rollback, so going to it undoes that."
    by, why = target.judged_by, f": {target.reason}" if target.reason else ""
    if target.standing == Standing.GOOD and target.proven_by == ProvenBy.HUMAN:
        return f"{by or 'A human'} called it good{why}."
    if target.standing == Standing.GOOD:
        return PROVEN.get(ProvenBy(target.proven_by), "") if target.proven_by in ProvenBy.values else ""
    if target.standing == Standing.UNPROVEN:
        return UNPROVABLE if target.moving else "Nothing has proven it yet."
    return f"{by} called it {target.standing}{why}." if by and target.standing == Standing.BAD else ""


def why_bad(target: Checkpoint) -> str:
    """What the tick beside a bad one says."""
    said = f"{target.judged_by}: {target.reason}" if target.judged_by else target.reason
    return f"It is bad ({said or 'condemned'}). Go back to it all the same"


def warnings(found: Blast) -> list[str]:
    """What is said before it is done: other code, model or tools; failures that were counting."""
    said = [change.sentence for change in found.changed]
    if found.checkpoint.standing == Standing.SUSPECT:
        said.append(f"It is suspect: {found.checkpoint.reason or 'failures were counting'}.")
    if words := standings.moment(found.checkpoint):
        said.append(f"It is {words}.")
    return said


def only(target: Checkpoint) -> str:
    """Why there is less to choose."""
    if target.workspace is not None and target.agent.shared_workspace:
        return "Its workspace is shared with other agents, so its files stay as they are."
    if target.memory is None and target.workspace is not None:
        return "It keeps no memory here, so only files go back."
    return "" if target.workspace is not None else "It keeps no workspace here, so only its memory goes back."


def since(found: Blast, lost: Lost) -> str:
    """What the timeline has of the time that is taken back."""
    if not found.entries:
        return "Nothing is on the timeline since then."
    entries = counted(found.entries, "timeline entry", "timeline entries")
    actions = counted(found.actions, "action", "actions") if found.actions else "no action"
    forgets = " The agent no longer knows of it." if lost.takes_memory else ""
    return f"{entries} since then, {actions} among them. All of it stays on record.{forgets}"


def counted(count: int, one: str, many: str) -> str:
    """`48 actions`; past what is counted, `more than 10,000 actions`."""
    return f"more than {MOST_COUNTED:,} {many}" if count >= MOST_COUNTED else phrasing.some(count, one, many)


def button(target: Checkpoint, wish: Asked, picked: Listed, now: datetime, *, undo: bool) -> str:
    """What the one button says."""
    resume = " and resume" if wish.goes_on else ""
    if undo and [wish.scope] == offered(target)[:1]:
        return f"Undo the rollback{resume}"
    to = f" to {phrasing.day(target.at, now)}{resume}"
    if wish.scope != FILES:
        return VERB[wish.scope] + to
    names = picked.ticked
    if len(names) != 1:
        return f"Put back {phrasing.some(len(names), 'file')}{resume}"
    name = plain_name(names[0].rpartition(b"/")[2])
    return f"Put back {name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + '…'}{resume}"


def does(
    wish: Asked,
    lost: Lost,
    effects: Worklist,
    found: Blast,
    picked: Listed,
    held: Pause | None,
    now: datetime,
) -> list[str]:
    """Under the button, in this order: what goes, what is kept, what stays, what then."""
    edits = _edits(wish, found, picked)
    aside = f"{phrasing.some(edits, 'hand edit')} {'is' if edits == 1 else 'are'} kept aside."
    condemned = phrasing.some(len(found.lost), "later checkpoint")
    said = [
        lost.sentence,
        "The state just before is kept as a checkpoint, so this can be undone.",
        f"{condemned} {'is' if len(found.lost) == 1 else 'are'} called bad." if lost.condemns else "",
        aside if edits and lost.takes_files else "",
        effects.stays,
        _then(wish, found.checkpoint.instance, held, now),
    ]
    return [one for one in said if one]


def _edits(wish: Asked, found: Blast, picked: Listed) -> int:
    """How many hand edits are in the way of it, as far as is known."""
    if found.edits is None:
        return 0
    if wish.scope == FILES:
        return len({path.decode("utf-8", "replace") for path in picked.ticked} & {*found.edits.paths})
    return len(found.edits.paths) + found.edits.more


def _then(wish: Asked, instance: Instance, held: Pause | None, now: datetime) -> str:
    """What the agent does after it."""
    gone = "" if pauses.listens(instance, now) else " No process runs: the next one takes it up."
    if wish.goes_on:
        return f"Then it goes on from there.{gone}"
    if held is not None and held.state == PauseState.STOPPED:
        return "It stays stopped: this is taken up when it is started again."
    if held is not None:
        return f"It stays paused until someone decides.{gone}"
    if gone:
        return gone.strip()
    status = "goes on" if instance.status not in (Status.IDLE, Status.SILENT) else "is ready"
    return f"It {status} from there at its next safe point."
