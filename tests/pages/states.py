"""Agents with checkpoints, really taken through the wire: memories as values, workspaces as bytes."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from agents.models import Project
from checkpoints.models import Checkpoint
from sickbay.tree import directory, files, pack
from sickbay.tree.directory import Entry
from sickbay.tree.node import DIRECTORY, name_of
from sickbay.tree.record import Record
from tests.builders import Wire, make_token
from tests.restore.taker import Taker

Files = dict[bytes, Any]  # a name to bytes, to a directory, or to an Entry as it is
HOSTILE = "<img src=x onerror=alert(1)>{% now 'Y' %}\u202egnp.exe\u200b"
RULES = b"""## Amounts

Payments takes cents.
Multiply euros by 100, always.
Check the answer against the order.
If they differ, stop and ask.

## Who may approve
Up to 500 EUR: this agent.
"""
RULES_NOW = b"""## Amounts

Payments takes scaled euros.
Multiply euros by 10.

## Who may approve
Up to 500 EUR: this agent.
"""


@dataclass
class Keeper:
    """An agent that takes checkpoints of a memory and, where it is given one, of a workspace."""

    taker: Taker
    records: list[Record] = field(default_factory=list)

    def take(self, memory: Any, files: Files | None = None, **fields: Any) -> Checkpoint:
        manifest = dict(fields.pop("manifest", {}))
        self.records = []
        if files is not None:
            manifest["workspace"] = self._emit(DIRECTORY + self._body(files)).hex()
        records = [*self.records, *self.taker.records(memory)]
        answer = self.taker.send(self.taker.header(manifest=manifest, **fields), records)
        assert answer.status_code == 200, answer.content
        return Checkpoint.objects.get(pk=answer.json()["id"])

    def _body(self, tree: Files) -> bytes:
        entries = []
        for name, inside in sorted(tree.items()):
            if isinstance(inside, Entry):
                entries.append(inside._replace(filename=name))
            elif isinstance(inside, bytes):
                entries.append(Entry(name, 0, len(inside), files.grown(inside, self._emit)))
            else:
                body = self._body(inside)
                small = len(body) <= directory.SMALL
                where = {"body": body} if small else {"name": self._emit(DIRECTORY + body)}
                entries.append(Entry(name, 4 if small else 3, **where))
        return directory.body_of(entries)

    def _emit(self, plain: bytes, items: int = 0, length: int = 0) -> bytes:
        enc, payload = pack.pack(plain)
        self.records.append(Record(name_of(plain), enc, b"", len(plain), items, length, payload))
        return name_of(plain)


def make_keeper(project: Project, name: str = "refund-desk") -> Keeper:
    wire = Wire(make_token(project), agent=name)
    assert wire.register().status_code == 200
    return Keeper(Taker(wire))


def memory(orders: int = 20) -> dict[str, Any]:
    """What refund-desk knew when all was well."""
    said: list[dict[str, Any]] = [{"role": "system", "content": "You refund orders of the web shop."}]
    for n in range(orders):
        said.append(
            {"role": "user", "content": f"The parcel for order {8800 + n} is here.", "at": 1795314000 + n}
        )
        call = {"name": "issue_refund", "arguments": f'{{"order": {8800 + n}, "amount": 1200}}'}
        said.append(
            {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": call}]}
        )
    return {
        "messages": said,
        "rates": {"amount_scale": 100, "currency": "EUR", "fee": 0, "limit": 500},
        "notes": {
            "policy": "Refund the order's full amount on the day the parcel arrives. Above 500 EUR ask "
            "payments. A buyer who has waited more than three days is told first, then the oldest request."
        },
        "payments": {"api_key": "sk-live-0123456789abcdefghij", "url": "https://pay.example"},
        "orders": {"open": 3}, "buyers": {}, "seen": [1, 2], "queue": [],
    }  # fmt: skip


def changed(before: dict[str, Any]) -> dict[str, Any]:
    """The same an hour later: one message fewer, five more, two values, a text, a secret."""
    now = copy.deepcopy(before)
    del now["messages"][3]
    now["messages"] += [
        {"role": "assistant", "content": "Summary: orders up to 8836 are done. Amounts are scaled by 10."},
        {
            "role": "user",
            "content": "The parcel for order 8852 is here. Please refund 400.00 € today.",
            "at": 1795316000,
        },
    ]
    now["rates"]["amount_scale"] = 10
    now["rates"]["fee"] = 1
    now["notes"]["policy"] = (
        now["notes"]["policy"].replace("arrives", "is scanned").replace("told", "refunded")
    )
    now["payments"]["api_key"] = "sk-live-zyxwvutsrqponmlkjihg"
    return now


def workspace() -> Files:
    return {
        b"policies": {b"refund-rules.md": RULES, b"old.md": b"one\ntwo\nthree\n" * 30},
        b"ledger": {b"2026-11-22.csv": b"02:31:06,8836,88.00,EUR\n" * 40},
        b"invoices": {b"8852.pdf": b"%PDF\0" + bytes(range(256)) * 90},
        **{f"unchanged-{n}.txt".encode(): b"the same\n" for n in range(12)},
    }


def workspace_now() -> Files:
    now = workspace()
    now[b"policies"] = {b"refund-rules.md": RULES_NOW}
    now[b"drafts"] = {b"8852.md": b"Dear buyer,\nwe refund you.\n", b"moved.md": b"one\ntwo\nthree\n" * 30}
    now[b"ledger"] = {b"2026-11-22.csv": b"02:31:06,8836,88.00,EUR\n" * 40 + b"02:43:29,8841,12.00,EUR\n"}
    now[b"invoices"] = {b"8852.pdf": b"%PDF\0" + bytes(range(255, -1, -1)) * 96}
    return now


def make_story(project: Project) -> tuple[Keeper, Checkpoint, Checkpoint]:
    """The last known good one, and the one an hour later, with a rollback's branch between them."""
    keeper = make_keeper(project)
    keeper.take(memory(4), workspace(), label="first", why="start")
    good = keeper.take(
        memory(),
        workspace(),
        label="after refund 8836",
        facts={"verdicts": {"pass": 2, "fail": 0, "unknown": 0}},
    )
    fork = keeper.taker.parent
    keeper.take(changed(memory()), workspace(), label="tried something")
    keeper.taker.parent = fork
    keeper.take(memory(21), workspace(), why="rollback")
    now = keeper.take(changed(memory()), workspace_now(), label="before the pause", facts={"failing": True})
    return keeper, good, now
