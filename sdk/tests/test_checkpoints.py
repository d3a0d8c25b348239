"""Laws of taking: one moment, on disk at once, and never a harm to the agent."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sdk.tests.desk import fail, of_kind, works
from sickbay import ActionFailed, Agent, BadArgument, Memory
from sickbay._keeper import Keeper
from sickbay._mind import sampled, without
from sickbay.testing import Harness
from sickbay.tree.directory import entries_of
from sickbay.tree.read import text_of
from sickbay.tree.text import load


def keeper_of(agent: Agent) -> Keeper:
    assert agent._life is not None
    return agent._life.keeper


def whys(agent: Agent) -> list[str]:
    return [taken.why for taken in keeper_of(agent).shelf._taken.values()]


def memory_of(agent: Agent, id: str) -> Any:
    """What a checkpoint holds, read from the packs alone."""
    keeper = keeper_of(agent)
    keeper._tree, keeper._texts = None, {}
    taken = keeper.shelf.get(id)
    assert taken and taken.memory
    return load(text_of(bytes.fromhex(taken.memory), keeper.nodes.fetch(None)))


def numbers(agent: Agent, id: str) -> set[int]:
    """What the files of a checkpoint say."""
    keeper = keeper_of(agent)
    taken, fetch = keeper.shelf.get(id), keeper.nodes.fetch(None)
    assert taken and taken.workspace
    root = bytes.fromhex(taken.workspace)
    entries = entries_of(fetch([root])[root])
    return {int(fetch([entry.name])[entry.name][2:]) for entry in entries if entry.filename in (b"a", b"z")}


def test_a_checkpoint_holds_the_moment_it_was_taken(harness: Harness) -> None:
    """What is changed afterwards is not in it; it can be read from what is on disk."""
    agent = harness.agent(memory={"messages": []})
    with agent.run() as run:
        agent.memory["messages"].append("one")
        first = run.checkpoint("first")
        agent.memory["messages"].append("two")
        second = run.checkpoint()
        assert memory_of(agent, first.id) == {"messages": ["one"]}
        assert memory_of(agent, second.id) == {"messages": ["one", "two"]}
    assert (first.label, first.standing, second.label) == ("first", "unproven", None)


def test_one_at_the_start_one_before_each_effect_one_at_the_end(harness: Harness) -> None:
    """They are taken without being asked for; where nothing has happened none is taken at the end."""
    agent = harness.agent(memory={"n": 0})
    with agent.run() as run:
        run.execute(works, external=True)
        run.execute(works)
        assert whys(agent) == ["start", "effect"]
    with agent.run():
        assert whys(agent) == ["start", "effect", "end", "start"]
    with agent.run():
        assert whys(agent)[3:] == ["start", "start"]


def test_the_one_before_an_effect_is_safe_before_the_effect_runs(harness: Harness) -> None:
    """It stands on disk, synced, with the memory as it was."""
    agent = harness.agent(memory={"n": 1})
    seen: list[Any] = []

    def pay() -> None:
        keeper = keeper_of(agent)
        taken = keeper.shelf.newest
        assert taken and taken.why == "effect" and taken.number not in keeper.packs._unsynced
        seen.append(memory_of(agent, taken.id))
        agent.memory["n"] = 2

    with agent.run() as run:
        run.execute(pay, external=True)
    assert seen == [{"n": 1}]


def test_every_so_often_at_the_next_safe_point(harness: Harness) -> None:
    """Once the time has passed, the next action begins with one; an action inside another does not."""
    agent = harness.agent(memory={"n": 0}, checkpoint_every=timedelta(minutes=5))
    with agent.run() as run:
        run.execute(works)
        harness.clock.advance(301)
        with run.action("outer"):
            assert whys(agent) == ["start", "every"]
            harness.clock.advance(301)
            run.execute(works)
            assert whys(agent) == ["start", "every"]
        assert whys(agent) == ["start", "every", "every"]


def test_an_agent_without_a_state_takes_none(harness: Harness) -> None:
    """No memory, no workspace: nothing to keep, nothing on disk, unless it is asked for."""
    agent = harness.agent()
    with agent.run() as run:
        run.execute(works, external=True)
        assert whys(agent) == []
        run.checkpoint()
        assert whys(agent) == ["asked"]


@pytest.mark.parametrize("wrong", [{1}, (1, 2), float("nan"), b"x"])
def test_what_json_would_change_is_said_and_the_agent_goes_on(harness: Harness, wrong: Any) -> None:
    """Later than at the start nothing raises: a signal names the path, another says when it works again."""
    agent = harness.agent(memory={"n": 0})
    with agent.run() as run:
        agent.memory["seen"] = wrong
        assert run.checkpoint().standing == run.checkpoint().standing == "refused"
        agent.memory["seen"] = 1
        assert run.checkpoint().id
    titles = [signal["title"] for signal in of_kind(harness, agent, "signal")]
    assert len(titles) == 2 and "no checkpoint since" in titles[0] and "memory['seen']" in titles[0]
    assert titles[1] == "checkpoints are taken again"


def test_a_fault_deep_in_a_large_memory_is_found_in_time() -> None:
    """Among the newest at once, anywhere else after as many looks as there are shares."""
    memory: dict[str, Any] = {"messages": [{"role": "user", "content": "x" * 50} for _ in range(4000)]}
    memory["messages"][-1]["content"] = (1,)
    assert "messages'][3999]['content']" in str(next(sampled(memory, 1)))
    memory["messages"][-1]["content"] = "x"
    memory["messages"][1234]["content"] = (1,)
    found = [turn for turn in range(300) if next(sampled(memory, turn), None)]
    assert found and found[0] <= 250


def test_memory_with_save_and_load(harness: Harness) -> None:
    """What save answers is kept; a save that raises is a signal, not an error."""
    state: dict[str, Any] = {"a": 1}

    def save() -> Any:
        return dict(state) if "a" in state else state["missing"]

    agent = harness.agent(memory=Memory(save=save, load=state.update))
    with agent.run() as run:
        assert memory_of(agent, run.checkpoint().id) == {"a": 1}
        state.clear()
        refused = run.checkpoint()
        assert (refused.id, refused.standing) == (
            "",
            "refused",
        ) and "save() raised KeyError" in refused.reason
    assert "save() raised KeyError" in of_kind(harness, agent, "signal")[0]["title"]


def test_while_somebody_edits_no_snapshot_is_taken(harness: Harness) -> None:
    """A checkpoint waits until the editing is over, and sees both changes or none."""
    agent = harness.agent(memory={"from": 10, "to": 0})
    half, go_on = threading.Event(), threading.Event()

    def edit() -> None:
        with agent.editing():
            agent.memory["from"] = 0
            half.set()
            go_on.wait(5)
            agent.memory["to"] = 10

    with agent.run() as run:
        thread = threading.Thread(target=edit)
        thread.start()
        half.wait(5)
        threading.Timer(0.05, go_on.set).start()
        taken = run.checkpoint()
        thread.join()
        assert memory_of(agent, taken.id) == {"from": 0, "to": 10}


def test_secrets_stay_out_and_nothing_is_copied_but_the_way_to_them(harness: Harness) -> None:
    """The value is in no checkpoint, and stays in the memory."""
    agent = harness.agent(memory={"smtp": {"host": "x", "password": "hunter22"}, "n": 1})
    agent.secret("smtp", "password")
    with agent.run() as run:
        assert memory_of(agent, run.checkpoint().id) == {"smtp": {"host": "x"}, "n": 1}
        assert agent.memory["smtp"]["password"] == "hunter22"
    inner: dict[str, Any] = {"deep": [1]}
    assert without({"a": inner, "b": 1}, ("b",))["a"] is inner


def test_a_check_proves_or_fails(harness: Harness) -> None:
    """One that passes makes a checkpoint good; one that fails is a counted failure of the name check."""
    agent = harness.agent(memory={"n": 0})
    agent.check(lambda: agent.memory["n"] >= 0)
    with agent.run() as run:
        agent.memory["n"] = 1
        assert run.checkpoint().standing == "good"
        agent.memory["n"] = -1
        assert run.checkpoint().standing == "suspect"
    failures = of_kind(harness, agent, "failure")
    assert {failure["name"] for failure in failures} == {"check"} and failures[0]["failure"] == "verification"
    with pytest.raises(BadArgument):
        agent.check(4)  # type: ignore[arg-type]


def test_standing_follows_what_happened(harness: Harness) -> None:
    """The first is good, and one after a pass; not after an unknown verdict; while failing it is suspect."""
    agent = harness.agent(memory={"n": 0}, heal=False)
    with agent.run() as run:
        assert keeper_of(agent).shelf.newest.standing == "good"  # type: ignore[union-attr]
        run.execute(works, verify=bool)
        assert run.checkpoint().standing == "good"
        run.execute(works, verify=lambda _: None)
        assert run.checkpoint().standing == "unproven"
        run.execute(works, verify=bool)
        assert run.checkpoint().standing == "unproven", "the unknown one stays in the way"
        fail(run)
        assert run.checkpoint().standing == "suspect"


def test_ten_actions_and_ten_minutes_prove(harness: Harness) -> None:
    """What went well for long enough after a checkpoint makes it good."""
    agent = harness.agent(memory={"n": 0})
    with agent.run() as run:
        taken = run.checkpoint()
        for _ in range(10):
            run.execute(works)
        harness.clock.advance(601)
        run.checkpoint()
        assert keeper_of(agent).shelf.get(taken.id).standing == "good"  # type: ignore[union-attr]


def test_beyond_its_limit_none_is_taken_and_that_is_said(harness: Harness) -> None:
    """The agent goes on; when there is room again, the next one holds everything."""
    agent = harness.agent(memory={"n": 0})
    with agent.run() as run:
        packs = keeper_of(agent).packs
        packs._limit = packs.size
        assert run.checkpoint().id == ""
        packs._limit = 1 << 30
        assert memory_of(agent, run.checkpoint().id) == {"n": 0}
    assert "wait for the server already" in of_kind(harness, agent, "signal")[0]["title"]


def test_a_workspace_is_part_of_it(harness: Harness, tmp_path: Path) -> None:
    """Files of the moment, and notes of what was left out."""
    work = tmp_path / "work"
    agent = harness.agent(memory={}, workspace=work)
    with agent.run() as run:
        (work / "a.txt").write_text("one")
        (work / "out").symlink_to("/etc/passwd")
        taken = run.checkpoint()
        shelved = keeper_of(agent).shelf.get(taken.id)
        header = keeper_of(agent).packs.header(shelved.number)  # type: ignore[union-attr]
    assert header["manifest"]["workspace"] and "out" in header["notes"][0]


def test_what_is_edited_together_is_of_one_moment(harness: Harness, tmp_path: Path) -> None:
    """A thread changes two files and the memory within `editing()`: no checkpoint sees them differ."""
    work = tmp_path / "work"
    agent = harness.agent(memory={"n": 0}, workspace=work)
    over = threading.Event()

    def edit() -> None:
        n = 0
        while not over.is_set():
            n += 1
            with agent.editing():
                (work / "a").write_text(str(n))
                over.wait(0.003)
                agent.memory["n"] = n
                (work / "z").write_text(str(n))
            over.wait(0.002)

    with agent.run() as run:
        for name in ("a", "z", *(f"m{n}/{n}" for n in range(200))):
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_text("0")
        thread = threading.Thread(target=edit)
        thread.start()
        taken = [run.checkpoint().id for _ in range(25)]
        over.set()
        thread.join()
        said = [{memory_of(agent, id)["n"], *numbers(agent, id)} for id in taken]
    assert [len(one) for one in said] == [1] * 25, said
    assert len(set.union(*said)) > 5


def test_a_checkpoint_within_ones_own_editing_does_not_wait(harness: Harness, tmp_path: Path) -> None:
    """Whoever edits may take a checkpoint in between: it holds what is there now."""
    work = tmp_path / "work"
    agent = harness.agent(memory={"n": 0}, workspace=work)
    with agent.run() as run, agent.editing():
        (work / "a").write_text("7")
        agent.memory["n"] = 7
        taken = run.checkpoint()
        assert memory_of(agent, taken.id) == {"n": 7} and numbers(agent, taken.id) == {7}


def test_two_who_take_one_while_editing_do_not_wait_for_each_other(harness: Harness, tmp_path: Path) -> None:
    """A worker takes one within its own editing while the program takes its own: none is lost to a wait."""
    work, over = tmp_path / "work", threading.Event()
    agent = harness.agent(memory={"n": 0}, workspace=work)
    inside: list[str] = []

    def edit() -> None:
        while not over.is_set():
            with agent.editing():
                (work / "a").write_text(str(len(inside)))
                inside.append(run.checkpoint().id)

    with agent.run() as run:
        thread = threading.Thread(target=edit)
        thread.start()
        taken = [run.checkpoint().id for _ in range(20)]
        over.set()
        thread.join()
    assert all(taken) and all(inside) and len(inside) > 3
    assert not of_kind(harness, agent, "signal")


def test_after_the_run_there_is_none(harness: Harness) -> None:
    """A run that is over takes no checkpoint, and a wrong label is named."""
    agent = harness.agent(memory={})
    with agent.run() as run, pytest.raises(BadArgument):
        run.checkpoint(4)  # type: ignore[arg-type]
    with pytest.raises(Exception, match="is over"):
        run.checkpoint()


def test_a_failed_verification_goes_back_before_it_is_raised(harness: Harness) -> None:
    """Memory is as the last good checkpoint has it when ActionFailed arrives, which names it."""
    agent = harness.agent(memory={"messages": []})
    memory = agent.memory
    with agent.run() as run:
        agent.memory["messages"].append("good")
        run.execute(works, verify=bool)
        good = run.checkpoint()
        agent.memory["messages"].append("bad")
        with pytest.raises(ActionFailed) as failed:
            run.execute(works, verify=lambda _: False)
        assert failed.value.rolled_back_to == good.id
        assert agent.memory == {"messages": ["good"]} and agent.memory is memory
        assert run.rolled_back is not None and run.rolled_back.to == good.id
        assert run.rolled_back.by == "supervise"
