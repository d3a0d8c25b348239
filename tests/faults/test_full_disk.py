"""P18 on the server: its disk is full, then it is not. Refused, not corrupted; nothing is lost or twice.

The data of the whole product (Postgres with its log, Valkey, logs) stands on a small disk of its own. While
that is full nothing that takes room is acknowledged, the agent works on with what it has on its own disk,
and once there is room again everything arrives, by itself.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from sickbay import Agent
from tests.faults.disks import as_root
from tests.product import Product, running_product
from tests.waiting import slowness, until

SIZE = "420m"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    as_root("mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=755", "none", str(disk))
    yield disk
    as_root("umount", "-l", str(disk))


@pytest.fixture
def product(disk: Path) -> Iterator[Product]:
    with running_product(below=disk) as product:
        yield product


def fill(disk: Path) -> Path:
    """Write until nothing more fits."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


class Operator:
    def __init__(self, product: Product, token: str) -> None:
        self.url, self.headers = f"{product.url}/api/v1/", {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> Any:
        answer = urllib3.request("GET", self.url + path, headers=self.headers, retries=False, timeout=10)
        assert answer.status == 200, answer.data
        return json.loads(answer.data)

    def each(self, path: str, noun: str) -> list[dict[str, Any]]:
        """All pages of a list."""
        found, before = [], ""
        while True:
            page = self.get(f"{path}?limit=500{before}")
            found += page[noun]
            if page["next"] is None:
                return found
            before = f"&before={page['next']}"

    def done(self) -> Counter[str]:
        """The actions that the timeline tells of, by what they said."""
        try:
            lines = self.each("agents/keeper/timeline/", "entries")
        except (urllib3.exceptions.HTTPError, AssertionError):
            return Counter()
        return Counter(line["name"] for line in lines if line["kind"] == "action")


def work(agent: Agent, run: Any, dice: random.Random, numbers: range) -> list[str]:
    """Actions that take room, and a checkpoint of a memory that grows; the ids of the checkpoints."""
    taken = []
    for n in numbers:
        run.execute(lambda n=n: dice.randbytes(1_900).hex(), name=f"act-{n}")
        agent.memory["said"].append(dice.randbytes(20_000).hex())
        if n % 10 == 0:
            taken.append(run.checkpoint(f"n{n}").id)
    return taken


def test_a_full_disk_is_a_refusal_and_no_corruption(disk: Path, product: Product, tmp_path: Path) -> None:
    """P18: 0 false acknowledgements, 0 exceptions in the agent; all of it is there when there is room."""
    token, operator = product.token(), Operator(product, product.token("operator"))
    dice = random.Random(18)
    agent = Agent(
        "keeper", memory={"said": []}, url=product.url, token=token, home=tmp_path / "home",
    )  # fmt: skip
    with agent.run() as run:
        taken = work(agent, run, dice, range(20))
        until(lambda: len(operator.done()) == 20, 60 * slowness(), "what came before")
        filler = fill(disk)
        taken += work(agent, run, dice, range(20, 220))
        until(lambda: agent_waits(product), 60 * slowness(), "the refusal")
        assert product.answers("/healthz")
        assert product.is_running(), product.said()
        kept = operator.done()
        assert '"code": 500' not in (product.data / "log" / "web.log").read_text(errors="replace")
        filler.unlink()
        assert len(kept) < 220, "the disk was not full enough to refuse anything"
        until(lambda: len(operator.done()) == 220, 180 * slowness(), "what waited", every=1)
    said = operator.done()
    assert set(said.values()) == {1} and said.keys() == {f"act-{n}" for n in range(220)}
    assert kept.keys() <= said.keys()
    there = {one["id"] for one in operator.each("agents/keeper/checkpoints/", "checkpoints")}
    assert set(taken) <= there
    product.manage("verify")


def agent_waits(product: Product) -> bool:
    """Something was refused for want of room."""
    logs = [path.read_text(errors="replace") for path in (product.data / "log").iterdir()]
    return any("No space left" in text or "could not extend" in text for text in logs)
