"""Python values as the JSON that a memory may hold, and back again.

What JSON has stays as it is, so that a diff reads well. Everything else becomes a dict whose key "$" says
what it is: `{"$": "tuple", "of": […]}`. LangChain's messages keep their own fields beside the "$", pydantic
models and dataclasses theirs below "of".

    exact    decode(encode(value)) == value, of the same type
    safe     decode imports nothing and calls nothing but the classes that were given and those named here
    honest   a value of any other class is shown as text and cannot be made again: decode raises Lost
"""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import functools
import math
import sys
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from sickbay._errors import BadArgument, SickbayError

__all__ = ["Codec", "Lost"]

KIND, OF = "$", "of"
SHOWN = 200
PLAIN = (str, bool, int, type(None))
# How each kind becomes JSON, and how it comes back.
WAYS: dict[str, tuple[type, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "bytes": (bytes, lambda value: base64.b64encode(value).decode(), base64.b64decode),
    "datetime": (dt.datetime, dt.datetime.isoformat, dt.datetime.fromisoformat),
    "date": (dt.date, dt.date.isoformat, dt.date.fromisoformat),
    "time": (dt.time, dt.time.isoformat, dt.time.fromisoformat),
    "timedelta": (
        dt.timedelta,
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda of: dt.timedelta(*of),
    ),
    "uuid": (uuid.UUID, str, uuid.UUID),
    "decimal": (decimal.Decimal, str, decimal.Decimal),
    "float": (float, repr, float),  # NaN and the infinities
}
BY_TYPE = {kind: name for name, (kind, _, _) in WAYS.items()}
BOXES: dict[str, Callable[[list[Any]], Any]] = {"tuple": tuple, "set": set, "frozenset": frozenset}


class Lost(SickbayError):
    """A value cannot be made again from what is kept of it. Give its class to the codec: `types=(Order,)`."""


class Codec:
    """Values to JSON and back: messages, pydantic models, dataclasses, enums, and what Python brings along.

    Args:
        types: classes of your own that may occur: pydantic models, dataclasses, enums. Each needs a name of
            its own.

    Raises:
        BadArgument: a class is none of these, or two have one name.

    Example:
        codec = Codec(types=(Order,))
        memory = Memory(save=lambda: codec.encode(state), load=lambda said: state.update(codec.decode(said)))
    """

    def __init__(self, types: Iterable[type] = ()) -> None:
        self._types: dict[str, type] = {}
        for kind in types:
            if not _is_model(kind):
                raise BadArgument(
                    f"types={kind!r:.60}: give pydantic models, dataclasses and enums; other values are "
                    "shown and not restored"
                )
            if self._types.setdefault(kind.__name__, kind) is not kind or kind.__name__ in _KNOWN:
                raise BadArgument(f"types=: two classes are called {kind.__name__}: rename one")

    def encode(self, value: Any) -> Any:
        """JSON for this value: new lists and dicts, except for those that were made here."""
        kind = type(value)
        if kind in PLAIN:
            return value
        if kind is float and math.isfinite(value):
            return value
        if kind is list:
            return [self.encode(item) for item in value]
        if kind is dict:
            return self._of_dict(value)
        if kind in BY_TYPE:
            name = BY_TYPE[kind]
            return {KIND: name, OF: WAYS[name][1](value)}
        if kind.__name__ in BOXES and kind.__module__ == "builtins":
            items = value if kind is tuple else sorted(value, key=repr)
            return {KIND: kind.__name__, OF: [self.encode(item) for item in items]}
        if _is_message(kind):
            return self._of_message(value, kind)
        return self._of_model(value, kind)

    def _of_dict(self, value: dict[Any, Any]) -> Any:
        if all(type(key) is str for key in value) and KIND not in value:
            return {key: self.encode(item) for key, item in value.items()}
        return {KIND: "dict", OF: [[self.encode(key), self.encode(item)] for key, item in value.items()]}

    def _of_message(self, value: Any, kind: Any) -> Any:
        said = {KIND: "message", "type": value.type, "content": self.encode(value.content)}
        empty = _empty_by_default(kind)
        for name, item in value:
            if name not in said and (type(item) is not empty.get(name) or item):
                said[name] = self.encode(item)
        return said

    def _of_model(self, value: Any, kind: type) -> Any:
        name = kind.__name__
        if self._types.get(name) is not kind:
            return {KIND: "shown", "type": f"{kind.__module__}.{name}", "text": f"{value!r:.{SHOWN}}"}
        if isinstance(value, enum.Enum):
            return {KIND: name, OF: value.name}
        if dataclasses.is_dataclass(value):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        else:
            fields = dict(value)
        return {KIND: name, OF: {key: self.encode(item) for key, item in fields.items()}}

    def decode(self, said: Any) -> Any:
        """The value that `encode` made this of.

        Raises:
            Lost: it holds a class that was not given, or no encoding at all.
        """
        if type(said) is list:
            return [self.decode(item) for item in said]
        if type(said) is not dict:
            return said
        if KIND not in said:
            return {key: self.decode(item) for key, item in said.items()}
        kind = said[KIND]
        try:
            return self._made(kind, said)
        except Lost:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, LookupError) as error:
            raise Lost(f"a {kind!r:.60} cannot be made again: {type(error).__name__}: {error}") from error

    def _made(self, kind: Any, said: dict[str, Any]) -> Any:
        if kind == "message":
            return self._message(said)
        if kind == "shown":
            name = str(said.get("type", "")).rpartition(".")[2]
            raise Lost(f"{said.get('type')!r:.100} is shown and not kept: give its class, types=({name},)")
        of = said[OF]
        if kind in WAYS:
            return WAYS[kind][2](of)
        if kind in BOXES:
            return BOXES[kind]([self.decode(item) for item in of])
        if kind == "dict":
            return {self.decode(key): self.decode(item) for key, item in of}
        model: Any = self._types.get(kind)
        if model is None:
            raise Lost(f"{kind!r:.60} is not among the classes that were given: types=({kind!s:.60},)")
        if issubclass(model, enum.Enum):
            return model[of]
        return _built(model, {key: self.decode(item) for key, item in of.items()})

    def _message(self, said: dict[str, Any]) -> Any:
        from langchain_core.messages import messages_from_dict

        data = {key: self.decode(item) for key, item in said.items() if key != KIND}
        return messages_from_dict([{"type": said["type"], "data": data}])[0]


_KNOWN = {"message", "shown", "dict", *WAYS, *BOXES}


@functools.cache
def _empty_by_default(kind: Any) -> dict[str, type]:
    """The fields of a message that say nothing unless they are set, each with the type of that nothing."""
    defaults = {
        name: field.get_default(call_default_factory=True) for name, field in kind.model_fields.items()
    }
    return {name: type(default) for name, default in defaults.items() if not default}


def _built(model: Any, fields: dict[str, Any]) -> Any:
    if hasattr(model, "model_validate"):
        return model.model_validate(fields)
    given = {f.name: fields[f.name] for f in dataclasses.fields(model) if f.init}
    value = model(**given)
    for name in fields.keys() - given.keys():
        object.__setattr__(value, name, fields[name])
    return value


def _is_message(kind: type) -> bool:
    """One of LangChain's own; nobody has one who has not imported it."""
    module = sys.modules.get("langchain_core.messages")
    return (
        module is not None
        and kind.__module__.startswith("langchain_core.messages.")
        and issubclass(kind, module.BaseMessage)
    )


def _is_model(kind: Any) -> bool:
    pydantic = sys.modules.get("pydantic")
    return isinstance(kind, type) and (
        dataclasses.is_dataclass(kind)
        or issubclass(kind, enum.Enum)
        or (pydantic is not None and issubclass(kind, pydantic.BaseModel))
    )
