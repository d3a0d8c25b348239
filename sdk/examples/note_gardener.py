"""note-gardener: the agent damages its own files.

It collects notes into `notes/` and keeps `index.json`, its map of them. Now and then it compacts the
index, with a bug that real programs have too: it writes the file in place and cuts it at the size of the
compaction before. When the index has grown, its tail is lost, and from then on no note is found. Resume
it with the guidance "rebuild the index" and it reads the notes again.
"""

from __future__ import annotations

import json
import random
from typing import Any

from pace import rest, workspace

from sickbay import Agent, Run

WORK = workspace("note-gardener")
NOTES, INDEX = WORK / "notes", WORK / "index.json"
TOPICS = ["boiler", "garden", "invoices", "keys", "lease", "meters", "parking", "roof"]
COMPACT_EVERY = 25

agent = Agent(
    "note-gardener",
    instructions="Every note stays findable through index.json.",
    memory={"planted": 0, "compacted_size": 0},
    workspace=WORK,
    about="Files building notes and keeps their index",
    owner="facilities",
    heal=False,  # so that a human sees what it did
    while_paused="new notes wait in the inbox",
)


def plant(number: int) -> str:
    """Write one note and its line in the index."""
    topic = random.Random(number).choice(TOPICS)
    name = f"{number:05d}-{topic}.md"
    (NOTES / name).write_text(f"# {topic}\n\nNote {number}: looked at the {topic}, nothing unusual.\n")
    index = json.loads(INDEX.read_text())
    index[name] = topic
    INDEX.write_text(json.dumps(index))
    return name


def look_up(topic: str) -> list[str]:
    """The notes of a topic, by the index."""
    index: dict[str, Any] = json.loads(INDEX.read_text())
    return [name for name, its in index.items() if its == topic]


def compact() -> int:
    """Write the index without spaces, over its old bytes; the cut is the bug."""
    text = json.dumps(json.loads(INDEX.read_text()), separators=(",", ":"))
    with INDEX.open("r+") as file:
        file.write(text)
        file.truncate(agent.memory["compacted_size"] or len(text))
    agent.memory["compacted_size"] = len(text)
    return INDEX.stat().st_size


def rebuild() -> int:
    """Make the index again from the notes that are there."""
    names = sorted(path.name for path in NOTES.iterdir())
    INDEX.write_text(json.dumps({name: name.removesuffix(".md").split("-", 1)[1] for name in names}))
    agent.memory["compacted_size"] = 0
    return len(names)


def index_is_whole() -> bool:
    try:
        return bool(json.loads(INDEX.read_text()) is not None)
    except ValueError:
        return False


def step(run: Run) -> None:
    """Plant a note, find it again, compact now and then."""
    if run.guidance and "rebuild" in run.guidance and not index_is_whole():
        run.execute(rebuild)
    number = agent.memory["planted"]
    name = run.execute(plant, number, expected="the note is on disk", verify=lambda n: (NOTES / n).exists())
    topic = name.removesuffix(".md").split("-", 1)[1]
    run.execute(look_up, topic, expected="the new note is found", verify=lambda names: name in names)
    agent.memory["planted"] += 1
    if agent.memory["planted"] % COMPACT_EVERY == 0:
        run.execute(compact)
    if agent.memory["planted"] % 10 == 0:
        run.checkpoint(f"{agent.memory['planted']} notes")
    rest()


if __name__ == "__main__":
    NOTES.mkdir(exist_ok=True)
    if not INDEX.exists():
        INDEX.write_text("{}")
    agent.supervise(step)
