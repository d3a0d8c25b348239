"""What the idle product takes of memory: `uv run python -m tests.bench.idle`.

Bound: ≤ 600 MB PSS in all, for `manage.py up` with nothing to do. PSS shares what processes share; the floor
is a bare Python, in the same run.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import psutil

from tests.bench import ground
from tests.product import MARKS, running_product
from tests.waiting import until

SETTLING = 15.0


def pss(process: psutil.Process) -> float:
    return float(process.memory_full_info().pss) / 1e6


def named(process: psutil.Process) -> str:
    """Which part of the product a process belongs to."""
    for one in (process, *process.parents()):
        command = " ".join(one.cmdline())
        for name, mark in MARKS.items():
            if mark in command and "leash.py" not in command:
                return name
    return "leash" if "leash.py" in " ".join(process.cmdline()) else "supervisor"


def bare() -> float:
    code = "import sys; print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdout.readline()
        size = pss(psutil.Process(process.pid))
        process.stdin.close()
        return size


def main() -> None:
    with running_product() as product:
        until(lambda: product.answers("/readyz?all"), 120, "everything")
        threading.Event().wait(SETTLING)
        parts: dict[str, list[float]] = {}
        for process in product.processes():
            parts.setdefault(named(process), []).append(pss(process))
    rows: list[tuple[Any, ...]] = [("part", "processes", "PSS MB")]
    rows += [(name, len(sizes), sum(sizes)) for name, sizes in sorted(parts.items())]
    total = sum(sum(sizes) for sizes in parts.values())
    ground.table("The idle product", [*rows, ("in all", sum(map(len, parts.values())), total)])
    print(f"\n  a bare Python: {bare():.1f} MB; wanted: at most 600 MB in all, got {total:.0f}")


if __name__ == "__main__":
    main()
