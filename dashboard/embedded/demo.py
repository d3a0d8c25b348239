"""The example agents of `up --demo`: real processes with the SDK, their folders under `<data>/demo`.

`sdk/examples/demo.json` lists them: {"agents": [{"name", "file", "args"}]}.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dashboard.embedded.children import Child


def demo_children(root: Path, data: Path, site: str, token: str) -> list[Child]:
    examples = root / "sdk" / "examples"
    listed = json.loads((examples / "demo.json").read_text())["agents"]
    work = data / "demo"
    work.mkdir(parents=True, exist_ok=True, mode=0o700)
    children = []
    for agent in listed:
        children.append(
            Child(
                agent["name"],
                [sys.executable, str(examples / agent["file"]), *agent.get("args", [])],
                log=data / "log" / f"demo-{agent['name']}.log",
                cwd=work,
                env={
                    "SICKBAY_URL": site,
                    "SICKBAY_TOKEN": token,
                    "SICKBAY_HOME": str(work / "home"),
                    "SICKBAY_DEMO_DIR": str(work),
                },
            )
        )
    return children
