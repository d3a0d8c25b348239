"""Asking a human: a pause that is a question, and the guidance that is its answer.

The question's key and the id of its pause stand in the state file, so that the answer finds the question
again in whichever process goes on. Only *resume* answers: an agent that was started again or rolled back
has not been told anything, and asks once more, as a new pause.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from sickbay._errors import BadArgument
from sickbay._state import Pause

if TYPE_CHECKING:
    from sickbay._ledger import Ledger
    from sickbay._ward import Ward

LONGEST = 400
LONGEST_KEY = 200


def answer(ledger: Ledger, key: str) -> str | None:
    """What the human said to this question; None when it is not answered."""
    question, settled = ledger.data.question, ledger.data.settled
    if question is None or settled is None or question["key"] != key:
        return None
    if settled["pause"] != question["pause"] or settled["verb"] != "resume":
        return None
    return ledger.data.guidance or ""


def ask(ward: Ward, question: str, key: str) -> str:
    """The answer, or the pause that waits for it."""
    ledger = ward.ledger
    with ledger.lock:
        barred = ledger.barred()
        if barred is not None:
            raise barred
        said = answer(ledger, key)
        if said is not None:
            return said
        pause = Pause(
            id=str(uuid.uuid4()),
            owner="human",
            cause=f"waiting for an answer: {ward.recorder.text(question, LONGEST)}",
            at=ward.clock.wall(),
            asks=True,
        )
        ledger.data.question = {"key": key, "pause": pause.id}
        ledger.take(pause)
        barred = ledger.barred()
    assert barred is not None  # the lock is held: nobody has lifted it
    raise barred


def forget(ledger: Ledger, key: str) -> None:
    """The answer was of no use: the question is asked again."""
    question = ledger.data.question
    if question is not None and question["key"] == key:
        ledger.data.question = None


def check_question(question: object, key: object) -> None:
    """Refuse what is no question."""
    if not isinstance(question, str) or not question.strip():
        raise BadArgument(f"ask({question!r:.60}): write one sentence, such as 'Refund 500 € for order 17?'")
    if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY:
        raise BadArgument(f"ask(key={key!r:.60}): write a text of 1 to 200 characters, such as 'refund:17'")
