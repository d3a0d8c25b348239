"""A forgotten password: a mail in our words, or words where no mail can be sent."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import mail
from django.test import Client

from agents.models import User
from dashboard.embedded.valkey import free_port

ADDRESS = "/accounts/password/reset/"
SOMEBODY = ["alice@example.com", "nobody@example.com"]


@pytest.mark.parametrize("email", SOMEBODY)
def test_without_a_mail_server_it_says_what_to_do(client: Client, alice: User, email: str) -> None:
    """The page offers no form that cannot work, and names the command that helps; nothing fails."""
    for answer in (client.get(ADDRESS), client.post(ADDRESS, {"email": email})):
        page = answer.content.decode()
        assert answer.status_code == 200 and "manage.py signin EMAIL" in page
        assert 'name="email"' not in page


@pytest.mark.parametrize("email", SOMEBODY)
def test_a_mail_server_that_is_away_is_said(client: Client, alice: User, settings: Any, email: str) -> None:
    """A known and an unknown address get the same words, and no page of a bug."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()
    answer = client.post(ADDRESS, {"email": email})
    assert answer.status_code == 503
    assert "The mail was not sent" in answer.content.decode()


def test_the_mail_is_in_our_words(client: Client, alice: User, settings: Any) -> None:
    """The subject names Sickbay and no machine; the link in it sets a new password."""
    settings.EMAIL_HOST = "127.0.0.1"
    assert client.post(ADDRESS, {"email": alice.email}).status_code == 302
    (sent,) = mail.outbox
    assert (sent.subject, sent.to) == ("A new password for Sickbay", [alice.email])
    assert "Hello from" not in sent.body and "Thank you for using" not in sent.body
    link = next(word for word in sent.body.split() if "/accounts/password/reset/key/" in word)
    assert "New password" in client.get(link, follow=True).content.decode()


def test_an_unknown_address_is_told_so_in_its_own_mail(client: Client, alice: User, settings: Any) -> None:
    """Only who reads that address learns that nobody signs in with it."""
    settings.EMAIL_HOST = "127.0.0.1"
    page = client.post(ADDRESS, {"email": "nobody@example.com"}, follow=True).content.decode()
    assert "If this address may sign in" in page
    assert "nobody signs in with this address" in mail.outbox[0].body and "signup" not in mail.outbox[0].body
