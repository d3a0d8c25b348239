"""Laws of what leaves the host: bounded, clean, masked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdk.tests.desk import breaks, of_kind, works
from sickbay import ActionFailed
from sickbay._mask import MASK, Recorder
from sickbay.testing import Harness


def recorded(value: Any, **options: Any) -> Any:
    return orjson.loads(orjson.dumps(Recorder(**options).value(value, 4096)))


SECRETS = [
    "sk-proj-abcdefghijklmnopqrstuvwx",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdef",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_are_known_by_their_shape(secret: str) -> None:
    """Keys and tokens of the usual providers are masked wherever they stand."""
    told = json.dumps(recorded({"note": f"use {secret} today", "list": [secret]}))
    assert secret not in told
    assert "MIIEow" not in told
    assert MASK in recorded(f"use {secret} today")


@pytest.mark.parametrize(
    "key", ["password", "api_key", "apiKey", "X-Api-Key", "Authorization", "client_secret", "db_password"]
)
@pytest.mark.parametrize("value", ["hunter2", 4711, ["a", "b"], {"inner": "hunter2"}])
def test_secrets_are_known_by_their_key(key: str, value: Any) -> None:
    """Whatever stands under a telling key is masked, whatever it is."""
    assert recorded({"user": "alice", key: value}) == {"user": "alice", key: MASK}


@pytest.mark.parametrize("key", ["tokens", "max_tokens", "keyboard", "author", "passenger", "pinned"])
def test_harmless_keys_stay(key: str) -> None:
    """A key that merely resembles a telling one is left alone."""
    assert recorded({key: "42"}) == {key: "42"}


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgres://app:hunter2@db:5432/x", "postgres://app:•••@db:5432/x"),
        ("Authorization: Bearer abcdefgh12345678", "hunter"),
        ("login failed, password=hunter2;", "login failed, password=•••;"),
        ("curl -H 'X-Api-Key: hunter2hunter2'", "hunter"),
    ],
)
def test_secrets_in_sentences(text: str, left: str) -> None:
    """Passwords in addresses, headers and assignments are masked inside a text."""
    told = Recorder().text(text, 500)
    assert told == left or "hunter" not in told
    assert "abcdefgh12345678" not in told


def test_what_is_long_keeps_head_size_and_hash() -> None:
    """Over its bound a value is told by its head, its size and its sha256."""
    value = "x" * 10_000
    told = recorded(value)
    raw = orjson.dumps(value)
    assert told["size"] == len(raw)
    assert told["sha256"] == hashlib.sha256(raw).hexdigest()
    assert len(orjson.dumps(told)) <= 4096


def test_a_secret_on_the_cut_is_masked() -> None:
    """A secret that straddles the bound leaves no half of itself."""
    for lead in range(3780, 3900):
        told = recorded("x" * lead + " sk-proj-abcdefghijklmnopqrstuvwx" + "y" * 4000)
        assert "sk-proj-abcd" not in told["head"]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()) | st.integers(), inner),
        max_leaves=20,
    )
)
def test_anything_can_be_recorded(value: Any) -> None:
    """Whatever a host passes becomes clean JSON: no NUL, no lone surrogate, no NaN."""
    raw = orjson.dumps(Recorder().value(value, 4096))
    told = json.loads(raw, parse_constant=lambda name: pytest.fail(name))
    assert not any("\0" in text for text in texts(told))


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from texts(item)


class Rude:
    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_hostile_values_are_no_error() -> None:
    """A repr that raises, a cycle, a huge int: told as well as can be."""
    cycle: list[Any] = []
    cycle.append(cycle)
    assert "whose repr raised RuntimeError" in recorded(Rude())
    assert "nested deeper" in json.dumps(recorded(cycle))
    assert recorded({"n": 10**30}) == {"n": str(10**30)}
    assert recorded("a\x00b") == "a\ufffdb"


def test_redact_rewrites_what_is_recorded(harness: Harness) -> None:
    """Agent(redact=fn) sees each text before it is spooled, errors included."""
    agent = harness.agent(redact=lambda text: text.replace("order", "thing"))
    with agent.run() as run:
        run.execute(works, {"text": "an order"})
        with pytest.raises(ActionFailed):
            run.execute(breaks)
    told = json.dumps(harness.events(agent))
    assert "an thing" in told
    assert "no such order" not in told


@pytest.mark.parametrize("redact", [lambda text: 1 / 0, lambda text: None])
def test_a_redact_that_breaks_hides_all(harness: Harness, redact: Any) -> None:
    """When redact fails nothing of the text leaves, and the agent goes on."""
    agent = harness.agent(redact=redact)
    with agent.run() as run:
        assert run.execute(works, "alice@example.com") == "alice@example.com"
    told = json.dumps(harness.events(agent))
    assert "alice" not in told
    assert "not recorded" in told


def test_an_agents_own_secret_is_masked_by_value(harness: Harness) -> None:
    """agent.secret(path) masks that value wherever it turns up."""
    agent = harness.agent(memory={"smtp": {"pass phrase": "correct horse"}})
    agent.secret("smtp", "pass phrase")
    with agent.run() as run:
        run.execute(works, "I said correct horse battery")
    assert "correct horse" not in json.dumps(harness.events(agent))


@pytest.mark.parametrize(
    ("record", "told"),
    [("shape", {"name": "str of 5", "n": "int"}), ("none", None), ("all", {"name": "alice", "n": 1})],
)
def test_record_says_how_much(harness: Harness, record: Any, told: Any) -> None:
    """record= tells all, the shape alone, or nothing; of errors then only the type."""
    agent = harness.agent()
    with agent.run() as run:
        run.execute(works, {"name": "alice", "n": 1}, record=record)
        with pytest.raises(ActionFailed):
            run.execute(breaks, record=record)
    first, second = of_kind(harness, agent, "action")
    assert first.get("input") == first.get("output") == told
    assert second["error"]["type"] == "ValueError"
    assert ("no such order" in json.dumps(second)) is (record == "all")


def test_a_mutable_input_is_recorded_as_it_was(harness: Harness) -> None:
    """The input is recorded before the action can change it."""
    agent = harness.agent()
    with agent.run() as run:
        run.execute(lambda order: order.clear(), {"id": 17}, name="clear")
    (event,) = of_kind(harness, agent, "action")
    assert event["input"] == {"id": 17}
