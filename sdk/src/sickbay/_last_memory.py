"""The newest usable memory in a file of its own, for a start without the server that has its checkpoints.

`<home>/checkpoints/memory`: the name of its root, then its text, packed. Written when a run is left, and once
a minute while nothing waits. It may be old or lost, and is believed only under the name that is asked for.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

AGAIN = 60.0
LARGEST = 256 * 1024 * 1024
LEVEL = 1


class LastMemory:
    """The file. Written by the sender and at the end, read at a start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = ""
        self._next = 0.0

    def keep(self, root: str, text: bytes, *, at_once: bool = False) -> None:
        if root == self._kept or (not at_once and time.monotonic() < self._next):
            return
        import zstandard  # whoever keeps something has packed something

        self._kept, self._next = root, time.monotonic() + AGAIN
        new = self._path.with_suffix(".new")
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(bytes.fromhex(root) + zstandard.ZstdCompressor(level=LEVEL).compress(text))
        os.replace(new, self._path)

    def text(self, root: str) -> bytes | None:
        """The text of this memory, if it is the one that is here and whole."""
        import zstandard

        try:
            with self._path.open("rb") as file:
                if file.read(32).hex() != root:
                    return None
                packed = file.read()
            if zstandard.get_frame_parameters(packed).content_size > LARGEST:
                return None
            text = zstandard.ZstdDecompressor().decompress(packed)
        except (OSError, zstandard.ZstdError):
            return None
        from sickbay.tree.grow import grow

        return text if grow(text).root.hex() == root else None
