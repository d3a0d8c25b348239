"""Effects happen once: twenty refunds over a rollback and two deaths, and each answer of a human obeyed.

The agent, the web server and the server that counts are real processes or real sockets; the human looks at
the counter, as one looks at the bank, and says what is there.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import urllib3
from django.test import Client
from django.utils import timezone

from agents.models import Command, Effect, Entry, Incident, Project, User
from agents.services import watchdog
from checkpoints.models import Checkpoint, Rollback
from tests.builders import make_token
from tests.faults.counting import Counting
from tests.faults.schedule import Schedule
from tests.product import Daphne, running_daphne
from tests.waiting import slowness, until

pytestmark = pytest.mark.django_db(transaction=True)
DRIVER = str(Path(__file__).with_name("refund_driver.py"))


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


@dataclass
class Desk:
    """The agent's processes, as a process manager runs them, and the human beside them."""

    daphne: Daphne
    counting: Counting
    folder: Path
    agent: str
    operator: str
    what: str
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0

    def start(self, failpoint: str = "") -> None:
        env = {
            **os.environ, "SICKBAY_URL": self.daphne.url, "SICKBAY_TOKEN": self.agent,
            "SICKBAY_HOME": str(self.folder / "home"), "SICKBAY_FAILPOINT": failpoint,
        }  # fmt: skip
        command = [sys.executable, DRIVER, self.what, self.counting.url, str(self.folder / "told")]
        self.process = subprocess.Popen(command, env=env)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()

    def has_ended(self) -> bool:
        """Started again after each death, until it ends by itself."""
        assert self.process is not None
        code = self.process.poll()
        if code not in (None, 0):
            self.deaths += 1
            self.start()
        return code == 0

    def asked(self, method: str, path: str, **said: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.operator}"}
        more = {"json": said} if said else {}
        answer = urllib3.request(method, f"{self.daphne.url}/api/v1/{path}", headers=headers, **more)
        return {"status": answer.status, **answer.json()}

    def human(self) -> None:
        """Whoever is asked looks at the counter, and says what is there."""
        watchdog.look(timezone.now())
        for incident in Incident.objects.filter(cause="effect", state="open"):
            for effect in incident.effects.filter(answer="", state__in=("begun", "unknown")):
                happened = self.counting.counted[effect.key.partition(":")[2]] > 0
                said = {"answer": "happened" if happened else "did_not", "reason": "looked at the bank"}
                self.asked("POST", f"agents/refund-desk/effects/{effect.pk}/answer/", **said)

    def told(self) -> list[Any]:
        path = self.folder / "told"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def made(
    daphne: Daphne, transactional_db: None, project: Project, tmp_path: Path
) -> Iterator[Callable[[str], Desk]]:
    with contextlib.ExitStack() as stack:

        def desk(what: str) -> Desk:
            counting = stack.enter_context(Counting())
            tokens = make_token(project), make_token(project, "operator")
            made = Desk(daphne, counting, tmp_path, *tokens, what)
            stack.callback(lambda: made.process and made.process.kill())
            return made

        yield desk


def orders_a_rollback(desk: Desk) -> Callable[[], None]:
    """While the fifteenth is in flight: back to the checkpoint after the fifth."""

    def order() -> None:
        def after_five() -> list[str]:
            rows = desk.asked("GET", "agents/refund-desk/checkpoints/?limit=500")["checkpoints"]
            return [row["id"] for row in rows if row["label"] == "after five"]

        said = {"checkpoint": until(after_five, 20, "the checkpoint")[0], "reason": "the notes went wrong"}
        assert desk.asked("POST", "agents/refund-desk/rollback/", **said)["status"] == 200

    return order


@pytest.mark.parametrize("round", range(2))
def test_twenty_refunds_are_twenty(made: Callable[[str], Desk], schedule: Schedule, round: int) -> None:
    """Rolled back after the 15th, killed twice at random: each is counted once, and stands once."""
    dice = schedule.dice(f"refunds {round}")
    desk = made("refunds")
    desk.counting.before["15"] = orders_a_rollback(desk)
    for order in (dice.randrange(1, 14), dice.randrange(16, 20)):
        dice.choice((desk.counting.before, desk.counting.after))[str(order)] = desk.kill
    desk.start()

    def is_over() -> bool:
        desk.human()
        return desk.has_ended()

    until(is_over, 90 * slowness(), "the end of the refunds", every=0.2)
    assert desk.deaths == 2
    assert desk.counting.counted == {str(number): 1 for number in range(1, 21)}
    row = Rollback.objects.get()
    assert row.state == "verified" and Checkpoint.objects.get(pk=row.checkpoint).label == "after five"
    stands_once()
    orders = [order for order, _ in desk.told()]
    assert orders.count("10") == 2 and set(orders) == set(map(str, range(1, 21)))


def stands_once() -> None:
    """One effect of each key is done, whatever was begun; everything that was asked about is answered for."""
    keys = [f"refund:{number}" for number in range(1, 21)]
    until(lambda: Effect.objects.filter(state="done").count() >= 20, 20, "the last effects")
    assert sorted(Effect.objects.filter(state="done").values_list("key", flat=True)) == sorted(keys)
    assert not Effect.objects.filter(state__in=("begun", "unknown")).exists()
    answered = Effect.objects.exclude(answer="")
    commands = Command.objects.filter(kind="effect")
    assert commands.count() == answered.count() and all(c.state == "done" for c in commands)
    done = Entry.objects.filter(kind="action", name="refund", outcome="ok").count()
    assert done + answered.filter(answer="happened").count() == 20
    assert (
        Entry.objects.filter(kind="signal", name="refund", outcome="begun").count() == Effect.objects.count()
    )
    watchdog.look(timezone.now())
    assert not Incident.objects.filter(cause="effect").exclude(state="closed").exists()


def test_each_answer_is_obeyed(made: Callable[[str], Desk], alice: User, client: Client) -> None:
    """From the page and by token, while it runs, while it is dead, and killed before the receipt."""
    desk = made("answers")
    client.force_login(alice)
    desk.start()

    def effect(order: str, state: str) -> Effect:
        found = Effect.objects.filter(key=f"refund:{order}", state=state)
        return until(lambda: found.first(), 40 * slowness(), f"{order} {state}")

    def says(order: str, state: str, answer: str, reason: str) -> None:
        path = f"/p/main/agents/refund-desk/effects/{effect(order, state).pk}/answer/"
        assert client.post(path, {"answer": answer, "reason": reason}).status_code == 302

    def returned(order: str) -> Any:
        return until(
            lambda: [r for o, r in desk.told() if o == order], 40 * slowness(), f"the end of {order}"
        )[0]

    until(lambda: watchdog.look(timezone.now()).asked_about or Incident.objects.exists(), 30, "the question")
    incident = Incident.objects.get(cause="effect")
    says("late", "unknown", "happened", "found there")
    assert returned("late") is None
    says("kept", "done", "accepted", "good enough")
    assert returned("kept") == {"order": "kept", "time": 1}

    desk.kill()
    assert desk.process is not None
    desk.process.wait(10)
    asks = effect("never", "unknown")
    said = {"answer": "did_not", "reason": "not there"}
    assert desk.asked("POST", f"agents/refund-desk/effects/{asks.pk}/answer/", **said)["status"] == 200
    desk.start()
    assert returned("never") == {"order": "never", "time": 1}

    desk.kill()
    desk.process.wait(10)
    desk.start("effect:answered")
    says("twice", "done", "again", "taken back")
    assert desk.process.wait(40) == 137
    desk.start()
    assert returned("twice") == {"order": "twice", "time": 2}
    until(desk.has_ended, 20, "its end")
    assert desk.counting.counted == {"late": 1, "never": 1, "kept": 1, "twice": 2}
    until(lambda: all(c.state == "done" for c in Command.objects.filter(kind="effect")), 20, "the receipts")
    assert Command.objects.filter(kind="effect").count() == 4
    watchdog.look(timezone.now())
    incident.refresh_from_db()
    assert incident.state == "closed"
    told = Entry.objects.filter(kind="action", outcome="already").values_list("title", flat=True)
    assert any("alice@example.com" in title for title in told)
