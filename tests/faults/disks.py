"""Disks of their own for tests of a full or busy one: small, in memory, and gone with the test."""

from __future__ import annotations

import os
import subprocess

import pytest


def as_root(*command: str) -> None:
    """Skips where this machine does not permit it."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if os.geteuid() != 0 or done.returncode:
        pytest.skip(f"this machine does not permit {command[0]}: {done.stderr.strip()}")
