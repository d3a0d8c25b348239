"""Laws of the spool: recorded is on disk, in order, once; what is dropped is counted and told."""

from __future__ import annotations

import json
import os
import resource
import threading
from pathlib import Path

import pytest

from sdk.tests.durable import RUN, Clock, begun, child, drained, event, on_disk
from sickbay._home import Home
from sickbay._mark import Mark
from sickbay._segments import events
from sickbay._spool import Spool

WRITER = """
import sys
from pathlib import Path
from sickbay._home import Home
home = Home.open("refund-desk", "main", Path(sys.argv[1]))
home.spool.begin(sys.argv[2], 1.0)
number = 0
while True:
    number += 1
    home.spool.append({"kind": "action", "at": 1.0, "name": "step", "number": number, "pad": "x" * 700},
                      {"kind": "failure", "at": 1.0, "name": "step", "number": number})
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def spool(directory: Path, **limits: int) -> Spool:
    directory.mkdir(exist_ok=True)
    found = Spool(directory, Mark(directory / "mark"), Clock(), **limits)  # type: ignore[arg-type]
    found.begin(RUN, 1.0)
    return found


def numbers(lines: list[bytes]) -> list[int]:
    return [json.loads(line)["number"] for line in lines if b'"number"' in line]


def told(lines: list[bytes]) -> int:
    """How many events were ever dropped, as the last signal says: a signal may be dropped itself."""
    return max((json.loads(line).get("dropped_ever", 0) for line in lines), default=0)


def test_events_are_numbered_from_one_in_each_run(tmp_path: Path) -> None:
    """A run counts its own events, and both runs stand on disk in order."""
    home = begun(tmp_path)
    assert home.spool.append(event(1), event(2)) == [1, 2] and home.spool.append(event(3)) == [3]
    home.spool.end()
    home.spool.begin("f" * 32, 2.0)
    assert home.spool.append(event(4)) == [1]
    home.close()
    assert [(run, seq) for run, seq, _ in on_disk(tmp_path)] == [(RUN, 1), (RUN, 2), (RUN, 3), ("f" * 32, 1)]


def test_lines_given_together_stand_together_among_threads(tmp_path: Path) -> None:
    """An action and its failure are adjacent, whoever else appends."""
    home = begun(tmp_path)
    seqs: list[list[int]] = []

    def work(who: int) -> None:
        seqs.extend(home.spool.append(event(who=who, of=i), event(who=who, of=i)) for i in range(200))

    threads = [threading.Thread(target=work, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    home.close()
    found = {seq: (e["who"], e["of"]) for _, seq, e in on_disk(tmp_path)}
    assert sorted(found) == list(range(1, 3201))
    assert all(second == first + 1 and found[first] == found[second] for first, second in seqs)


def test_kill_9_loses_nothing_that_was_recorded(tmp_path: Path) -> None:
    """Every event whose call returned is there after any kill; the torn last line harms nobody."""
    for round in range(5):
        run, last = f"{round:032x}", 0
        with child(WRITER, str(tmp_path), run) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                last = int(line)
                if last >= 200 + 37 * round:
                    break
            writer.kill()
            last = max([last, *(int(text) for text in writer.stdout.read().split("\n")[:-1])])
        found = [e["number"] for each, _, e in on_disk(tmp_path) if each == run and e["kind"] == "failure"]
        assert found[:last] == list(range(1, last + 1))
        home = Home.open("refund-desk", "main", tmp_path)
        assert home.vanished and home.vanished.run == run
        assert numbers(drained(home))[-1] >= last
        home.close()


def test_a_torn_last_line_was_never_recorded(tmp_path: Path) -> None:
    """Half a line at the end is not read, and the next run writes a file of its own."""
    home = begun(tmp_path)
    home.spool.append(event(number=1))
    home.close()
    segment = next(home.spool.directory.glob("*.ndjson"))
    segment.write_bytes(segment.read_bytes() + b'{"kind":"action","at":1.0,"na')
    home = begun(tmp_path, "f" * 32)
    home.spool.append(event(number=2))
    assert numbers(drained(home)) == [1, 2]
    home.close()


def test_what_is_acknowledged_is_not_sent_again_after_a_restart(tmp_path: Path) -> None:
    """The cursor outlives the process, in the middle of a segment, too."""
    home = begun(tmp_path)
    for i in range(10):
        home.spool.append(event(number=i))
    batch = home.spool.batch(most=7)
    assert batch and batch.more
    home.spool.acknowledged(batch, 4)
    assert home.spool.unsent == 6
    home.close()
    home = begun(tmp_path)
    again = home.spool.batch()
    assert again and again.first == 5 and numbers(again.lines) == [4, 5, 6, 7, 8, 9]
    home.close()


def test_a_batch_holds_one_run_and_keeps_within_its_bounds(tmp_path: Path) -> None:
    """At most so many lines and about so many bytes, of the oldest run first."""
    home = begun(tmp_path)
    for i in range(20):
        home.spool.append(event(number=i, pad="x" * 1000))
    home.spool.end()
    home.spool.begin("f" * 32, 2.0)
    home.spool.append(event(number=20))
    batch = home.spool.batch(bytes=5000)
    assert batch and batch.run == RUN and 3 <= len(batch.lines) <= 5
    assert numbers(drained(home)) == list(range(21))
    home.close()


def test_the_newest_segment_is_kept_and_older_ones_are_let_go(tmp_path: Path) -> None:
    """How far a run got can be read from disk although all is acknowledged."""
    small = spool(tmp_path, segment=600_000)
    for i in range(5000):
        small.append(event(number=i, pad="x" * 500))
    while (batch := small.batch()) is not None:
        small.acknowledged(batch, len(batch.lines))
    kept = list(events(tmp_path))
    assert json.loads(kept[-1][2])["number"] == 4999
    assert sum(path.stat().st_size for path in tmp_path.glob("*.ndjson")) < 2_000_000
    small.close()


def test_over_the_limit_the_oldest_goes_and_is_counted_and_told(tmp_path: Path) -> None:
    """The bound holds, the newest stays, and sent plus told is all there was."""
    small = spool(tmp_path, limit=200_000, segment=20_000)
    for i in range(2000):
        small.append(event(number=i, pad="x" * 200))
        assert sum(path.stat().st_size for path in tmp_path.glob("*.ndjson")) <= 200_000
    lines = []
    while (batch := small.batch()) is not None:
        lines += batch.lines
        small.acknowledged(batch, len(batch.lines))
    left = numbers(lines)
    assert left[-1] == 1999 and left == sorted(left)
    assert small.seq == len(lines) + told(lines)
    assert small.page.dropped == small.page.told > 1000
    small.close()


def test_a_full_disk_raises_nothing_and_every_drop_is_told(tmp_path: Path) -> None:
    """What could not be written is counted, told as soon as possible, and no number is given twice."""
    small = spool(tmp_path)
    small.append(event(number=0))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (sum(p.stat().st_size for p in tmp_path.glob("0*")) + 50, hard))
    try:
        dropped = [small.append(event(number=i, pad="x" * 500), sync=True)[0] for i in range(1, 6)]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert dropped == [2, 3, 4, 5, 6]
    assert small.append(event(number=6), sync=True) == [8], "7 is the signal's"
    lines = [json.loads(line) for _, _, line in events(tmp_path)]
    seqs = [seq for _, seq, _ in events(tmp_path)]
    assert seqs == [1, 7, 8] and lines[1]["dropped"] == 5 and "the disk refused" in lines[1]["title"]
    small.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_on_a_disk_that_is_really_full_nothing_is_torn(tmp_path: Path) -> None:
    """On a file system of 256 KB: no exception, whole lines only, sent plus told is all there was."""
    if os.system(f"mount -t tmpfs -o size=256k tmpfs {tmp_path} 2>/dev/null"):
        pytest.skip("this machine mounts no tmpfs")
    try:
        small = spool(tmp_path / "spool", segment=20_000)
        ballast = tmp_path / "ballast"
        ballast.write_bytes(b"x" * 100_000)
        for i in range(1000):
            small.append(event(number=i, pad="x" * 300), sync=i % 7 == 0)
        assert small.page.dropped > 0
        ballast.unlink()
        small.append(event(number=1000), sync=True)
        lines = [line for _, _, line in events(tmp_path / "spool")]
        assert numbers(lines)[-1] == 1000
        assert small.seq == len(lines) + told(lines)
        small.close()
    finally:
        os.system(f"umount -l {tmp_path}")


def test_drops_are_told_even_by_the_next_process(tmp_path: Path) -> None:
    """The count outlives kill -9 on its page of memory."""
    home = begun(tmp_path)
    home.spool.append(event())
    home.page.dropped = 17
    home.close()
    home = begun(tmp_path, "f" * 32)
    home.spool.append(event())
    assert told(drained(home)) == 17 and home.page.told == 17
    home.close()


def test_a_forked_child_records_nothing_and_that_is_told(tmp_path: Path) -> None:
    """The run stays the parent's: one writer, one numbering; the child's events are counted."""
    home = begun(tmp_path)
    home.spool.append(event(number=1))
    pid = os.fork()
    if pid == 0:
        home.spool.append(event(number=2))
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    home.spool.append(event(number=3))
    lines = drained(home)
    assert numbers(lines) == [1, 3] and sum(b'"dropped_in_children":1' in line for line in lines) == 1
    home.close()


def test_a_cursor_that_lies_only_makes_repeats(tmp_path: Path) -> None:
    """After a power loss the cursor may point anywhere: then its segment is sent again from its start."""
    home = begun(tmp_path)
    for i in range(5):
        home.spool.append(event(number=i))
    for lie in (3, 10_000_000):
        home.page.cursor = (1, lie)
        batch = home.spool.batch()
        assert batch is None or (batch.first == 1 and numbers(batch.lines) == [0, 1, 2, 3, 4])
    home.close()


def test_junk_in_the_spool_is_set_aside(tmp_path: Path) -> None:
    """A file that is no segment stops nothing."""
    home = begun(tmp_path)
    home.spool.append(event(number=1))
    home.close()
    (home.spool.directory / "00000009.ndjson").write_bytes(b"\0" * 100)
    home = begun(tmp_path, "f" * 32)
    home.spool.append(event(number=2))
    assert numbers(drained(home)) == [1, 2]
    assert (home.spool.directory / "00000009.damaged").exists()
    home.close()


def test_a_segment_removed_by_another_hand_blocks_nothing(tmp_path: Path) -> None:
    """The reader goes on with the next one."""
    small = spool(tmp_path, segment=2_000)
    for i in range(20):
        small.append(event(number=i, pad="x" * 200))
    (tmp_path / "00000002.ndjson").unlink()
    found = []
    while (batch := small.batch()) is not None:
        found += numbers(batch.lines)
        small.acknowledged(batch, len(batch.lines))
    assert found[0] == 0 and found[-1] == 19
    small.close()


def test_a_late_sender_moves_nothing_of_the_next_home(tmp_path: Path) -> None:
    """An acknowledgement that comes after the home was given back changes no file."""
    home = begun(tmp_path)
    home.spool.append(event(number=1))
    batch = home.spool.batch()
    assert batch
    home.close()
    later = begun(tmp_path, "f" * 32)
    home.spool.acknowledged(batch, 1)
    assert numbers(drained(later)) == [1]
    later.close()


def test_a_segment_cut_short_by_another_hand_blocks_nothing(tmp_path: Path) -> None:
    """What is gone is gone; what came after it is sent."""
    small = spool(tmp_path, segment=2_000)
    for i in range(20):
        small.append(event(number=i, pad="x" * 200))
    os.truncate(tmp_path / "00000002.ndjson", 10)
    found = []
    while (batch := small.batch()) is not None:
        found += numbers(batch.lines)
        small.acknowledged(batch, len(batch.lines))
    assert found[0] == 0 and found[-1] == 19
    small.close()


@pytest.mark.parametrize("after", [True, False])
def test_ctrl_c_in_the_middle_of_an_append_bends_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    """Whether the line was written or not before the interrupt, every number still names its line."""
    home = begun(tmp_path)
    home.spool.append(event(number=1))
    write = os.write

    def interrupted(fd: int, text: bytes) -> int:
        if after:
            write(fd, text)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            home.spool.append(event(number=2))
    [seq] = home.spool.append(event(number=3))
    found = {seq: e["number"] for _, seq, e in on_disk(tmp_path)}
    assert found[seq] == 3 and numbers(drained(home)) == ([1, 2, 3] if after else [1, 3])
    home.close()


def test_what_is_appended_outside_a_run_is_counted(tmp_path: Path) -> None:
    """There is no number to give, and nothing is lost in silence."""
    home = Home.open("refund-desk", "main", tmp_path)
    assert home.spool.append(event()) == [0]
    home.spool.begin(RUN, 1.0)
    home.spool.append(event())
    assert told(drained(home)) == 1
    home.close()
