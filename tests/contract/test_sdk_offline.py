"""An agent that begins without its server: once that is there, it is an agent like any other."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.utils import timezone

from agents import access
from agents.models import Incident, IncidentState, Instance, Project, User
from agents.services import decisions
from sickbay import ActionFailed, Agent, Run
from tests.builders import make_token
from tests.faults.proxy import Proxy
from tests.product import Daphne, running_daphne
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


class Desk:
    """A supervised agent in a thread, that fails until it is told to end."""

    def __init__(self, url: str, token: str, home: Path) -> None:
        self.agent = Agent("refund-desk", url=url, token=token, home=home, heal=False, about="refunds")
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.ends = False

    def work(self) -> None:
        with contextlib.suppress(SystemExit):
            self.agent.supervise(self.step)

    def leave(self) -> None:
        """Whatever the test found: no thread stays behind."""
        if self.agent._life is not None:
            self.agent._life.leave()
        self.thread.join(30)

    def step(self, run: Run) -> None:
        if self.ends:
            raise SystemExit(0)
        try:
            run.execute(self.broken)
        except ActionFailed:
            return

    @property
    def is_paused(self) -> bool:
        ledger = getattr(self.agent._life, "ledger", None)
        return ledger is not None and ledger.pause is not None

    def broken(self) -> None:
        raise ValueError("broken")


def open_incident() -> Incident | None:
    return Incident.objects.filter(state=IncidentState.OPEN).first()


def incident_after(first: Incident) -> Incident | None:
    return Incident.objects.filter(state=IncidentState.OPEN, pk__gt=first.pk).first()


def resumed(incident: Incident, alice: User) -> bool:
    """Not while what arrives late still moves the version."""
    actor = access.person(alice, incident.project)
    assert actor is not None
    version = Incident.objects.get(pk=incident.pk).version
    now = timezone.now()
    done = decisions.decide(
        actor=actor, incident_id=incident.pk, verb="resume", version=version, reason="go", now=now
    )
    return done.name == "decided"


def test_a_pause_after_the_resume_of_an_offline_pause_is_told(
    tmp_path: Path, daphne: Daphne, project: Project, alice: User
) -> None:
    """It paused before the server knew it, was resumed and failed: a human is told again, of a living run."""
    with Proxy(("127.0.0.1", daphne.port)) as proxy:
        proxy.refuse = True
        desk = Desk(proxy.url, make_token(project), tmp_path)
        desk.thread.start()
        try:
            until(lambda: desk.is_paused, 20, "the pause")
            proxy.refuse = False
            first = until(open_incident, 30, "the first incident")
            instance = until(lambda: Instance.objects.filter(live=True, epoch=1).first(), 20, "its epoch")
            assert (instance.refused_starts, instance.agent.about) == (0, "refunds")
            until(lambda: resumed(first, alice), 20, "the first decision")
            second = until(lambda: incident_after(first), 30, "the second incident")
            desk.ends = True
            until(lambda: resumed(second, alice), 20, "the second decision")
            desk.thread.join(30)
        finally:
            desk.leave()
    assert not desk.thread.is_alive()
