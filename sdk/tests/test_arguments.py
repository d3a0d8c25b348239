"""Laws of what a developer writes: a wrong argument fails at once and says what to write instead."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import sickbay
from sickbay import Agent, BadArgument, FailureBudget, Memory
from sickbay._arguments import checked

DEFAULTS: dict[str, Any] = {
    "name": "refund-desk", "instructions": None, "memory": None, "workspace": None, "budget": None,
    "checkpoint_every": None, "every": None, "grace": None, "about": None, "owner": None, "runbook": None,
    "while_paused": None, "heal": True, "passes": (), "transient": (), "redact": None, "code_version": None,
    "model": None, "shared_workspace": False,
    "url": None, "token": None, "instance": None, "home": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"name": "Refund Desk"}, r"Agent\('refund-desk'\)"),
        ({"name": "-x"}, r"Agent\('x'\)"),
        ({"name": ""}, r"Agent\('refund-desk'\)"),
        ({"name": "a" * 64}, "1 to 63"),
        ({"name": 4}, r"Agent\('refund-desk'\)"),
        ({"instance": "Worker 1"}, "instance='worker-1'"),
        ({"budget": 3}, r"FailureBudget\(max_consecutive=3, max_hourly=10\)"),
        ({"checkpoint_every": 300}, r"checkpoint_every=timedelta\(seconds=300\)"),
        ({"every": timedelta(0)}, "longer than nothing"),
        ({"grace": timedelta(1)}, "give every= too"),
        ({"heal": "no"}, "heal=True or heal=False"),
        ({"passes": (4,)}, "write exception classes"),
        ({"passes": (Exception,)}, "no failure count"),
        ({"transient": "timeout"}, "write exception classes"),
        ({"redact": "x"}, "a function from text to text"),
        ({"about": 4}, "write a text"),
        ({"about": "x" * 501}, "at most 500"),
        ({"owner": "pay\0ments"}, "holds a NUL character"),
        ({"memory": []}, "write a dict"),
        ({"memory": {"a": (1, 2)}}, r"memory\['a'\] is a tuple: .* write a list"),
        ({"memory": Memory(save=4, load=5)}, "both are functions"),  # type: ignore[arg-type]
        ({"workspace": 4}, "path of a directory"),
        ({"workspace": "/"}, "directory below it"),
        ({"url": "localhost:8000", "token": "t"}, "is no address"),
        ({"url": "ftp://x", "token": "t"}, "is no address"),
        ({"url": "http://u:p@x", "token": "t"}, "more than an address"),
        ({"url": "http://x"}, "set SICKBAY_TOKEN"),
        ({"url": "http://x", "token": "two words"}, "blanks"),
        ({"home": 4}, "path of a directory"),
        ({"every": timedelta(days=400)}, "at most 366 days"),
        ({"budgets": 3}, "does not know budgets=: write budget="),
        ({"llm": "gpt"}, "there are name, instance"),
        ({"model": 4}, "write a text"),
        ({"shared_workspace": 1}, "shared_workspace=True or shared_workspace=False"),
    ],
)
def test_a_wrong_argument_says_what_to_write(arguments: dict[str, Any], advice: str) -> None:
    """Each argument is checked when the agent is made, with the sentence to act on."""
    with pytest.raises(BadArgument, match=advice):
        checked({**DEFAULTS, **arguments}, {})


@pytest.mark.parametrize("limits", [(0, 10), (3, 0), (True, 10), (3, 1.5), ("3", 10), (3, 10**9)])
def test_a_budget_has_two_whole_limits(limits: Any) -> None:
    """A limit below one, or no whole number, is refused."""
    with pytest.raises(BadArgument, match="whole number"):
        FailureBudget(*limits)


def test_the_environment_fills_in() -> None:
    """SICKBAY_URL, _TOKEN, _INSTANCE and _HOME are read where the argument is left out."""
    env = {
        "SICKBAY_URL": "http://127.0.0.1:8000/",
        "SICKBAY_TOKEN": "abc",
        "SICKBAY_INSTANCE": "two",
        "SICKBAY_HOME": "/var/lib/sickbay",
    }
    given = checked(DEFAULTS, env)
    assert (given.url, given.token, given.instance) == ("http://127.0.0.1:8000", "abc", "two")
    assert given.home == Path("/var/lib/sickbay")
    assert checked({**DEFAULTS, "instance": "three"}, env).instance == "three"
    assert checked(DEFAULTS, {}).url is None


@pytest.mark.parametrize(
    ("memory", "sentence"),
    [
        ({"a": {1, 2}}, r"memory\['a'\] is a set"),
        ({"a": [b"x"]}, r"memory\['a'\]\[0\] is a bytes.*base64"),
        ({"a": {1: "x"}}, r"memory\['a'\]\[1\] has an int as its key.*str\(key\)"),
        ({"a": float("nan")}, r"memory\['a'\] is nan"),
        ({"a": float("inf")}, r"memory\['a'\] is inf"),
        ({"\ud83d\ude00": 1, "😀": 2}, "is there twice"),
        ({"a": object()}, r"Memory\(save=…, load=…\)"),
    ],
)
def test_memory_that_json_would_change_is_refused_by_path(memory: Any, sentence: str) -> None:
    """What would come back otherwise than it went is named by its path."""
    with pytest.raises(BadArgument, match=sentence):
        Agent("refund-desk", memory=memory)


def test_memory_is_checked_again_at_the_start(tmp_path: Path) -> None:
    """What was put into the memory after the agent was made is refused when it starts."""
    agent = Agent("refund-desk", memory={"messages": []}, home=tmp_path)
    agent.memory["seen"] = {1}
    with pytest.raises(BadArgument, match=r"memory\['seen'\] is a set"), agent.run():
        raise AssertionError
    agent.memory["seen"] = [1]
    with agent.run():
        assert agent.memory == {"messages": [], "seen": [1]}


def test_deep_memory_is_no_crash() -> None:
    """A memory nested without end is refused, not a RecursionError."""
    memory: dict[str, Any] = {}
    memory["self"] = memory
    with pytest.raises(BadArgument, match="nested more than 200 deep"):
        Agent("refund-desk", memory=memory)


@pytest.mark.parametrize("option", ["wait", "fresh", "beat"])
def test_run_takes_true_or_false(option: str) -> None:
    """The options of run() are flags."""
    with pytest.raises(BadArgument, match="write True or False"):
        Agent("refund-desk").run(**{option: 1})  # type: ignore[arg-type]


def test_every_public_name_is_there_and_told() -> None:
    """Each name of __all__ can be had, and has a docstring."""
    for name in sickbay.__all__:
        assert getattr(sickbay, name).__doc__
    assert set(sickbay.__all__) <= set(dir(sickbay))
    with pytest.raises(AttributeError, match="no attribute 'Agnet'"):
        sickbay.Agnet  # noqa: B018


def test_a_run_that_nobody_entered_says_how_it_is_entered(tmp_path: Path) -> None:
    """agent.run() without `with` is no run, and says so where it is used as one."""
    with pytest.raises(AttributeError, match=r"`with agent.run\(\) as run:`, and write run.execute"):
        Agent("refund-desk", home=tmp_path).run().execute  # noqa: B018


def test_declaring_an_agent_loads_nothing_heavy() -> None:
    """What records, packs, speaks and listens is loaded by the first run."""
    program = (
        "import sys; from sickbay import Agent; Agent('x', url='http://x', token='t');"
        "print(*sorted({'orjson', 'msgspec', 'urllib3', 'websockets', 'zstandard', 'ssl', 'hashlib', "
        "'logging', 'sickbay._life'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_making_an_agent_touches_nothing(tmp_path: Path) -> None:
    """Until its first run an agent has no home, no thread and no connection."""
    Agent("refund-desk", home=tmp_path / "home", workspace=tmp_path / "work")
    assert list(tmp_path.iterdir()) == []
