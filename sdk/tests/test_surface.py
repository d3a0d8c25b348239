"""The public names are frozen: whoever wrote an agent last year runs it with this year's SDK."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdk.tests.surface import lines

pytest.importorskip("langgraph")
FROZEN = Path(__file__).with_name("surface.txt")


def test_the_public_names_are_as_they_were_frozen() -> None:
    """A name or an argument may be added on purpose; one that goes, or is renamed, breaks somebody's agent.

    Added: `uv run python -m sdk.tests.surface > sdk/tests/surface.txt`, and a line in the CHANGELOG. Taken
    away or renamed: keep the former name working, with a DeprecationWarning, and say so there.
    """
    assert lines() == FROZEN.read_text().splitlines()


def test_every_public_name_says_what_it_is() -> None:
    """Names without a docstring are known to their author alone."""
    import sickbay
    import sickbay.langgraph
    import sickbay.memory
    import sickbay.testing

    silent = [
        f"{module.__name__}.{name}"
        for module in (sickbay, sickbay.memory, sickbay.testing, sickbay.langgraph)
        for name in module.__all__
        if not name.startswith("__") and not (getattr(module, name).__doc__ or "").strip()
    ]
    assert silent == []
