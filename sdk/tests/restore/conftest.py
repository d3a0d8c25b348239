"""What the tests of restoring share."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk.tests.restore.meddling import AFTER
from sdk.tests.restore.trees import Store, lay
from sdk.tests.restore.victim import Victim


@pytest.fixture
def work(tmp_path: Path) -> Path:
    lay(tmp_path / "work", AFTER)
    return tmp_path / "work"


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def victim(tmp_path: Path) -> Victim:
    return Victim(tmp_path)
