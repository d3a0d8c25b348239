"""How a word of the domain looks: its icon, its tone, its spelling on the screen.

A tone is the name of a colour token (`bad`, `warn`, `mend`, `good`, or `quiet` for none). Colour never
stands alone: wherever a mark is drawn its icon and its word are there too.
"""

from __future__ import annotations

from dataclasses import dataclass

from agents.models import Kind, Status


@dataclass(frozen=True, slots=True)
class Mark:
    icon: str
    tone: str
    word: str


STATUS: dict[str, Mark] = {
    Status.RESTORING: Mark("history", "mend", "Restoring"),
    Status.PAUSING: Mark("loader", "warn", "Pausing"),
    Status.PAUSED: Mark("circle-pause", "warn", "Paused"),
    Status.STOPPED: Mark("circle-stop", "bad", "Stopped"),
    Status.BLOCKED: Mark("ban", "warn", "Blocked"),
    Status.SILENT: Mark("unplug", "warn", "Silent"),
    Status.HEALING: Mark("heart-pulse", "mend", "Healing"),
    Status.PROBATION: Mark("hourglass", "mend", "Probation"),
    Status.RUNNING: Mark("circle-play", "good", "Running"),
    Status.IDLE: Mark("moon", "quiet", "Idle"),
}
KIND: dict[str, Mark] = {
    Kind.ACTION: Mark("zap", "", "Action"),
    Kind.FAILURE: Mark("circle-x", "bad", "Failure"),
    Kind.VERDICT: Mark("scale", "", "Verdict"),
    Kind.CHECKPOINT: Mark("bookmark", "", "Checkpoint"),
    Kind.SIGNAL: Mark("activity", "", "Signal"),
    Kind.PAUSE: Mark("circle-pause", "warn", "Pause"),
    Kind.DECISION: Mark("user-round", "", "Decision"),
    Kind.COMMAND: Mark("send", "", "Command"),
    Kind.ROLLBACK: Mark("undo-2", "mend", "Rollback"),
    Kind.RUN: Mark("square-terminal", "", "Run"),
}
OUTCOME: dict[str, Mark] = {
    "pass": Mark("circle-check", "good", "pass"),
    "fail": Mark("circle-x", "bad", "fail"),
    "unknown": Mark("circle-dashed", "quiet", "unknown"),
    "": Mark("circle-dashed", "quiet", "no verdict"),
    "none": Mark("", "", ""),
    "ok": Mark("check", "quiet", "ok"),
    "error": Mark("circle-x", "bad", "error"),
    "cancelled": Mark("circle-slash", "quiet", "cancelled"),
    "interrupted": Mark("circle-slash", "quiet", "interrupted"),
    "already": Mark("check", "quiet", "already done"),
    "obeyed": Mark("check", "quiet", "obeyed"),
    "refused": Mark("ban", "warn", "refused"),
    "transient": Mark("ban", "warn", "transient"),
    "verified": Mark("circle-check", "good", "verified"),
    "failed": Mark("circle-x", "bad", "failed"),
    "started": Mark("play", "quiet", "started"),
    "running": Mark("circle-play", "good", "running"),
    "finished": Mark("check", "quiet", "finished"),
    "vanished": Mark("unplug", "warn", "vanished"),
    "good": Mark("circle-check", "good", "good"),
    "unproven": Mark("circle-dashed", "quiet", "unproven"),
    "suspect": Mark("triangle-alert", "warn", "suspect"),
    "bad": Mark("circle-x", "bad", "bad"),
}
BANNER: dict[str, Mark] = {
    "bad": Mark("circle-x", "bad", "Error"),
    "warn": Mark("triangle-alert", "warn", "Warning"),
    "good": Mark("circle-check", "good", "Done"),
    "mend": Mark("history", "mend", "Under way"),
    "info": Mark("info", "quiet", "Note"),
}


def outcome_mark(outcome: str, words: str = "") -> Mark:
    """The mark of an outcome or standing; a word that has none is said in words alone."""
    mark = OUTCOME.get(outcome, Mark("", "", outcome))
    return Mark(mark.icon, mark.tone, words) if words else mark
