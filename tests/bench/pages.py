"""What comparing and listing checkpoints cost the screen: `uv run python -m tests.bench.pages`.

Two memories of 10 MB (W4) beside each other, with five edits, with thousands of messages edited, and with all
of them replaced: ≤ 300 ms of server time and ≤ 300 KB of HTML, the rest on demand. Then the history of an
agent with 100,000 checkpoints: ≤ 50 ms. Requests go through all middleware in this process, no network.
CPU is this process's alone; the floor, in the same run, is the page's own queries, their rows thrown away.
"""

from __future__ import annotations

import copy
import gc
import statistics
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from tests.bench import ground
from tests.bench.fleet import bare, milliseconds, queries
from tests.waiting import slowness

SIZE, MANY = 10_000_000, 100_000
HEAD = ("page", "least ms", "p50 ms", "CPU least", "CPU p50", "KB", "queries", "queries alone ms")


def edited(memory: Any) -> Any:
    """Every third message says something more."""
    after = copy.deepcopy(memory)
    for message in after["messages"][::3]:
        message["content"] += " EDIT"
    return after


def replaced(memory: Any) -> Any:
    """No message is as it was."""
    after = copy.deepcopy(memory)
    after["messages"] = [
        {"role": "user", "id": f"new_{n}", "content": one["content"][::-1]}
        for n, one in enumerate(memory["messages"][: len(memory["messages"]) - 100])
    ]
    return after


def cases() -> Iterator[tuple[str, Callable[[Any], Any]]]:
    load = ground.workload()
    yield "compare, 5 edits", load.five_changes
    yield "compare, a third of 17,668 messages edited", edited
    yield "compare, all replaced", replaced


def row(what: str, client: Any, path: str) -> tuple[Any, ...]:
    size = 0

    def ask() -> None:
        nonlocal size
        answer = client.get(path)
        assert answer.status_code == 200, answer.status_code
        size = len(answer.content)

    wall, cpu = milliseconds(ask)
    sent = queries(ask)
    walls = [ground.percentile(wall, part) for part in (0.0, 0.5)]
    return (what, *walls, min(cpu), statistics.median(cpu), size / 1000, len(sent), bare(sent))


def measure() -> list[tuple[Any, ...]]:
    from sickbay.tree.grow import grow
    from sickbay.tree.text import dump
    from tests.bench.checkpoints import Agent, fill
    from tests.restore.taker import whole

    agent, old = Agent(), ground.workload().memory_of_size(SIZE)
    client = signed_in(agent.project)
    before = grow(dump(old))
    agent.take(before.root, [whole(new) for new in before.new], 1)
    rows: list[tuple[Any, ...]] = [HEAD]
    for what, change in cases():
        after = grow(dump(change(old)), before)
        agent.take(after.root, [whole(one) for one in after.new], 2)
        gc.collect()
        gc.freeze()  # as a server does; both memories lie here besides
        old_id, new_id = uuid.UUID(agent.ids[0]), uuid.UUID(agent.ids[-1])
        rows.append(row(what, client, f"/p/bench/checkpoints/{old_id}..{new_id}/"))
    fill(agent, MANY)
    rows.append(row(f"history of {MANY:,}", client, "/p/bench/agents/bench/checkpoints/"))
    return rows


def signed_in(project: Any) -> Any:
    from django.test import Client

    from agents.models import Membership, Role, User

    user = User.objects.create_user("alice@example.com", "a long enough one", name="Alice")
    Membership.objects.create(project=project, user=user, role=Role.OPERATOR)
    client = Client(SERVER_NAME="localhost")
    client.force_login(user)
    return client


def main() -> None:
    with ground.servers():
        from django.conf import settings

        settings.ALLOWED_HOSTS = ["localhost"]
        ground.table("Checkpoints on the screen, server time", measure())
    print(f"\n  this machine is {slowness():.1f} times as slow as a calm one now")
    print("  wanted: compare ≤ 300 ms and ≤ 300 KB, history ≤ 50 ms")


if __name__ == "__main__":
    main()
