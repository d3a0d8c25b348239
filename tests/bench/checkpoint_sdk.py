"""What a checkpoint costs the agent: W1, a chat that grows by two messages a step.

    uv run python -m tests.bench.checkpoint_sdk [steps]

Prints, at the steps 50, 200, 1,000 and 2,000, the best and the median of fifty checkpoints in CPU and in wall
time, and the bytes on disk. The clock runs around `run.checkpoint()` alone.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from sickbay import Agent
from tests.bench import ground

chat_steps = ground.workload().chat_steps

AT, FEW = (50, 200, 1_000, 2_000), 50


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with tempfile.TemporaryDirectory() as base:
        agent = Agent("bench", memory={"messages": []}, home=base, url=None, token=None)
        packs = Path(base) / "bench" / "main" / "checkpoints"
        with agent.run(fresh=True) as run:
            taken: list[tuple[float, float]] = []
            for step in chat_steps(steps):
                agent.memory.clear()
                agent.memory.update(step.memory)
                cpu, wall = time.thread_time(), time.perf_counter()
                run.checkpoint()
                taken.append((time.thread_time() - cpu, time.perf_counter() - wall))
                if step.i + 1 in AT:
                    told(step.i + 1, taken[-FEW:], sum(f.stat().st_size for f in packs.iterdir()))


def told(step: int, taken: list[tuple[float, float]], size: int) -> None:
    (cpu, wall) = ([1000 * one for one in side] for side in zip(*taken, strict=True))
    print(
        f"step {step:5}: CPU best {min(cpu):.2f} p50 {statistics.median(cpu):.2f} ms, "
        f"wall best {min(wall):.2f} p50 {statistics.median(wall):.2f} ms, {size / 1e6:.2f} MB on disk"
    )


if __name__ == "__main__":
    main()
