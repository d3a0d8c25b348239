"""What an action leaves in the timeline: its line, and beside it the line of its failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from sickbay._mask import ERROR, TITLE, Recorder
from sickbay._outcome import Ruling, Verdict

if TYPE_CHECKING:
    from sickbay._action import Action

Line = dict[str, Any]
SENTENCE, GIST, FEW = 500, 80, 4


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
        "effect": act.state if act.external else None,
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
    line: Line = {"kind": "action", "at": at, "name": act.name, "act": act.act, "outcome": outcome}
    if act.external:
        line |= {"external": True, "effect": act.state, "key": act.key}
    return {**line, "title": act.name}


def kind_of(error: BaseException | None) -> str:
    """What a failure without a verdict is: an exception's class may say that it is a crash or a silence."""
    named = getattr(type(error), "sickbay_failure", "error")
    return named if named in ("crash", "silence") else "error"


def failure_line(
    act: Action,
    line: Line,
    verdict: Verdict | None,
    error: BaseException | None,
    exception: str | None,
    message: str,
    title: str,
) -> Line:
    """The event of a counted failure; the ledger adds what the account says. Its title names no input."""
    return {
        "kind": "failure",
        "at": line["at"],
        "name": act.name,
        "act": act.act,
        "failure": kind_of(error) if verdict is None else "verification",
        "counted": True,
        "exception": exception,
        "message": message,
        "expected": line.get("expected"),
        "actual": None if verdict is None else actual(line.get("output")),
        "why": line.get("why"),
        "title": title,
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


def ending(verdict: Verdict | None, told: Line | None, ruling: Ruling | None, why: str) -> str:
    """How it ended, in words for a title; nothing when all is well."""
    if told is not None and ruling is not None:
        note = " (transient)" if ruling.transient else ""
        note = f" (because of {ruling.because})" if ruling.because else note
        return f": {told['type']}: {told['message']}".rstrip(": ") + note
    if ruling is not None and verdict is None:
        return f": {ruling.outcome}"
    if verdict is not None and verdict.passed is not True:
        how = "could not be verified" if verdict.passed is None else "not as expected"
        return f": {how}{': ' + why if why else ''}"
    return ""


def gist(recorded: Any) -> str:
    """An input in a few words, as ` order 4711, 12.5`: made of what is recorded, so it is masked already."""
    if recorded is None:
        return ""
    if isinstance(recorded, orjson.Fragment):
        text = _words(orjson.loads(orjson.dumps(recorded)))
    else:  # cut to its head, or rewritten by redact=
        text = str(recorded["head"] if isinstance(recorded, dict) else recorded).lstrip('"')
    text = " ".join(text[: GIST * 4].split())
    return f" {text if len(text) <= GIST else text[: GIST - 1] + '…'}" if text else ""


def _words(value: Any, deep: bool = False) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        told = {key: item for key, item in value.items() if not isinstance(item, dict | list)} or value
        return ", ".join(f"{key} {_words(item, True)}".strip() for key, item in list(told.items())[:FEW])
    if isinstance(value, list):
        return f"{len(value)} items" if deep else ", ".join(_words(item, True) for item in value[:FEW])
    return "" if value is None else str(value)


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


def _is_ours(package: Any) -> bool:
    return isinstance(package, str) and package.partition(".")[0] == "sickbay"


def _trace(error: BaseException) -> str:
    import traceback  # only failures pay for it

    try:
        trace = error.__traceback__
        while trace is not None and _is_ours(trace.tb_frame.f_globals.get("__package__")):
            trace = trace.tb_next
        return "".join(traceback.format_tb(trace, limit=-6))[-ERROR:]
    except Exception:
        return ""
