"""What the SDK's tests share: a harness on a clock of its own, in a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from sickbay.testing import Harness


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)
