"""What a state depends on beside itself: the code, the SDK, the model, the tools. Each checkpoint names them.

A rollback to one that was made under others says so before it is done: a memory that was written by one model
for one set of tools may be of little use to another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sickbay._version import __version__

if TYPE_CHECKING:
    from sickbay._arguments import Arguments

ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def dependencies(given: Arguments, tools: Mapping[str, str]) -> dict[str, str]:
    """As the manifest has them; empty where nobody said."""
    return {
        "code": given.code_version,
        "sdk": __version__,
        "model": given.model,
        "tools": registry_hash(tools),
    }


def registry_hash(tools: Mapping[str, str]) -> str:
    """One word for the names and signatures of all tools, whatever the order of their definition."""
    if not tools:
        return ""
    from hashlib import sha256

    text = "\n".join(f"{name}{signature}" for name, signature in sorted(tools.items()))
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def signature_of(function: Callable[..., Any]) -> str:
    """Its parameters as they are written; nothing where Python knows none."""
    import inspect

    try:
        written = str(inspect.signature(function))
    except (ValueError, TypeError):
        return "()"
    return ADDRESS.sub("", written)  # a default's place in memory is another in each process
