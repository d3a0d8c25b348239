"""Checkpoints on the server: what 2,000 of a growing memory (W1) cost to keep, to list and to read.

    uv run python -m tests.bench.checkpoints [--steps 2000] [--many 100000]
    uv run --group bench python -m tests.bench.checkpoints --peers 80 --steps 1000 --many 0

The tree is grown and packed as the SDK does it, and handed to the service; HTTP and the spool are not in it.
With `--peers` LangGraph's savers do the same work in the same Postgres, for so many seconds each.
"""

from __future__ import annotations

import argparse
import functools
import math
import random
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from tests.bench import ground, peers
from tests.bench.peers import Measured

MARKS = (200, 1000, 2000)
TABLES = ("checkpoints_node", "checkpoints_checkpoint", "checkpoints_dependencies", "checkpoints_lease")


def sizes() -> dict[str, int]:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t, pg_total_relation_size(t::regclass) FROM unnest(%s::text[]) t", [list(TABLES)]
        )
        found = dict(cursor.fetchall())
        cursor.execute(
            "SELECT c.relname, pg_relation_size(c.oid) FROM pg_index i"
            " JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = ANY(%s::regclass[])",
            [["checkpoints_node", "checkpoints_checkpoint"]],
        )
        indexes = dict(cursor.fetchall())
    return found | {f"  {name}": size for name, size in indexes.items()}


class Agent:
    """One instance that takes checkpoints through the service."""

    def __init__(self) -> None:
        from agents.models import Instance
        from checkpoints.services.taking import Writer
        from tests.builders import make_agent, make_instance, make_project

        self.project = make_project("bench")
        self.agent = make_agent(self.project, "bench")
        self.instance: Instance = make_instance(self.agent, epoch=1)
        self.writer = Writer(self.project.pk, "bench", "main", 1)
        self.run = uuid.uuid4().hex
        self.sent = 0
        self.ids: list[str] = []

    def take(self, memory: bytes, records: list[Any], step: int) -> float:
        import msgspec
        from django.utils import timezone

        from checkpoints.services import taking

        now = timezone.now()
        said = {
            "id": uuid.uuid4().hex, "run": self.run, "at": now.timestamp(), "sent_at": now.timestamp(),
            "why": "every", "parent": self.ids[-1] if self.ids else None, "act": step,
            "manifest": {"memory": memory.hex(), "code": "git:1a2b3c4", "sdk": "0.1.0", "tools": "9f" * 32},
            "facts": {"verdicts": {"pass": 1, "fail": 0, "unknown": 0}, "actions": 1},
        }  # fmt: skip
        header = msgspec.convert(said, taking.Header)
        started = time.perf_counter()
        taking.take(self.writer, header=header, records=records, now=now)
        self.ids.append(said["id"])
        return time.perf_counter() - started


def grown(steps: Iterator[Any]) -> Iterator[tuple[bytes, list[Any], int, bytes]]:
    """Root, records and bytes of each step, as the SDK makes them."""
    from sickbay.tree import record
    from sickbay.tree.grow import grow
    from sickbay.tree.text import dump
    from tests.restore.taker import record_of

    tree, roots = None, {}
    for step in steps:
        tree = grow(dump(step.memory), tree)
        records = [record_of(new, roots) for new in tree.new]
        roots = {new.name: new.plain for new in tree.new if new.name == tree.root} or roots
        yield tree.root, records, sum(len(record.write(one)) for one in records), tree.text


def backend_pid() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return int(cursor.fetchone()[0])


def w1(steps: int) -> tuple[Agent, dict[int, bytes], Measured]:
    """Feed the workload, printing sizes at the marks; some texts are kept to compare with."""
    agent, took, sizes_at, sent, cpu = Agent(), [], {}, 0, []
    backend = backend_pid()
    spent = ground.cpu(backend)
    chosen = set(random.Random(7).sample(range(steps), min(30, steps)))
    texts: dict[int, bytes] = {}
    for number, (root, records, size, text) in enumerate(grown(ground.workload().chat_steps(steps)), 1):
        before = time.process_time()
        took.append(agent.take(root, records, number))
        cpu.append(time.process_time() - before)
        sent += size
        if number - 1 in chosen:
            texts[number - 1] = text
        if number in MARKS or number == steps:
            sizes_at[number] = sum(sizes()[table] for table in TABLES)
    rows: list[tuple[Any, ...]] = [("steps", "MB in all")]
    rows += [(number, round(size / 1e6, 2)) for number, size in sizes_at.items()]
    ground.table(f"W1: upload {sent / steps:,.0f} B a checkpoint", rows)
    last = sorted(sizes_at)[-2:]
    if len(last) == 2:
        grew = math.log(sizes_at[last[1]] / sizes_at[last[0]]) / math.log(last[1] / last[0])
        print(f"  growth exponent {grew:.2f}, wanted ≤ 1.0; wanted ≤ 4 MB at 2,000")
    ground.table("Where it is", [("what", "KB"), *((name, size // 1000) for name, size in sizes().items())])
    first, end = (ground.percentile(part, 0.5) * 1000 for part in (took[:100], took[-100:]))
    print(f"\n  taking, p50: {first:.1f} ms first 100, {end:.1f} ms last 100, with commit")
    print(f"  CPU of this process for one, p50: {ground.percentile(cpu, 0.5) * 1000:.1f} ms", end=", ")
    print(f"of its Postgres backend, mean: {(ground.cpu(backend) - spent) / steps * 1000:.1f} ms")
    return agent, texts, Measured("Sickbay", sizes_at, took)


def best_of(call: Callable[[], Any], times: int = 15) -> float:
    """Milliseconds of the quickest."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        found.append((time.perf_counter() - started) * 1000)
    return min(found)


def reading(agent: Agent, texts: dict[int, bytes], found: Measured) -> None:
    from django.db import connection

    from checkpoints import queries, store
    from checkpoints.models import Checkpoint
    from sickbay.tree.read import text_of

    def fetch(names: list[bytes]) -> dict[bytes, bytes]:
        return store.fetch(agent.project.pk, names)

    took = []
    for step, text in texts.items():
        root = Checkpoint.objects.values_list("memory", flat=True).get(pk=agent.ids[step])
        assert root is not None
        assert text_of(root, fetch) == text
        took.append(best_of(functools.partial(text_of, root, fetch), 5))
    p50, p90 = ground.percentile(took, 0.5), ground.percentile(took, 0.9)
    print(f"  an old one read whole: p50 {p50:.1f} ms, p90 {p90:.1f} ms, wanted ≤ 20")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE checkpoints_checkpoint")  # as autovacuum does within a minute
    newest = best_of(lambda: queries.listed(agent.agent.pk, limit=50))
    print(f"  newest 50 listed: {newest:.1f} ms, wanted ≤ 10")
    found.listed, found.read = newest / 1000, p50 / 1000


FILL = """
INSERT INTO checkpoints_checkpoint ({columns})
SELECT {values} FROM checkpoints_checkpoint c, generate_series(1, %s) n WHERE c.id = %s
"""


def fill(agent: Agent, count: int) -> None:
    """The last checkpoint as often as that, each older than the one before."""
    from django.db import connection

    from checkpoints.models import Checkpoint

    columns = [field.column for field in Checkpoint._meta.concrete_fields]
    changed = {"id": "gen_random_uuid()", "at": "c.at - n * interval '1 minute'", "root_body": "NULL"}
    values = ", ".join(changed.get(name, f"c.{name}") for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(FILL.format(columns=", ".join(columns), values=values), [count, agent.ids[-1]])
        cursor.execute("ANALYZE checkpoints_checkpoint")


def many(agent: Agent, count: int) -> None:
    from checkpoints import queries

    fill(agent, count)
    first = best_of(lambda: queries.listed(agent.agent.pk, limit=50))
    page = queries.listed(agent.agent.pk, limit=50)
    for _ in range(200):
        page = queries.listed(agent.agent.pk, before=queries.Key(page[-2].at, page[-2].pk), limit=500)
    last = queries.Key(page[-2].at, page[-2].pk)
    deep = best_of(lambda: queries.listed(agent.agent.pk, before=last, limit=50))
    tree = next(grown(ground.workload().chat_steps(1)))
    more = [agent.take(tree[0], tree[1], count + n) for n in range(20)]
    print(f"  one more beside {count:,} of one memory: {ground.percentile(more, 0.5) * 1000:.1f} ms")
    print(f"  of {count:,}: first page {first:.1f} ms, a deep one {deep:.1f} ms, wanted ≤ 50")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--peers", type=float, default=0, help="seconds for each of LangGraph's savers")
    given = parser.parse_args()
    with ground.servers():
        agent, texts, ours = w1(given.steps)
        reading(agent, texts, ours)
        if given.peers:
            theirs = [peers.langgraph(name, given.steps, MARKS, given.peers) for name in peers.PEERS]
            peers.table([ours, *theirs], sorted(ours.sizes))
        if given.many:
            many(agent, given.many)


if __name__ == "__main__":
    main()
