"""Laws of the rules: they mean what git means by them."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sickbay._ignore import Rules

SEGMENT = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        "*",
        "**",
        "a*",
        "*b",
        "?",
        "[ab]",
        "[!a]",
        "[^b]x",
        "*.x",
        "a*b*",
        r"\*",
        "a b",
        "[a-c]?",
    ]
)
RULE = st.builds(
    lambda no, lead, parts, end: no + lead + "/".join(parts) + end,
    st.sampled_from(["", "", "!"]),
    st.sampled_from(["", "/"]),
    st.lists(SEGMENT, min_size=1, max_size=3),
    st.sampled_from(["", "", "/", "  "]),
)
NAME = st.sampled_from(["a", "b", "ab", "a.x", "bx", "*", "a b", "abab", "c"])
PATH = st.lists(NAME, min_size=1, max_size=4)


def ignored(rules: list[str], path: list[str], is_directory: bool) -> bool:
    """As a walk asks: from the top, and no further once a directory is ignored."""
    judge = Rules([rule.encode() for rule in rules])
    for end in range(1, len(path) + 1):
        inner = end < len(path)
        if judge.ignores("/".join(path[:end]).encode(), inner or is_directory):
            return True
    return False


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("git"):
        pytest.skip("git is not installed: nothing to compare with")
    where = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", where], check=True)
    return where


@given(rules=st.lists(RULE, max_size=4), paths=st.lists(PATH, min_size=1, max_size=8))
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_rules_mean_what_git_means(repository: Path, rules: list[str], paths: list[list[str]]) -> None:
    """For files in directories, git and we leave alone the same ones."""
    (repository / ".git" / "info" / "exclude").write_text("\n".join(rules) + "\n")
    asked = sorted({"/".join(path) for path in paths})
    said = subprocess.run(
        ["git", "check-ignore", "--no-index", "-z", "--stdin"],
        cwd=repository,
        input="\0".join(asked),
        capture_output=True,
        text=True,
    ).stdout.split("\0")
    assert {path for path in asked if ignored(rules, path.split("/"), False)} == set(said) - {""}


def test_a_rule_about_directories_spares_files() -> None:
    """`build/` leaves a directory alone, and a file of that name not."""
    rules = Rules([b"build/"])
    assert rules.ignores(b"a/build", True) and not rules.ignores(b"a/build", False)


@pytest.mark.parametrize("line", [b"[", b"a\\", b"[z-a]", b"[[:alpha:]]", b"**/**/a/**/**", b"x" * 256])
def test_a_rule_that_cannot_be_read_is_named_and_matches_nothing(line: bytes) -> None:
    """The other rules hold."""
    rules = Rules([b"*.tmp", line])
    assert len(rules.faults) == 1 and rules.faults[0].startswith("the rule ")
    assert rules.ignores(b"x.tmp", False) and not rules.ignores(b"x", False)


def test_no_rule_takes_long() -> None:
    """A rule made of stars is judged in the time of any other."""
    rules = Rules([b"*a" * 100 + b"b", b"**/a*/**/a*a*a*/**/b"])
    began = time.process_time()
    assert not rules.ignores(b"/".join([b"a" * 250] * 16), False)
    assert time.process_time() - began < 1
