"""The operators' routes against their own OpenAPI: whatever is sent, no 500, and what is said is kept."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
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
def bearer(db: None) -> dict[str, str]:
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
