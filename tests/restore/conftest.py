"""An agent of the project that takes checkpoints."""

from __future__ import annotations

import pytest

from agents.models import Project
from tests.builders import Wire, make_token
from tests.restore.taker import Taker


@pytest.fixture
def taker(project: Project) -> Taker:
    wire = Wire(make_token(project))
    assert wire.register().status_code == 200
    return Taker(wire)
