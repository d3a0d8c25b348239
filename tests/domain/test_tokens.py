"""Tokens: shown once, kept as a digest, checked by shape, secret, expiry and revocation."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from agents.models import AuditEntry, Project, Scope, Token
from agents.services import tokens

NOW = datetime(2026, 3, 1, 3, 0, tzinfo=UTC)


def a_token(project: Project, **fields: object) -> str:
    made = tokens.make(project=project, scope=Scope.AGENT, label="refunds", by="alice", now=NOW, **fields)  # type: ignore[arg-type]
    assert made.text is not None
    return made.text


def test_a_token_finds_its_project(project: Project) -> None:
    """What was issued is found again, with its project and scope."""
    found = tokens.find(a_token(project), NOW)
    assert found is not None
    assert (found.project, found.scope) == (project, Scope.AGENT)


def test_the_secret_is_not_kept(project: Project) -> None:
    """The database holds the sha256 of the secret and nothing of the secret."""
    text = a_token(project)
    _, public_id, secret = text.split("_")
    row = Token.objects.get(public_id=public_id)
    assert bytes(row.digest) == hashlib.sha256(secret.encode()).digest()
    assert secret not in str(Token.objects.values().get())


@pytest.mark.parametrize(
    "spoil", [str.upper, lambda t: t[:-1], lambda t: t + "x", lambda t: f" {t}", lambda t: ""]
)
def test_a_spoilt_token_finds_nothing(project: Project, spoil: object) -> None:
    """A token that differs anywhere is nobody's."""
    assert tokens.find(spoil(a_token(project)), NOW) is None  # type: ignore[operator]


def test_another_secret_finds_nothing(project: Project) -> None:
    """A known id with another token's secret is nobody's."""
    first, second = a_token(project), a_token(project)
    mixed = "_".join([*first.split("_")[:2], second.split("_")[2]])
    assert tokens.find(mixed, NOW) is None


def test_an_expired_token_finds_nothing(project: Project) -> None:
    """A token works until the moment it expires, and not in that moment."""
    text = a_token(project, expires_at=NOW + timedelta(hours=1))
    assert tokens.find(text, NOW + timedelta(minutes=59))
    assert tokens.find(text, NOW + timedelta(hours=1)) is None


def test_a_revoked_token_finds_nothing(project: Project) -> None:
    """A token is revoked once, at once, and the log says by whom."""
    text = a_token(project)
    pk = Token.objects.get().pk
    assert tokens.revoke(project=project, pk=pk, by="alice", now=NOW)
    assert not tokens.revoke(project=project, pk=pk, by="alice", now=NOW)
    assert tokens.find(text, NOW) is None
    assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)) == [
        "make token",
        "revoke token",
    ]


def test_another_project_cannot_revoke(project: Project) -> None:
    """A token's key is worth nothing in another project."""
    text = a_token(project)
    elsewhere = Project.objects.create(name="elsewhere")
    assert not tokens.revoke(project=elsewhere, pk=Token.objects.get().pk, by="charlie", now=NOW)
    assert tokens.find(text, NOW)


def test_use_is_noted_once_a_minute(project: Project) -> None:
    """A busy token is not written at each request."""
    text = a_token(project)
    for seconds, noted in ((0, 0), (30, 0), (60, 60)):
        tokens.find(text, NOW + timedelta(seconds=seconds))
        assert Token.objects.get().last_used_at == NOW + timedelta(seconds=noted)


def test_a_form_sent_twice_makes_one(project: Project) -> None:
    """The second time neither makes a token nor shows the first one again."""
    chosen = tokens.new_id()
    a_token(project, id=chosen)
    again = tokens.make(project=project, scope=Scope.AGENT, label="", by="alice", now=NOW, id=chosen)
    assert (again.text, Token.objects.count()) == (None, 1)


@pytest.mark.parametrize("data", [b"\0" * 32, b"\xff" * 32, b"\0" * 31 + b"\1"])
def test_base62_has_one_length(data: bytes) -> None:
    """Every secret has 43 letters, also one of zeros."""
    assert len(tokens.base62(data)) == 43
