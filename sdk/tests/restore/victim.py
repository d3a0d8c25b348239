"""A workspace with a treasure beside it, to which trees are sent that nobody grew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdk.tests.restore.trees import HELLO, Store, kinds, lay, on_disk
from sickbay._errors import RestoreRefused
from sickbay._restore import restore

BEFORE: dict[str, Any] = {"mine": b"mine", "data": {"x": b"x"}}


class Victim:
    """A workspace, with a treasure beside it, and the tree that is sent."""

    def __init__(self, directory: Path) -> None:
        self.work, self.outside = directory / "work", directory / "outside"
        lay(self.work, BEFORE)
        lay(self.outside, {"treasure": b"gold"})
        self.store = Store()
        self.store.put(HELLO)

    def refuses(self, *entries: bytes, **more: Any) -> str:
        return self.refuses_root(self.store.forged(*entries), **more)

    def refuses_root(self, root: bytes, **more: Any) -> str:
        """That it is refused and nothing anywhere is other than before; the sentence."""
        with pytest.raises(RestoreRefused) as told:
            restore(self.work, root, self.store, **more)
        assert on_disk(self.work) == kinds(BEFORE)
        assert on_disk(self.outside) == kinds({"treasure": b"gold"})
        assert not (self.work / ".sickbay/journal").exists()
        assert not list((self.work / ".sickbay/stage").glob("*"))
        said = str(told.value)
        assert said.isprintable() and len(said) < 500
        return said
