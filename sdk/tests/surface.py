"""The public names of the SDK and their signatures, as text: `uv run python -m sdk.tests.surface`."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

PUBLIC = {"Action": ("__aenter__", "__enter__", "end", "input", "name", "result")}  # the rest is its own
MADE_BY_US = ("Action", "AsyncRun", "Checkpoint", "RolledBack", "Run")
MODULES = ("sickbay", "sickbay.memory", "sickbay.testing", "sickbay.langgraph")


def lines() -> list[str]:
    return [line for module in MODULES for line in _module(importlib.import_module(module))]


def _module(module: Any) -> Iterator[str]:
    yield f"[{module.__name__}]"
    for name in sorted(module.__all__):
        if not name.startswith("__"):
            yield from _named(name, getattr(module, name))
    yield ""


def _named(name: str, value: Any) -> Iterator[str]:
    if not inspect.isclass(value):
        yield f"{name}{_signature(value)}" if callable(value) else f"{name}: {type(value).__name__}"
        return
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    is_ours = not issubclass(value, BaseException) and value.__name__ not in MADE_BY_US
    made = _signature(value) if is_ours else ""
    yield f"class {name}{made}" + (f" < {bases}" if bases else "")
    for inner, member in sorted(_members(value).items()):
        if isinstance(member, property):
            yield f"    {inner}: property"
        elif callable(member):
            yield f"    {inner}{_signature(member)}"
        else:
            yield f"    {inner}"


def _members(value: type) -> dict[str, Any]:
    """What it and its own bases say in public; what the interpreter made of a class is none of it."""
    found: dict[str, Any] = {}
    for base in reversed(value.__mro__):
        if base.__module__.split(".")[0] == "sickbay":
            found |= {name: getattr(value, name, None) for name in getattr(base, "__annotations__", {})}
            found |= {name: inspect.getattr_static(value, name) for name in vars(base)}
    if dataclasses.is_dataclass(value):
        found |= {each.name: None for each in dataclasses.fields(value)}
    public = PUBLIC.get(value.__name__) or [name for name in found if not name.startswith("_")]
    return {name: _bare(found.get(name)) for name in public}


def _bare(member: Any) -> Any:
    return member.__func__ if isinstance(member, (classmethod, staticmethod)) else member


def _signature(value: Any) -> str:
    """Names, kinds and defaults; types are checked elsewhere, and are written differently by each Python."""
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return "(…)"
    bare = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in signature.parameters.values()
        if each.name not in ("self", "cls")
    ]
    return str(inspect.Signature(bare))


if __name__ == "__main__":
    print("\n".join(lines()))
