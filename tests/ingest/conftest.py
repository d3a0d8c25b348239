"""An agent of the project, registered."""

from __future__ import annotations

import pytest

from agents.models import Project
from tests.builders import Wire, make_token


@pytest.fixture
def wire(project: Project) -> Wire:
    """A process that has registered and holds the newest epoch."""
    wire = Wire(make_token(project))
    assert wire.register().status_code == 200
    return wire
