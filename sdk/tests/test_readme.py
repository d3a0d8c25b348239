"""Laws of the READMEs: each program in them runs as it stands, from nothing but what it shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sickbay.testing import spooled

ROOT = Path(__file__).parents[2]
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
AGENT = re.compile(r'Agent\("([a-z-]+)"')
PROGRAMS = [
    pytest.param(program, id=f"{name}-{number}")
    for name in ("README.md", "sdk/README.md")
    for number, program in enumerate(PROGRAM.findall((ROOT / name).read_text()), 1)
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_a_readme_runs_as_it_stands(program: str, tmp_path: Path) -> None:
    """It ends with code 0 and says nothing to stderr, and its agent has verified what it did."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("SICKBAY_")}
    (tmp_path / "agent.py").write_text(program)
    done = subprocess.run(
        [sys.executable, "agent.py"],
        cwd=tmp_path,
        env={**env, "SICKBAY_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    name = AGENT.findall(program)[0]
    actions = [event for event in spooled(tmp_path / "home", name) if event["kind"] == "action"]
    assert actions and {action["verdict"] for action in actions} == {"pass"}


def test_both_readmes_show_a_program() -> None:
    """Neither README tells of the SDK without a program that can be pasted."""
    assert {str(program.id).rpartition("-")[0] for program in PROGRAMS} == {"README.md", "sdk/README.md"}
