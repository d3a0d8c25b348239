"""An agent that takes checkpoints by hand: its memory grows into a tree, and only what is new travels."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse

from agents.models import Instance
from checkpoints.models import Checkpoint
from sickbay.tree import pack, record
from sickbay.tree.grow import New, Tree, grow
from sickbay.tree.text import dump
from tests.builders import Wire

BASE = "/api/v1/agents/{}/checkpoints/"


def record_of(new: New, plains: dict[bytes, bytes]) -> record.Record:
    """As the SDK sends it: a delta when the base is known and it pays."""
    base = plains.get(new.base) if new.base else None
    enc, payload = pack.pack(new.plain, base)
    kept = new.base if enc in (pack.AGAINST, pack.SCRIPT) else b""
    return record.Record(new.name, enc, kept, len(new.plain), new.items, new.length, payload)


def whole(new: New) -> record.Record:
    return record_of(new._replace(base=b""), {})


@dataclass
class Taker:
    """Keeps what the SDK keeps: the tree before, and the plain bytes of its root."""

    wire: Wire
    tree: Tree | None = None
    plains: dict[bytes, bytes] = field(default_factory=dict)
    parent: str | None = None
    act: int = 0

    def records(self, memory: Any) -> list[record.Record]:
        self.tree = grow(dump(memory), self.tree)
        made = [record_of(new, self.plains) for new in self.tree.new]
        self.plains |= {new.name: new.plain for new in self.tree.new}
        return made

    def header(self, **fields: Any) -> dict[str, Any]:
        assert self.tree is not None
        self.act += 1
        manifest = {"memory": self.tree.root.hex(), "workspace": None, "code": "git:1a2b3c4", "sdk": "0.1.0"}
        manifest |= {"model": "claude", "tools": "9f" * 32} | fields.pop("manifest", {})
        facts = {"failing": False, "verdicts": {"pass": 0, "fail": 0, "unknown": 0}, "actions": 1}
        facts |= {"unverified": 1, "checks": 0} | fields.pop("facts", {})
        said = {"id": uuid.uuid4().hex, "run": self.wire.run, "at": self.wire.now(), "label": None}
        said |= {"sent_at": self.wire.now(), "why": "asked", "parent": self.parent, "act": self.act}
        said |= {"memory_length": len(self.tree.text), "last_action": "search", "notes": []}
        return {**said, "manifest": manifest, "facts": facts, **fields}

    def take(self, memory: Any, **fields: Any) -> HttpResponse:
        """The memory, taken; the next one descends from it."""
        records = self.records(memory)
        return self.send(self.header(**fields), records)

    def send(self, header: dict[str, Any], records: Iterable[record.Record]) -> HttpResponse:
        body = json.dumps(header).encode() + b"\n" + b"".join(map(record.write, records))
        answer = self.post("", body)
        if answer.status_code == 200:
            self.parent = answer.json()["id"]
        return answer

    def stage(self, upload: str, records: Iterable[record.Record]) -> HttpResponse:
        return self.post("nodes/", b"".join(map(record.write, records)), upload=upload)

    def post(self, path: str, body: bytes, **query: str) -> HttpResponse:
        who = {
            "instance": self.wire.instance,
            "epoch": str(self.wire.epoch or 0),
            "process": self.wire.process,
        }
        asked = "&".join(f"{key}={value}" for key, value in {**who, **query}.items())
        return self.wire.post(f"{BASE.format(self.wire.agent)}{path}?{asked}", body)

    def get(self, path: str) -> HttpResponse:
        answer: HttpResponse = self.wire.client.get(
            BASE.format(self.wire.agent) + path,
            {"instance": self.wire.instance},
            headers={"Authorization": f"Bearer {self.wire.token}"},
        )
        return answer

    def newest(self) -> Checkpoint:
        found = Checkpoint.objects.order_by("-at").first()
        assert found is not None
        return found

    def instance(self) -> Instance:
        return Instance.objects.get(agent__name=self.wire.agent, name=self.wire.instance)
