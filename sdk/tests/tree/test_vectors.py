"""The numbers of the format stay: another root is a new format, and old checkpoints are lost."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sickbay.tree
from sdk.tests.tree import vectors
from sickbay.tree import directory
from sickbay.tree.grow import grow
from sickbay.tree.node import DIRECTORY, name_of
from sickbay.tree.text import dump

KEPT: dict[str, Any] = json.loads((Path(sickbay.tree.__file__).parent / "vectors/trees.json").read_text())


@pytest.mark.parametrize("name", vectors.MEMORIES)
def test_a_memory_has_the_root_that_it_always_had(name: str) -> None:
    """Its text, its root, and how many nodes there are."""
    tree, kept = grow(dump(vectors.MEMORIES[name])), KEPT["memories"][name]
    assert hashlib.sha256(tree.text).hexdigest() == kept["text_sha256"]
    assert (tree.root.hex(), len(tree.names)) == (kept["root"], kept["nodes"])


@pytest.mark.parametrize("name", vectors.FILES)
def test_a_file_has_the_root_that_it_always_had(name: str) -> None:
    """Small ones, large ones, and those without lines."""
    root, nodes = vectors.file_root(vectors.FILES[name])
    assert (root.hex(), nodes) == (KEPT["files"][name]["root"], KEPT["files"][name]["nodes"])


def test_a_directory_and_a_manifest_have_the_names_that_they_always_had() -> None:
    """Every kind of entry, every field."""
    assert name_of(DIRECTORY + directory.body_of(vectors.DIRECTORY_ENTRIES)).hex() == KEPT["directory"]
    assert name_of(vectors.MANIFEST.plain()).hex() == KEPT["manifest"]["name"]


def test_other_processes_make_the_same_tree() -> None:
    """Whatever the seed of their hashes."""
    code = (
        "from sdk.tests.tree import vectors; from sickbay.tree.grow import grow\n"
        "from sickbay.tree.text import dump\n"
        "print(grow(dump(vectors.MEMORIES['conversation'])).root.hex())"
    )
    for seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": seed}
        told = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        )
        assert told.stdout.strip() == KEPT["memories"]["conversation"]["root"]
