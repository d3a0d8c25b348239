"""The operators' routes: what they answer, whom they refuse, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from agents.models import Agent, Command, Entry, Incident, Project
from agents.services import tokens
from dashboard.serving.bodies import judge
from tests.domain import cast
from tests.domain.cast import NOW

pytestmark = pytest.mark.django_db


class Operator:
    """A program with a token."""

    def __init__(self, project: Project, scope: str = "operator") -> None:
        made = tokens.make(project=project, scope=scope, label="tests", by="tests", now=NOW)
        self.headers = {"Authorization": f"Bearer {made.text}"}
        self.client = Client()

    def get(self, path: str, /, **query: Any) -> tuple[int, Any]:
        answer = self.client.get(f"/api/v1/{path}", query, headers=self.headers)
        return answer.status_code, json.loads(answer.content)

    def post(self, path: str, said: Any = None, raw: bytes | None = None) -> tuple[int, Any]:
        body = raw if raw is not None else json.dumps(said).encode() if said is not None else b""
        answer = self.client.post(
            f"/api/v1/{path}", body, content_type="application/json", headers=self.headers
        )
        return answer.status_code, json.loads(answer.content)


@pytest.fixture
def operator(project: Project) -> Operator:
    return Operator(project)


def in_shape(body: Any) -> bool:
    return {"error", "message", "what_to_do"} <= set(body) and isinstance(body["message"], str)


def test_an_agent_is_shown_with_its_budget(project: Project, operator: Operator) -> None:
    """Name, status, epoch, who paused it and what it has spent."""
    instance = cast.worker(project, epoch=3)
    cast.spends_its_budget(instance)
    status, body = operator.get("agents/refund-desk/")
    assert status == 200
    assert (body["name"], body["status"], body["epoch"], body["paused_by"]) == (
        "refund-desk",
        "paused",
        3,
        "budget",
    )
    assert body["budget"] == {"consecutive": 0, "max_consecutive": 3, "hourly": 0, "max_hourly": 10}
    assert body["last_known_good"] is None


def test_lists_are_paged_by_next(project: Project, operator: Operator) -> None:
    """`next` is passed as `before` until it is null; nothing is left out or shown twice."""
    for name in ("a", "b", "c", "d", "e"):
        cast.make_agent(project, name)
    seen: list[str] = []
    before: dict[str, str] = {}
    for _ in range(3):
        _, body = operator.get("agents/", limit=2, **before)
        seen += [agent["name"] for agent in body["agents"]]
        before = {"before": body["next"]}
    assert seen == ["a", "b", "c", "d", "e"] and body["next"] is None


def test_a_list_takes_a_constant_number_of_queries(
    project: Project, operator: Operator, django_assert_max_num_queries: Any
) -> None:
    """Twenty agents cost as many queries as two."""
    for number in range(20):
        cast.spends_its_budget(cast.worker(project, f"a{number}"))
    with django_assert_max_num_queries(8):
        operator.get("agents/")
    with django_assert_max_num_queries(9):
        operator.get("incidents/")


def test_the_timeline_is_newest_first(project: Project, operator: Operator) -> None:
    """Entries with kind, outcome and verdict, paged by key."""
    instance = cast.worker(project)
    for seq in range(1, 6):
        cast.fails(instance, seq=seq, now=NOW + seq * cast.SECOND)
    first = operator.get("agents/refund-desk/timeline/", limit=3)[1]
    second = operator.get("agents/refund-desk/timeline/", limit=3, before=first["next"])[1]
    assert [entry["seq"] for entry in first["entries"] + second["entries"]] == [5, 4, 3, 2, 1]
    assert second["next"] is None
    assert first["entries"][0]["kind"] == "failure" and first["entries"][0]["verdict"] is None


def test_an_incident_is_decided_from_a_program(project: Project, operator: Operator) -> None:
    """List, acknowledge, decide: 200 with a result for each agent; the agent hears of it."""
    cast.spends_its_budget(cast.worker(project))
    (incident,) = operator.get("incidents/", state="open")[1]["incidents"]
    assert (incident["version"], incident["agents"], incident["state"]) == (1, ["refund-desk"], "open")
    assert operator.post(f"incidents/{incident['id']}/acknowledge/")[1]["state"] == "acknowledged"
    status, body = operator.post(
        f"incidents/{incident['id']}/decide/",
        {"decision": "resume", "version": 1, "reason": "fixed outside", "guidance": "go on"},
    )
    assert status == 200
    assert body["results"] == [
        {
            "agent": "refund-desk",
            "instance": "main",
            "result": "ordered",
            "taken_up": "at its next safe point",
        }
    ]
    detail = operator.get(f"incidents/{incident['id']}/")[1]
    assert detail["decisions"][0]["guidance"] == "go on" and detail["alerts"] == "nobody has been told"
    assert operator.get("incidents/", state="open")[1]["incidents"] == []


def test_the_second_decision_is_409(project: Project, operator: Operator) -> None:
    """It is told who won, and which version holds now."""
    pause = cast.spends_its_budget(cast.worker(project))
    said = {"decision": "resume", "version": 1, "reason": "x"}
    operator.post(f"incidents/{pause.incident_id}/decide/", said)
    status, body = operator.post(f"incidents/{pause.incident_id}/decide/", said)
    assert (status, body["error"], body["version"]) == (409, "lost", 2)
    assert "token tests decided first" in body["message"]


def test_a_decision_is_withdrawn_from_a_program(project: Project, operator: Operator) -> None:
    """200 while no run has taken it up, and the decision says so; 409 when a run was first."""
    pause = cast.spends_its_budget(cast.worker(project))
    path = f"incidents/{pause.incident_id}"
    assert operator.post(f"{path}/withdraw/", {"version": 1})[1]["error"] == "nothing_to_decide"
    operator.post(f"{path}/decide/", {"decision": "resume", "version": 1, "reason": "x"})
    status, body = operator.post(f"{path}/withdraw/", {"version": 2, "reason": "too early"})
    assert (status, body["version"], body["results"][0]["result"]) == (200, 3, "withdrawn")
    detail = operator.get(f"{path}/")[1]
    assert (detail["state"], [made["withdrawn"] for made in detail["decisions"]]) == ("open", [True])
    operator.post(f"{path}/decide/", {"decision": "resume", "version": 3, "reason": "x"})
    Command.objects.filter(state="ordered").update(state="taken", taken_at=NOW)
    status, body = operator.post(f"{path}/withdraw/", {"version": 4})
    assert (status, body["error"]) == (409, "taken_up") and in_shape(body)


@pytest.mark.parametrize("version", [0, 2, -5])
def test_any_other_version_is_409(project: Project, operator: Operator, version: int) -> None:
    """Zero included."""
    pause = cast.spends_its_budget(cast.worker(project))
    said = {"decision": "stop", "version": version, "reason": "x"}
    status, body = operator.post(f"incidents/{pause.incident_id}/decide/", said)
    assert (status, body["error"]) == (409, "stale") and in_shape(body)


def test_an_agent_is_paused_and_stopped_and_started(project: Project, operator: Operator) -> None:
    """The whole life of a pause from a program."""
    instance = cast.worker(project, live=False)
    status, paused = operator.post("agents/refund-desk/pause/", {"reason": "looks odd"})
    assert (status, paused["paused"]) == (200, ["main"])
    assert operator.post("agents/refund-desk/start/", {})[0] == 409
    said = {"decision": "stop", "version": 1, "reason": "enough", "agents": ["refund-desk"]}
    cast.Instance.objects.update(gone_since=NOW)
    assert operator.post(f"incidents/{paused['incident']}/decide/", said)[0] == 200
    assert Agent.objects.get().status == "stopped"
    assert operator.post("agents/refund-desk/start/")[0] == 200
    assert instance.commands.filter(kind="start").exists()


def foreign_paths(project: Project) -> list[tuple[str, str]]:
    pause = cast.spends_its_budget(cast.worker(project, "secret-agent"))
    return [
        ("get", "agents/secret-agent/"),
        ("get", "agents/secret-agent/timeline/"),
        ("post", "agents/secret-agent/pause/"),
        ("post", "agents/secret-agent/start/"),
        ("get", f"incidents/{pause.incident_id}/"),
        ("post", f"incidents/{pause.incident_id}/acknowledge/"),
        ("post", f"incidents/{pause.incident_id}/decide/"),
        ("post", f"incidents/{pause.incident_id}/withdraw/"),
    ]


def test_another_projects_things_are_not_there(project: Project, operator: Operator) -> None:
    """404 for every foreign id, in our shape, and nothing of it in any list."""
    elsewhere = Project.objects.create(name="elsewhere")
    said = {"decision": "resume", "version": 1, "reason": "x"}
    for method, path in foreign_paths(elsewhere):
        status, body = operator.get(path) if method == "get" else operator.post(path, said)
        assert (status, body["error"]) == (404, "not_found"), path
    assert operator.get("agents/")[1]["agents"] == [] and operator.get("incidents/")[1]["incidents"] == []
    assert Incident.objects.get().version == 1


@pytest.mark.parametrize(
    "header", [None, "Bearer nonsense", "Basic abc", "Bearer sb_aaaaaaaaaaaa_" + "a" * 43]
)
def test_without_a_token_everything_is_401(project: Project, header: str | None) -> None:
    """In our shape, with the header that asks for one."""
    answer = Client().get("/api/v1/agents/", headers={"Authorization": header} if header else {})
    assert answer.status_code == 401 and in_shape(json.loads(answer.content))
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_an_agents_token_may_not_operate(project: Project) -> None:
    """403 with the command that makes the right one."""
    status, body = Operator(project, scope="agent").get("agents/")
    assert (status, body["error"]) == (403, "wrong_scope")


BAD: list[tuple[str, Any]] = [
    ("reason", {"decision": "resume", "version": 1}),
    ("version", {"decision": "resume", "version": "1", "reason": "x"}),
    ("version", {"decision": "resume", "version": True, "reason": "x"}),
    ("version", {"decision": "resume", "version": 10**30, "reason": "x"}),
    ("decision", {"decision": "dance", "version": 1, "reason": "x"}),
    ("agents", {"decision": "stop", "version": 1, "reason": "x", "agents": ["a\u0000"]}),
    ("reason", {"decision": "stop", "version": 1, "reason": "x" * 501}),
    ("body", [1, 2]),
]


@pytest.mark.parametrize(("field", "said"), BAD)
def test_what_is_not_valid_is_422_and_named(
    project: Project, operator: Operator, field: str, said: Any
) -> None:
    """The field is named, in our shape."""
    pause = cast.spends_its_budget(cast.worker(project))
    status, body = operator.post(f"incidents/{pause.incident_id}/decide/", said)
    assert status in (400, 422) and in_shape(body)
    assert status == 400 or field in body["message"]


@pytest.mark.parametrize(
    "raw",
    [b"{", b"[" * 100_000, b'{"a":NaN}', b'{"a":1,"a":2}', b'{"reason":"\\ud800"}', b"\xff", b"9" * 5000],
)
def test_what_is_no_strict_json_is_refused(project: Project, operator: Operator, raw: bytes) -> None:
    """Never a 500."""
    cast.worker(project)
    status, body = operator.post("agents/refund-desk/pause/", raw=raw)
    assert status in (400, 422) and in_shape(body)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("agents/", {"limit": 501}), ("agents/", {"limit": 0}), ("agents/", {"before": "A B"}),
        ("incidents/", {"state": "odd"}), ("incidents/", {"before": "x"}), ("incidents/", {"before": 10**30}),
    ],
)  # fmt: skip
def test_a_bad_query_is_422(operator: Operator, path: str, query: dict[str, Any]) -> None:
    """Limits and keys are checked, in our shape."""
    status, body = operator.get(path, **query)
    assert status == 422 and in_shape(body)


@pytest.mark.parametrize(
    "path",
    ["nowhere/", "agents/%00/", "agents/a%2Fb/", "incidents/99999999999999999999999/", "agents/UPPER/"],
)
def test_what_is_not_there_is_404_in_shape(operator: Operator, path: str) -> None:
    """No page for humans below /api/v1/."""
    status, body = operator.get(path)
    assert (status, body["error"]) == (404, "not_found") and in_shape(body)


def test_a_wrong_method_is_405_in_shape(operator: Operator) -> None:
    """With the methods that there are."""
    answer = operator.client.delete("/api/v1/agents/", headers=operator.headers)
    assert answer.status_code == 405 and in_shape(json.loads(answer.content))
    assert answer.headers["Allow"] == "GET"


def test_hostile_text_in_an_entry_comes_back_as_data(project: Project, operator: Operator) -> None:
    """A body that is no JSON is shown as text; markup stays inside of strings."""
    instance = cast.worker(project)
    cast.fails(instance, name="<script>alert(1)</script>")
    Entry.objects.update(body="no json")
    _, body = operator.get("agents/refund-desk/timeline/")
    assert body["entries"][0]["body"] == "no json"


def test_the_schema_speaks_of_every_route(client: Client) -> None:
    """OpenAPI 3.1 with the operators' and the agents' routes; Swagger comes from our own static files."""
    schema = json.loads(client.get("/api/v1/openapi.json").content)
    assert schema["openapi"].startswith("3.1")
    for path in (
        "agents/",
        "incidents/{id}/decide/",
        "incidents/{id}/withdraw/",
        "events/",
        "agents/register/",
        "agents/socket",
    ):
        assert f"/api/v1/{path}" in schema["paths"]
    page = client.get("/api/v1/docs")
    assert b"/static/ninja/swagger-ui-bundle.js" in page.content
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert b"http://" not in page.content and b"https://" not in page.content


@pytest.mark.parametrize("decision", ["resume", "stop"])
@pytest.mark.parametrize("agents", [[], ["first-agent"], ["refund-desk", "first-agent"]])
def test_agents_that_are_not_in_it_are_named(
    project: Project, operator: Operator, decision: str, agents: list[str]
) -> None:
    """A decision about an agent of elsewhere, or about none, is 422 and decides about nobody."""
    cast.spends_its_budget(cast.worker(project))
    cast.make_agent(project, "first-agent")
    incident = Incident.objects.get()
    said = {"decision": decision, "version": incident.version, "reason": "tests", "agents": agents}
    status, body = operator.post(f"incidents/{incident.pk}/decide/", said)
    assert status == 422 and in_shape(body)
    assert ("first-agent" in body["message"]) == bool(agents) and "refund-desk" in body["what_to_do"]
    assert not Command.objects.exists()


def test_a_body_that_is_too_long_is_no_batch(project: Project, operator: Operator) -> None:
    """The refusal speaks of a body, on the addresses that take one thing at a time."""
    cast.make_agent(project, "a")
    status, body = operator.post("agents/a/pause/", {"reason": "x" * 70_000})
    assert status in (400, 413) and "the body is longer" in body["message"]
    refused = judge("/api/v1/agents/a/pause/", 10**9, operator.headers["Authorization"].encode())
    assert refused is not None and refused.what_to_do == "Send a shorter body."
