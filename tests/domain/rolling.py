"""An agent with checkpoints, whoever rolls it back, and what it says of that."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from agents import access
from agents.models import Agent, Command, Incident, Project, User
from agents.services import decisions
from checkpoints.models import Checkpoint, Rollback
from checkpoints.services import rollbacks
from checkpoints.services.aiming import LAST_KNOWN_GOOD, Wanted
from tests import builders
from tests.builders import Wire, make_token
from tests.restore.taker import Taker


def actor(user: User, project: Project) -> access.Actor:
    found = access.person(user, project)
    assert found is not None
    return found


@dataclass
class Desk:
    """One agent on the wire."""

    taker: Taker
    said: dict[str, Any] = field(default_factory=dict)

    @property
    def wire(self) -> Wire:
        return self.taker.wire

    def take(self, n: int, **fields: Any) -> Checkpoint:
        """A checkpoint whose memory is this number; good, unless told otherwise."""
        facts = {"checks": 1} | fields.pop("facts", {})
        answer = self.taker.take({"n": n}, facts=facts, **fields)
        assert answer.status_code == 200, answer.content
        return Checkpoint.objects.get(pk=answer.json()["id"])

    def pauses(self) -> Incident:
        """It spends its budget and says so."""
        answer = self.wire.post_events(state=builders.state("paused", pause=builders.pause()))
        assert answer.status_code == 200
        return Incident.objects.get(cause="budget")

    def takes_up(self) -> Command:
        """The newest rollback command is taken by this process."""
        command = Command.objects.filter(kind="rollback").order_by("-version").first()
        assert command is not None
        answer = self.wire.receipt(str(command.pk), "taken")
        assert answer.status_code == 200, answer.content
        return command

    def tells(self, rollback: Rollback | str, state: str, **said: Any) -> Any:
        """One report; the answer's body with its status."""
        id = rollback if isinstance(rollback, str) else str(rollback.pk)
        who = f"instance={self.wire.instance}&epoch={self.wire.epoch or 0}&process={self.wire.process}"
        path = f"/api/v1/agents/{self.wire.agent}/rollbacks/{id}/progress/?{who}"
        answer = self.wire.post(path, json.dumps({"state": state, **said}).encode())
        return {"status": answer.status_code, **answer.json()}

    def applies(self, rollback: Rollback, **said: Any) -> Any:
        """It restores what was ordered, and says so with the right names."""
        self.takes_up()
        self.tells(rollback, "restoring")
        return self.tells(rollback, "applied", **names(rollback), **said)


def names(rollback: Rollback) -> dict[str, Any]:
    target = Checkpoint.objects.get(pk=rollback.checkpoint)
    return {"memory": hexed(target.memory), "workspace": hexed(target.workspace)}


def hexed(name: bytes | None) -> str | None:
    return None if name is None else bytes(name).hex()


def make_desk(project: Project, name: str = "refund-desk", **fields: Any) -> Desk:
    wire = Wire(make_token(project), agent=name)
    assert wire.register(**fields).status_code == 200
    return Desk(Taker(wire))


def order(user: User, project: Project, target: Checkpoint | str, **more: Any) -> rollbacks.Ordered:
    wanted = Wanted(
        target if isinstance(target, str) else target.pk, more.pop("reason", "went wrong"), **more
    )
    agent = Agent.objects.get(project=project)
    return rollbacks.order(actor=actor(user, project), agent=agent, wanted=wanted, now=timezone.now())


def decide(
    user: User, incident: Incident, target: Checkpoint | str = LAST_KNOWN_GOOD, **more: Any
) -> decisions.Outcome:
    wanted = Wanted(target if isinstance(target, str) else target.pk, "went wrong", even_bad=False)
    incident.refresh_from_db()
    return rollbacks.decide(
        actor=actor(user, incident.project),
        incident_id=incident.pk,
        wanted=wanted,
        **{"version": incident.version, "now": timezone.now(), **more},
    )
