"""Two states of a workspace, and what happens in the middle of a restore."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sdk.tests.restore.trees import Link, Program, Spec
from sickbay import _restore

BEFORE: Spec = {
    "notes.md": b"remember\n",
    "run.sh": Program(b"#!/bin/sh\n"),
    "latest": Link(b"data/1.csv"),
    "data": {"1.csv": b"1,2\n", "2.csv": b"3,4\n", "empty": {}},
}
AFTER: Spec = {
    "notes.md": b"forget\n",
    "run.sh": b"#!/bin/sh\n",
    "latest": Link(b"data/9.csv"),
    "data": {"1.csv": b"1,2\n", "deep": {"er": {"x": b"x"}}},
    "junk": b"junk",
}


class Died(BaseException):
    pass


def died() -> None:
    raise Died


def at(monkeypatch: pytest.MonkeyPatch, name: str, do: Callable[[], object]) -> None:
    """Do something at a failpoint, the first time it is passed."""
    from sickbay import _journal, _redo, _stage

    passed: list[str] = []

    def failpoint(here: str) -> None:
        if here == name and not passed:
            passed.append(here)
            do()

    for module in (_restore, _journal, _redo, _stage):
        monkeypatch.setattr(module, "failpoint", failpoint)
