"""A shell beside the real web server, signed in as an operator."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.models import Project
from sdk.tests.command import Shell
from tests.builders import make_token
from tests.product import Daphne, running_daphne


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


@pytest.fixture
def shell(daphne: Daphne, transactional_db: None, project: Project) -> Shell:
    env = {"SICKBAY_URL": daphne.url, "SICKBAY_OPERATOR_TOKEN": make_token(project, "operator")}
    return Shell({**env, "SICKBAY_TOKEN": "", "NO_COLOR": "", "PAGER": "cat"})
