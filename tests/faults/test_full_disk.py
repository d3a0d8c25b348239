"""A disk that is full, at the server: a refusal, never a false acknowledgement, and the agent goes on.

The whole product lives on a small disk of its own, which is filled by what the agent sends. Full disks at the
agent: sdk/tests/test_full_disk.py.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dashboard.embedded.valkey import free_port
from sickbay import ActionFailed, Agent, AgentPauseRequired
from tests.product import Product
from tests.waiting import slowness, until

MORE = 30 * 1024 * 1024  # bytes that fit beside what a fresh product takes
TAKEN = "SELECT ref FROM agents_entry WHERE kind = 'checkpoint'"
HELD = "SELECT count(*) FROM agents_pause WHERE owner = 'budget' AND state = 'paused'"


class SmallDisk:
    """A disk that can be made as small as what is on it, and large again."""

    def __init__(self, where: Path) -> None:
        self.where = where
        where.mkdir()
        self._mount("size=2g")

    def _mount(self, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(self.where)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if os.geteuid() != 0 or done.returncode:
            pytest.skip(f"this machine permits no mounting: {done.stderr.strip()}")

    def leave(self, free: int) -> None:
        used = shutil.disk_usage(self.where).used
        self._mount(f"remount,size={(used + free) // 4096 * 4096}")

    @property
    def free(self) -> int:
        return shutil.disk_usage(self.where).free

    def close(self) -> None:
        subprocess.run(["umount", "-l", str(self.where)], capture_output=True, check=False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.close()


@pytest.fixture
def product(disk: SmallDisk) -> Iterator[Product]:
    product = Product(free_port(), disk.where / "data")
    try:
        product.start()
        yield product
    finally:
        product.stop()


def breaks() -> None:
    raise ValueError("no such order")


def rows(product: Product, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(product.database_url()) as connection:
        return connection.execute(query).fetchall()


def test_a_full_disk_at_the_server_is_a_refusal(product: Product, disk: SmallDisk, tmp_path: Path) -> None:
    """P18: nothing is acknowledged that is not kept, nothing is raised in the agent, and its pause holds."""
    work, dice = tmp_path / "work", random.Random(18)
    agent = Agent(
        "desk", home=tmp_path / "home", url=product.url, token=product.token(), workspace=work,
        memory={"n": 0}, heal=False,
    )  # fmt: skip
    taken = []
    with pytest.raises(AgentPauseRequired), agent.run() as run:
        until(lambda: rows(product, TAKEN), 60 * slowness(), "the first checkpoint")
        disk.leave(MORE)
        assert agent._life is not None
        packs = agent._life.keeper.packs
        while len(packs.waiting()) < 12:
            agent.memory["n"] += 1
            (work / "large.bin").write_bytes(dice.randbytes(1_000_000))
            taken.append(run.checkpoint(f"n{agent.memory['n']}").id)
            run.execute(len, "abc", verify=lambda n: n == 3)
            until(
                lambda: disk.free < 1_000_000 or len(packs.waiting()) < 3, 60 * slowness(), "the disk to fill"
            )
        assert all(taken) and disk.free < 2_000_000
        while True:
            with contextlib.suppress(ActionFailed):
                run.execute(breaks)
    with pytest.raises(AgentPauseRequired), agent.run():
        raise AssertionError("the pause was not written")
    disk.leave(1024**3)
    product.restart()  # the room that Postgres has found is used at once
    with pytest.raises(AgentPauseRequired), agent.run(wait=False):
        raise AssertionError("the pause was lifted")
    until(lambda: set(taken) <= {ref for (ref,) in rows(product, TAKEN)}, 60 * slowness(), "every checkpoint")
    assert max(Counter(rows(product, TAKEN)).values()) == 1
    until(lambda: rows(product, HELD) == [(1,)], 30 * slowness(), "the pause")
    assert "all of it is whole" in product.manage("verify")
