"""What importing the SDK costs in CPU: `uv run python -m tests.bench.import_time`.

Bound: `import sickbay` ≤ 60 ms over bare Python. The floors are measured in the same run: Python itself,
and the parts of the standard library with orjson that any recorder needs.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys

TIMES = 15
FLOORS = {
    "bare Python (floor)": "pass",
    "orjson, dataclasses, logging": "import orjson, dataclasses, logging, pathlib, re, threading",
}
ROWS = {
    "import sickbay": "import sickbay",
    "import sickbay.budget": "import sickbay.budget",
    "from sickbay import Agent": "from sickbay import Agent",
}


def milliseconds(code: str) -> float:
    """The least CPU time of so many processes: the others were disturbed."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    least = float("inf")
    for _ in range(TIMES):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", code], check=True, env=env)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return least * 1000


def main() -> None:
    bare = milliseconds("pass")
    print(f"{'':32}{'CPU ms':>8}{'over bare':>11}")
    for name, code in {**FLOORS, **ROWS}.items():
        took = milliseconds(code)
        print(f"{name:32}{took:8.1f}{took - bare:11.1f}")


if __name__ == "__main__":
    main()
