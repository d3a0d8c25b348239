"""`manage.py project NAME`: a second project, made once."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.urls import reverse

from agents.models import AuditEntry, Project

pytestmark = pytest.mark.django_db


def said(name: str) -> str:
    out = StringIO()
    call_command("project", name, stdout=out)
    return out.getvalue().strip()


def test_a_project_is_made_once(project: Project) -> None:
    """The second time it says that it exists; the log has one act, and a token of it can be printed."""
    assert said("payments-eu") == "Project payments-eu is made."
    assert said("payments-eu") == "Project payments-eu exists already."
    assert said("main") == "Project main exists already."
    assert AuditEntry.objects.get().object == "project payments-eu"
    call_command("token", "--scope", "agent", "--project", "payments-eu", stdout=StringIO())
    assert reverse("fleet", args=["payments-eu"]) == "/p/payments-eu/"


@pytest.mark.parametrize("name", ["", "Payments", "_x", "a b", "a/b", "ä", "a\n", "x" * 64, "../x"])
def test_a_name_that_cannot_stand_in_an_address_is_refused(name: str) -> None:
    """The sentence says what a name may be, and nothing is made."""
    with pytest.raises(CommandError, match="a-z, 0-9 and -"):
        said(name)
    assert not Project.objects.exists()
