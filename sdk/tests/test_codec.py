"""Laws of the codec: what comes back is what went in, of the same type, and nothing else is called."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import math
import uuid
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langgraph.types import Send
from pydantic import BaseModel

from sickbay import BadArgument
from sickbay.langgraph._sends import GraphCodec
from sickbay.memory import Codec, Lost
from sickbay.tree.faults import faults_in
from sickbay.tree.text import dump, load


class Colour(enum.Enum):
    RED = 1


class Order(BaseModel):
    number: int
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Line:
    amount: decimal.Decimal
    order: Order
    total: int = field(default=0, init=False)


CODEC = Codec((Colour, Order, Line))
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
    | st.datetimes() | st.dates() | st.timedeltas() | st.uuids() | st.decimals(allow_nan=False)
    | st.just(Colour.RED) | st.builds(Order, number=st.integers())
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.just("$"), inner)
        | st.dictionaries(st.integers(), inner)
        | st.sets(st.integers())
    ),
    max_leaves=12,
)


def there_and_back(value: Any, codec: Codec = CODEC) -> Any:
    """Over the very text that a checkpoint holds."""
    said = codec.encode(value)
    assert list(faults_in(said)) == []
    return codec.decode(load(dump(said)))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(VALUES)
def test_what_comes_back_is_what_went_in(value: Any) -> None:
    """Equal, and of the same type."""
    back = there_and_back(value)
    assert (back, type(back)) == (value, type(value))


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage("hi", id="1", name="Ann", language="de"),
        AIMessage("", tool_calls=[{"name": "f", "args": {"at": (1, 2)}, "id": "c1"}], id="2"),
        AIMessage([{"type": "text", "text": "hi"}], response_metadata={"at": dt.date(2026, 1, 1)}),
        AIMessageChunk("a"),
        SystemMessage("be brief"),
        ToolMessage("x", tool_call_id="c1", artifact=Order(number=3), status="error"),
        ToolMessage("x", tool_call_id="c1", artifact=[]),
    ],
)
def test_messages_come_back(message: Any) -> None:
    """As the class they were, and they read like messages on the way."""
    said = CODEC.encode(message)
    assert (said["type"], said["content"]) == (message.type, message.content)
    back = there_and_back(message)
    assert (back, type(back)) == (message, type(message))


def test_models_and_tasks_come_back() -> None:
    """pydantic, dataclasses with fields that no argument sets, and what LangGraph is about to send."""
    line = Line(decimal.Decimal("1.10"), Order(number=2))
    object.__setattr__(line, "total", 7)
    assert there_and_back(line) == line and there_and_back(line).total == 7
    assert there_and_back(Send("node", {"line": (1,)}), GraphCodec()) == Send("node", {"line": (1,)})
    assert math.isnan(there_and_back(float("nan")))


@pytest.mark.parametrize(
    "said",
    [
        {"$": "shown", "type": "os.system", "text": "…"},
        {"$": "os.system", "of": {"command": "true"}},
        {"$": "uuid", "of": "no uuid"},
        {"$": "Order", "of": {"number": "many"}},
        {"$": "datetime"},
        {"$": "message", "type": "no such message", "content": ""},
        {"$": ["unhashable"], "of": 1},
    ],
)
def test_what_was_not_given_is_not_made(said: Any) -> None:
    """A memory that someone else wrote calls nothing but the classes that were given."""
    with pytest.raises(Lost):
        CODEC.decode(said)


def test_a_class_that_is_no_model_is_refused() -> None:
    """And two of one name are told apart by renaming one."""
    with pytest.raises(BadArgument, match="pydantic models"):
        Codec((uuid.UUID,))
    with pytest.raises(BadArgument, match="rename"):
        Codec((Order, type("Order", (BaseModel,), {})))
