"""What is masked on the screen, and that masking costs no more than reading."""

from __future__ import annotations

import time

import pytest

from checkpoints import secrets
from checkpoints.secrets import MASK


@pytest.mark.parametrize(
    "text",
    ["the key is sk-live-0123456789abcdefghij", "Authorization: Bearer abcdefgh12345678", "password=hunter2",
     "postgres://me:hunter2@db/x", "AKIAABCDEFGHIJKLMNOP", '{"token": "abc"}', "DB_PASSWORD: 'it is me'",
     "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"],
)  # fmt: skip
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    """By its shape or by the words before it; the lines are as many as before."""
    shown = secrets.masked(text)
    assert MASK in shown and shown.count("\n") == text.count("\n")
    for part in ("hunter2", "0123456789", "12345678", "ABCDEFGHIJ", "it is me", "\nabc\n", '"abc"'):
        assert part not in shown


@pytest.mark.parametrize("text", ["max_tokens: 5", "the secret of success", "a pin for the board", "key: 5"])
def test_plain_words_are_left_alone(text: str) -> None:
    """Speaking of secrets is none."""
    assert secrets.masked(text) == text


def test_by_the_key_that_it_stands_under() -> None:
    """Numbers, lists and whole objects; what is empty is no secret."""
    value = {"apiKey": 5, "user": {"password": ["a"], "otp": None, "name": "b"}, "cookies": {"a": "b"}}
    shown = {"apiKey": MASK, "user": {"password": MASK, "otp": None, "name": "b"}, "cookies": MASK}
    assert secrets.masked_value(value) == shown
    assert secrets.masked_value("a", ("db", "secret", 0)) == MASK


@pytest.mark.parametrize(
    "text",
    ["a" * 300_000, "token" * 60_000, "://" * 100_000, "eyJ" + "a" * 300_000, "-----BEGIN " * 30_000,
     "bearer " * 40_000, 'password="' * 30_000, "pin" * 50 + " " * 300_000],
)  # fmt: skip
def test_no_text_makes_it_slow(text: str) -> None:
    """300 KB of anything take less than a second."""
    began = time.process_time()
    secrets.masked(text)
    assert time.process_time() - began < 1
