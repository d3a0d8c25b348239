"""What is refused as a whole: who may not send, and what is no batch."""

from __future__ import annotations

import uuid

import orjson
import pytest

from agents.models import Entry, Project, Run
from tests.builders import Wire, action, make_project, make_token

pytestmark = pytest.mark.django_db


def test_without_a_token_it_is_401(wire: Wire) -> None:
    """Nobody is believed without a token."""
    wire.token = "sb_000000000000_" + "0" * 43
    answer = wire.post_events(action())
    assert answer.status_code == 401
    assert set(answer.json()) == {"error", "message", "what_to_do"}


def test_an_operators_token_is_403(wire: Wire, project: Project) -> None:
    """An operator's token sends no events."""
    wire.token = make_token(project, "operator")
    assert wire.post_events(action()).status_code == 403


def test_another_projects_agent_is_404(wire: Wire) -> None:
    """A token reaches nothing outside of its project, and learns nothing of it."""
    wire.token = make_token(make_project("elsewhere"))
    assert wire.post_events(action()).status_code == 404
    assert wire.commands().status_code == 404
    assert wire.receipt(str(uuid.uuid4())).status_code == 404


def test_another_instances_run_is_404(wire: Wire) -> None:
    """A run belongs to one instance; nobody else adds to it."""
    other = Wire(wire.token, instance="second")
    other.register()
    assert other.post_events(action(), run=wire.run).status_code == 404
    assert other.register(run=wire.run).status_code == 404
    assert not Entry.objects.filter(run_id=wire.run).exists()


def test_fewer_lines_than_said_is_422(wire: Wire) -> None:
    """A body that was cut off acknowledges nothing."""
    whole = wire.batch(action("a"), action("b"))
    cut = whole[: whole.rstrip().rindex(b"\n") + 1]
    assert wire.post("/api/v1/events/", cut).status_code == 422
    assert not Run.objects.get(pk=wire.run).acked


HEADERS = {
    "no header": b"",
    "no json": b"agent=refund-desk",
    "an array": b"[]",
    "a key twice": b'{"agent":"refund-desk","agent":"other"}',
    "empty": b"{}",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_no_header_is_422(wire: Wire, header: bytes) -> None:
    """Without its first line a batch is nobody's."""
    answer = wire.post("/api/v1/events/", header + b"\n")
    assert answer.status_code == 422
    assert answer.json()["error"] == "unreadable"


FIELDS = {
    "agent": ["", "UPPER", "a" * 64, "a/b", "../x", 17, None, ["a"], "a\n", "a\u0000"],
    "instance": ["", "a b", "x" * 64, None],
    "run": ["", "x" * 32, "0" * 31, str(uuid.UUID(int=7)), 17],
    "epoch": [-1, "1", 1.5, 2**63, 2**70],
    "first_seq": [0, -1, 2**63, 1.5, "1", None],
    "n": [-1, 2001, "1"],
    "sent_at": [-1, 1e300, "now", None],
    "started_at": [-1, 1e300, "now", None],
    "state": ["running", 17, []],
}


@pytest.mark.parametrize("field, value", [(field, value) for field in FIELDS for value in FIELDS[field]])
def test_a_header_of_wrong_types_is_422(wire: Wire, field: str, value: object) -> None:
    """Each field of the header is what it says, or the batch is refused with a sentence."""
    body = wire.batch(action())
    header, rest = body.split(b"\n", 1)
    said = {**orjson.loads(header), field: value}
    try:
        header = orjson.dumps(said)
    except TypeError:
        header = repr(said).replace("'", '"').encode()
    assert wire.post("/api/v1/events/", header + b"\n" + rest).status_code in (404, 422)


@pytest.mark.parametrize(
    "state", [{}, {"status": "well"}, {"status": "running", "since": "x"}, {"status": 1}]
)
def test_a_state_nobody_understands_stops_no_event(wire: Wire, state: dict[str, object]) -> None:
    """Events are stored whatever the snapshot says."""
    assert wire.post_events(action(), state=state).json()["stored"] == 1


def test_only_post(wire: Wire) -> None:
    """Events are posted; a GET changes nothing."""
    headers = {"Authorization": f"Bearer {wire.token}"}
    assert wire.client.get("/api/v1/events/", headers=headers).status_code == 405
    assert wire.client.get("/api/v1/agents/register/", headers=headers).status_code == 405


def test_endless_gaps_are_refused(wire: Wire) -> None:
    """A run that skips a thousand times is refused, and stays as it was."""
    run = Run.objects.get(pk=wire.run)
    Run.objects.filter(pk=run.pk).update(acked=4000, gaps=[[i * 2, i * 2] for i in range(1, 1001)])
    assert wire.post_events(action(), first=5000).status_code == 422
    assert Run.objects.get(pk=wire.run).acked == 4000
