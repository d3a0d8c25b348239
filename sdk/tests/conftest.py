"""What the SDK's tests share: a harness on a clock of its own, in a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk.tests.gathered import LINES
from sickbay.testing import Harness


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A small workspace."""
    work = tmp_path / "work"
    (work / "notes").mkdir(parents=True)
    (work / "report.md").write_bytes(LINES[:40_000])
    (work / "notes" / "todo.txt").write_bytes(b"call them\n")
    (work / "run.sh").write_bytes(b"#!/bin/sh\n")
    (work / "run.sh").chmod(0o755)
    (work / "latest").symlink_to("notes/todo.txt")
    return work
