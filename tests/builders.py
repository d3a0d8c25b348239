"""Builders that show only what matters, and an agent that speaks the wire by hand."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

import orjson
import urllib3
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from agents import access
from agents.models import Agent, Heartbeat, Instance, Pause, Project, Run, User
from agents.services import pauses, tokens


def make_project(name: str = "main") -> Project:
    return Project.objects.get_or_create(name=name)[0]


def make_token(project: Project, scope: str = "agent") -> str:
    made = tokens.make(project=project, scope=scope, label="test", by="test", now=timezone.now())
    assert made.text
    return made.text


def make_agent(project: Project, name: str = "refund-desk", **fields: Any) -> Agent:
    return Agent.objects.create(project=project, name=name, **fields)


def make_instance(agent: Agent, name: str = "main", *, live: bool = True, **fields: Any) -> Instance:
    instance = Instance.objects.create(agent=agent, name=name, live=live, **fields)
    Heartbeat.objects.create(instance=instance)
    return instance


def make_run(instance: Instance, *, epoch: int | None = 1, **fields: Any) -> Run:
    """A run; with an epoch it is the instance's newest."""
    if epoch is not None:
        Instance.objects.filter(pk=instance.pk).update(epoch=epoch)
        instance.epoch = epoch
    fields.setdefault("started_at", timezone.now())
    return Run.objects.create(instance=instance, epoch=epoch, **fields)


def action(name: str = "search", **fields: Any) -> dict[str, Any]:
    fields.setdefault("at", time.time())
    return {"kind": "action", "name": name, "outcome": "ok", "title": name, **fields}


def failure(name: str = "search", **fields: Any) -> dict[str, Any]:
    fields.setdefault("at", time.time())
    fields.setdefault("exception", "ValueError")
    return {"kind": "failure", "name": name, "failure": "error", "title": f"{name} failed", **fields}


def state(status: str = "running", **fields: Any) -> dict[str, Any]:
    return {"status": status, "since": time.time(), "pause": None, "settled": None, **fields}


def pause(**fields: Any) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "owner": "budget",
        "limit": "consecutive",
        "cause": "3 failures in a row, the limit is 3",
        "at": time.time(),
        "in_flight": [],
        "stopped": False,
        **fields,
    }


def order_pause(user: User, project: Project, name: str = "refund-desk") -> Pause:
    """A human pauses the agent."""
    actor = access.person(user, project)
    assert actor is not None
    agent = Agent.objects.get(project=project, name=name)
    ordered = pauses.order(actor=actor, agent=agent, reason="look at this", now=timezone.now())
    return Pause.objects.get(incident=ordered.incident, instance__name="main")


def line(event: dict[str, Any] | bytes) -> bytes:
    return event if isinstance(event, bytes) else orjson.dumps(event)


@dataclass
class Wire:
    """One SDK process, by hand: registers, posts, asks for commands. Bytes are sent as they are."""

    token: str
    agent: str = "refund-desk"
    instance: str = "main"
    client: Any = field(default_factory=Client)
    process: str = field(default_factory=lambda: uuid.uuid4().hex)
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    epoch: int | None = 0
    clock: float = 0.0

    def now(self) -> float:
        return time.time() + self.clock

    def register(self, **fields: Any) -> HttpResponse:
        said = {
            "agent": self.agent,
            "instance": self.instance,
            "process": self.process,
            "run": self.run,
            "started_at": self.now(),
            "sent_at": self.now(),
            "epoch": self.epoch,
            "state": state(),
            "wants": "run",
        }
        answer = self.post("/api/v1/agents/register/", orjson.dumps({**said, **fields}))
        if answer.status_code == 200:
            self.epoch = answer.json()["epoch"]
        return answer

    def post_events(self, *events: dict[str, Any] | bytes, first: int = 1, **header: Any) -> HttpResponse:
        return self.post("/api/v1/events/", self.batch(*events, first=first, **header))

    def batch(self, *events: dict[str, Any] | bytes, first: int = 1, **header: Any) -> bytes:
        said = {
            "agent": self.agent,
            "instance": self.instance,
            "process": self.process,
            "run": self.run,
            "started_at": self.now(),
            "epoch": self.epoch,
            "first_seq": first,
            "n": len(events),
            "sent_at": self.now(),
        }
        return b"\n".join([orjson.dumps({**said, **header}), *map(line, events)]) + b"\n"

    def post(self, path: str, body: bytes, **headers: str) -> HttpResponse:
        headers = {"Authorization": f"Bearer {self.token}", **headers}
        answer: HttpResponse = self.client.post(
            path, data=body, content_type="application/x-ndjson", headers=headers
        )
        return answer

    def commands(self, **query: Any) -> HttpResponse:
        asked = {"instance": self.instance, "epoch": self.epoch or 0, "process": self.process, **query}
        answer: HttpResponse = self.client.get(
            f"/api/v1/agents/{self.agent}/commands/", asked, headers={"Authorization": f"Bearer {self.token}"}
        )
        return answer

    def receipt(self, command: str, state: str = "taken", **fields: Any) -> HttpResponse:
        said = {"instance": self.instance, "epoch": self.epoch, "process": self.process, "state": state}
        path = f"/api/v1/agents/{self.agent}/commands/{command}/"
        return self.post(path, orjson.dumps({**said, "why": "", **fields}))


def post_events(token: str, events: list[dict[str, Any] | bytes], **fields: Any) -> HttpResponse:
    """The events of a fresh run, registered and posted."""
    wire = Wire(token, **fields)
    wire.register()
    return wire.post_events(*events)


@dataclass
class Answered:
    """What a real server answered, with the two things that tests ask of Django's client."""

    status_code: int
    content: bytes

    def json(self) -> Any:
        return orjson.loads(self.content)


@dataclass
class Http:
    """A client of a running server with the shape of Django's; `Wire(token, client=Http(url))`."""

    url: str
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False, timeout=30))

    def post(self, path: str, *, data: bytes, content_type: str, headers: dict[str, str]) -> Answered:
        headers = {"Content-Type": content_type, **headers}
        answer = self.pool.request("POST", self.url + path, body=data, headers=headers)
        return Answered(answer.status, answer.data)

    def get(self, path: str, query: dict[str, Any], *, headers: dict[str, str]) -> Answered:
        answer = self.pool.request("GET", self.url + path, fields=query, headers=headers)
        return Answered(answer.status, answer.data)
