"""Ingest: a run's events stored exactly once, in one transaction, with an answer for each line.

    lines ─read strictly─▶ cut by (run, seq) ─▶ repeats: compared with what is kept
                                              ├▶ news and fills: COPYed into the timeline
                                              └▶ refused ones: quarantined with their bytes

The instance's row is locked, so its batches come one after the other; the run's `acked` and `gaps` say what
is new without looking anything up. A run's event is `<run>-<seq>`, seq by position. What comes from an older
writer or for an earlier run is stored, marked late, and moves nothing; the snapshot in the header is taken
from the newest writer alone. Acknowledged means committed.
"""

from __future__ import annotations

import datetime as dt
import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from agents import announce
from agents.models import Instance, Quarantine, Run
from agents.services import (
    accounts,
    beats,
    blockages,
    copying,
    effects,
    epochs,
    failures,
    lines,
    minutes,
    pauses,
    rows,
    sequences,
    snapshots,
)
from agents.services.lines import Header, Line, Refused

SAME_CLOCK_S = 0.5
MINUTE_US = 60_000_000
ENDED: dict[str, blockages.Ended] = {"ok": "ok", "already": "ok", "failed": "failed"}
log = logging.getLogger("sickbay.ingest")


@dataclass(slots=True)
class Answer:
    """What the sender is told; `ack` speaks for this batch alone."""

    ack: int
    stored: int = 0
    duplicates: int = 0
    quarantined: list[int] = field(default_factory=list)
    conflicts: list[int] = field(default_factory=list)
    fenced: bool = False
    wait_ms: int = 0
    commands_version: int = 0
    account: dict[str, Any] | None = None
    pause: dict[str, Any] | None = None


def take(*, project_id: int, header: Header, raw: Sequence[bytes], now: dt.datetime) -> Answer:
    """Store the batch `raw`, whose first line is `header.first_seq`, and take over the sender's state."""
    with transaction.atomic():
        instance = epochs.lock(project_id, header.agent, header.instance)
        offset = now.timestamp() - header.sent_at
        fenced = epochs.is_fenced(instance, header.epoch)
        answer = Answer(ack=header.first_seq + len(raw) - 1, fenced=fenced)
        if raw:
            run = _run(instance, header, offset, now)
            if run.acked and abs(run.offset_s - offset) < SAME_CLOCK_S:
                offset = run.offset_s  # the network's jitter must not reorder a run
            _store(instance, run, header, raw, offset, answer, now)
        _take_state(instance, header, offset, answer, now)
        answer.commands_version = instance.commands_version
        answer.account = accounts.merged_for_wire(instance, now)
    return answer


def _run(instance: Instance, header: Header, offset: float, now: dt.datetime) -> Run:
    started_at = snapshots.corrected(header.started_at, offset, now)
    return epochs.run_of(instance, uuid.UUID(header.run), started_at=started_at)


def _store(
    instance: Instance,
    run: Run,
    header: Header,
    raw: Sequence[bytes],
    offset: float,
    answer: Answer,
    now: dt.datetime,
) -> None:
    """The lines that are new, each once; the answer names the others."""
    first = header.first_seq
    cut = sequences.cut(run.acked, [(low, high) for low, high in run.gaps], first, len(raw))
    if cut.repeats:
        _compare(run, {seq: raw[seq - first] for seq in cut.repeats}, answer)
    foreign = not epochs.is_newest(instance, header.epoch) or run.epoch != header.epoch
    new = _read({seq: raw[seq - first] for seq in cut.fills + cut.news})
    good = [line for line in new if line.event is not None]
    _date(good, offset, now)
    filled = set(cut.fills)
    for line in good:
        line.late = foreign or line.seq in filled
    good = _copy(instance, run, good, new, now)
    _quarantine(instance, run, new, answer, now)
    answer.stored = len(good)
    if new:
        run.acked, run.gaps, run.offset_s = cut.acked, cut.gaps, offset
        rows.save(run, "acked", "gaps", "offset_s")
    _count(instance, run, good, now)


def _read(raw: dict[int, bytes]) -> list[Line]:
    return [
        Line(seq, line, None, str(said)) if isinstance(said, Refused) else Line(seq, line, said)
        for (seq, line), said in zip(raw.items(), lines.events([*raw.values()]), strict=True)
    ]


def _date(good: list[Line], offset: float, now: dt.datetime) -> None:
    """Each line's time on our clock: in the order of the run, and never after it was received."""
    latest = round(now.timestamp() * 1e6) - len(good)
    before = 0
    for line in good:
        assert line.event is not None
        latest += 1
        at = int((line.event.at + offset) * 1e6)
        if at > latest or at <= 0:
            at = latest
        elif at <= before:
            at = before + 1
        line.at = before = at


def _compare(run: Run, repeats: dict[int, bytes], answer: Answer) -> None:
    """A repeat with the same bytes gets the same answer; other bytes are a conflict, and are not stored."""
    kept, refused = copying.kept(run.pk, list(repeats))
    for seq, raw in repeats.items():
        if seq in refused:
            same = refused[seq] == raw[: lines.LONGEST]
            (answer.quarantined if same else answer.conflicts).append(seq)
        elif seq in kept and kept[seq] != lines.digest_of(raw):
            answer.conflicts.append(seq)
        else:
            answer.duplicates += 1


def _copy(instance: Instance, run: Run, good: list[Line], new: list[Line], now: dt.datetime) -> list[Line]:
    """COPY them with their groups; what Postgres refuses all the same is left to the quarantine."""
    groups = failures.grouped(
        project_id=instance.agent.project_id,
        agent_id=instance.agent_id,
        seen=[seen for line in good if (seen := _failure(line)) is not None],
        now=now,
        run_id=run.pk,
    )
    bad = copying.copy(instance, run, good, groups, now)
    for line in new:
        if line.seq in bad:
            line.event, line.reason = None, bad[line.seq]
    return [line for line in good if line.event is not None]


def _failure(line: Line) -> failures.FailureSeen | None:
    event = line.event
    if event is None or event.kind != "failure":
        return None
    return failures.FailureSeen(
        seq=line.seq,
        name=event.name,
        failure=event.failure or "error",
        exception=event.exception,
        message=event.message,
        fingerprint=event.fingerprint,
        at=line.time,
    )


def _quarantine(instance: Instance, run: Run, new: list[Line], answer: Answer, now: dt.datetime) -> None:
    bad = [line for line in new if line.event is None]
    if not bad:
        return
    kept = [
        Quarantine(
            run_id=run.pk,
            seq=line.seq,
            agent_id=instance.agent_id,
            received_at=now,
            reason=line.reason[:300],
            line=line.raw[: lines.LONGEST],
        )
        for line in bad
    ]
    Quarantine.objects.bulk_create(kept, ignore_conflicts=True)
    answer.quarantined += [line.seq for line in bad]
    log.warning("%s lines of run %s were quarantined: %s", len(bad), run.pk.hex, bad[0].reason)


def _count(instance: Instance, run: Run, good: list[Line], now: dt.datetime) -> None:
    """What follows from the new lines: effects, the minutes' outcomes, blockages, and how runs ended."""
    outcomes: dict[int, list[int]] = {}
    ended: list[tuple[dt.datetime, blockages.Ended]] = []
    outward, ends = [], []
    for line in good:
        event = line.event
        assert event is not None
        if event.kind == "action":
            if (how := ENDED.get(event.outcome or "")) is not None:
                outcomes.setdefault(line.at // MINUTE_US, [0, 0])[how == "failed"] += 1
                if how == "failed" and event.transient:
                    how = "transient"
                if not line.late and (how != "ok" or not ended or ended[-1][1] != "ok"):
                    ended.append((line.time, how))
            if event.external:
                outward.append((event, line.time))
        elif event.kind == "effect":
            outward.append((event, line.time))
        elif event.kind == "run":
            ends.append((event, line.time))
    if outward:
        effects.record(instance, run, outward)
    closed = {lines.moment(at * MINUTE_US): (ok, failed) for at, (ok, failed) in outcomes.items()}
    minutes.add(instance.agent_id, closed)
    blockages.note(instance, ended)
    if ends:
        epochs.end(instance, run, ends, now)


def _take_state(instance: Instance, header: Header, offset: float, answer: Answer, now: dt.datetime) -> None:
    """The newest writer's snapshot, and the news for whoever looks at this agent."""
    changed, standing = answer.stored > 0, False
    if epochs.is_newest(instance, header.epoch):
        state = _state(header)
        if state is None or state.living:
            beats.heard(instance.pk, now)
        if state is not None:
            result = pauses.take_snapshot(
                agent=instance.agent,
                instance=instance,
                run_id=uuid.UUID(header.run),
                state=state,
                now=now,
                offset_s=offset,
            )
            answer.pause = result.pause
            changed, standing = changed or result.changed, result.standing
    if changed:
        announce.changed_agent(instance.agent_id, instance.agent.project_id, standing=standing)


def _state(header: Header) -> snapshots.State | None:
    """A snapshot that cannot be read stops no event: it is left out, and said in the log."""
    if header.state is None:
        return None
    try:
        return snapshots.read(header.state)
    except ValueError as error:
        log.warning("the state of %s/%s was left out: %s", header.agent, header.instance, error)
        return None
