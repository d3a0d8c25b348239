"""A process that restores, or finishes a restore, and is killed: `python dying.py WORK NODES ROOT VERB`."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sickbay import _restore


def begun(work: Path, nodes: Path, root: bytes, verb: str, failpoint: str = "") -> subprocess.Popen[bytes]:
    """That process; it says a line when it begins. `failpoint`: where it dies by itself."""
    return subprocess.Popen(
        [sys.executable, __file__, str(work), str(nodes), root.hex(), verb],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "SICKBAY_FAILPOINT": failpoint},
    )


def main(work: str, nodes: str, root: str, verb: str) -> None:
    known: dict[bytes, bytes] = pickle.loads(Path(nodes).read_bytes())

    def fetch(names: list[bytes]) -> Mapping[bytes, bytes]:
        return {name: known[name] for name in names}

    print("ready", flush=True)
    sys.stdin.readline()
    if verb == "finish":
        _restore.finish(Path(work))
    else:
        _restore.restore(Path(work), bytes.fromhex(root), fetch, id="r1")
    print("done", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
