"""The operators' routes against their own OpenAPI: whatever is sent, no 500, and what is said is kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)  # fmt: skip

from agents.models import Project
from agents.services import tokens
from tests.domain import cast
from tests.domain.cast import NOW

CHECKS = (
    schemathesis.checks.not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)


schema = schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())
operators = schema.exclude(tag="how agents report")


@pytest.fixture
def one_connection(db: None) -> Iterator[None]:
    """As Django's own test client does it: a request leaves the test's connection open."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def bearer(one_connection: None) -> dict[str, str]:
    """A token of a project with a paused agent, so that some requests meet something."""
    project = Project.objects.create(name="main")
    cast.spends_its_budget(cast.worker(project))
    made = tokens.make(project=project, scope="operator", label="x", by="tests", now=NOW)
    return {"Authorization": f"Bearer {made.text}"}


@operators.parametrize()
@settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_a_route(case: Any, bearer: dict[str, str]) -> None:
    """Each answer is one that OpenAPI announces, in the shape that it announces."""
    case.call_and_validate(headers=bearer, checks=CHECKS)
