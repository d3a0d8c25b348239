"""A server whose disk is full says so, in words, to programs and to people."""

from __future__ import annotations

import json

import psycopg
import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import RequestFactory

from agents.api.problems import ErrorsInShape
from dashboard.views.failed import failed

FULL = psycopg.errors.DiskFull("could not extend file")


def behind_djangos() -> OperationalError:
    error = OperationalError("could not extend file")
    error.__cause__ = FULL
    return error


@pytest.mark.parametrize("error", [FULL, behind_djangos()])
def test_programs_read_that_nothing_was_stored(error: Exception) -> None:
    """503 with a name of its own, whether psycopg or Django raised."""
    shape = ErrorsInShape(lambda request: HttpResponse())
    answer = shape.process_exception(RequestFactory().post("/api/v1/events/"), error)
    assert answer is not None and answer.status_code == 503
    said = json.loads(answer.content)
    assert said["error"] == "disk_full" and "Make room" in said["what_to_do"]


def test_another_failure_of_the_database_is_none_of_that() -> None:
    """A server that is away is not called full."""
    shape = ErrorsInShape(lambda request: HttpResponse())
    away = psycopg.errors.AdminShutdown("terminating connection")
    answer = shape.process_exception(RequestFactory().post("/api/v1/events/"), away)
    assert answer is not None and json.loads(answer.content)["error"] == "unavailable"


@pytest.mark.parametrize(("error", "status"), [(behind_djangos(), 503), (ValueError("x"), 500)])
def test_people_read_it_on_the_page(error: Exception, status: int) -> None:
    """The page says that there is no room, and that nothing stored is harmed; a bug is called ours."""
    try:
        raise error
    except type(error):
        answer = failed(RequestFactory().get("/p/main/"))
    assert answer.status_code == status
    assert (b"disk is full" in answer.content) == (status == 503)
    assert (b"fault is ours" in answer.content) == (status == 500)
