"""What an action leaves in the timeline: its line, and beside it the line of its failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sickbay._mask import ERROR, TITLE, Recorder
from sickbay._outcome import Ruling, Verdict

if TYPE_CHECKING:
    from sickbay._action import Action

Line = dict[str, Any]
SENTENCE = 500


def action_line(
    act: Action, recorder: Recorder, *, at: float, output: Any, verdict: Verdict | None, ruling: Ruling | None
) -> Line:
    """The event of one action, when it has ended. Fields that say nothing are left out."""
    line: Line = {
        "kind": "action",
        "at": at,
        "name": act.name,
        "act": act.act,
        "outcome": "ok" if ruling is None else ruling.outcome,
        "took_ms": act.took_ms,
        "attempts": act.attempts,
    }
    optional = {
        "verdict": verdict.word if verdict else None,
        "why": recorder.text(verdict.why, SENTENCE) if verdict and verdict.why else None,
        "input": act.input,
        "output": output,
        "expected": recorder.text(act.expected, SENTENCE) if act.expected else None,
        "external": act.external or None,
        "key": act.key,
        "parent": act.parent,
        "because": ruling.because if ruling else None,
        "transient": (ruling.transient or None) if ruling else None,
    }
    line.update((key, value) for key, value in optional.items() if value is not None)
    return line


def bare_line(act: Action, at: float, ruling: Ruling | None) -> Line:
    """What is left to say when a bug of ours stood in the way of the rest."""
    outcome = "ok" if ruling is None else ruling.outcome
    line = {"kind": "action", "at": at, "name": act.name, "act": act.act, "outcome": outcome}
    return {**line, "title": act.name}


def failure_line(
    act: Action, line: Line, verdict: Verdict | None, exception: str | None, message: str
) -> Line:
    """The event of a counted failure; the ledger adds what the account says."""
    return {
        "kind": "failure",
        "at": line["at"],
        "name": act.name,
        "act": act.act,
        "failure": "error" if verdict is None else "verification",
        "counted": True,
        "exception": exception,
        "message": message,
        "expected": line.get("expected"),
        "actual": None if verdict is None else actual(line.get("output")),
        "why": line.get("why"),
        "title": line["title"],
    }


def loose_failure(name: str, at: float, error: BaseException, recorder: Recorder) -> Line:
    """A failure of no action: a step's, a run's."""
    told = told_error(error, recorder, "all")
    return {
        "kind": "failure",
        "at": at,
        "name": name,
        "failure": "error",
        "counted": True,
        "exception": told["type"],
        "message": told["message"],
        "trace": told["trace"],
        "title": f"{name}: {told['type']}: {told['message']}"[:TITLE],
    }


def title(act: Action, verdict: Verdict | None, told: Line | None, ruling: Ruling | None, why: str) -> str:
    """One line for a person."""
    text = act.name
    if told is not None and ruling is not None:
        note = " (transient)" if ruling.transient else ""
        note = f" (because of {ruling.because})" if ruling.because else note
        text = f"{act.name}: {told['type']}: {told['message']}".rstrip(": ") + note
    elif ruling is not None and verdict is None:
        text = f"{act.name}: {ruling.outcome}"
    elif verdict is not None and verdict.passed is False:
        text = f"{act.name}: not as expected{': ' + why if why else ''}"
    elif verdict is not None and verdict.passed is None:
        text = f"{act.name}: could not be verified{': ' + why if why else ''}"
    return text[:TITLE]


def told_error(error: BaseException, recorder: Recorder, record: str) -> Line:
    """An exception as it is recorded: type, message, the end of its trace."""
    told: Line = {"type": type(error).__name__[:200], "message": "", "trace": ""}
    if record == "all":
        told["message"] = recorder.text(message_of(error), SENTENCE)
        told["trace"] = recorder.text(_trace(error), ERROR - SENTENCE)
    return told


def message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as odd:
        return f"(its message could not be read: {type(odd).__name__})"


def actual(output: Any) -> str | None:
    """The recorded output as text, to stand beside what was expected."""
    if output is None:
        return None
    if isinstance(output, dict):
        return str(output["head"])[:SENTENCE]
    return orjson.dumps(output).decode()[:SENTENCE]


def _trace(error: BaseException) -> str:
    import traceback  # only failures pay for it

    try:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_globals.get("__package__") == "sickbay":
            trace = trace.tb_next
        return "".join(traceback.format_tb(trace, limit=-6))[-ERROR:]
    except Exception:
        return ""
