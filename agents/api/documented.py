"""OpenAPI for all of /api/v1/: the operators' routes as django-ninja knows them, the agents' by hand.

Agents' routes are plain views (a batch of 500 events costs a third of what validation by a framework
would), so they are described here. The protocol's own words stand beside the SDK.
"""

from __future__ import annotations

from typing import Any

from ninja import NinjaAPI
from ninja.openapi.schema import OpenAPISchema

TAG = "how agents report"
PROBLEM = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
REFUSALS: dict[str, Any] = {
    "401": {"description": "No valid token", "content": PROBLEM},
    "403": {"description": "Not an agent's token", "content": PROBLEM},
    "404": {"description": "Not there, or another project's", "content": PROBLEM},
    "413": {"description": "Too long", "content": PROBLEM},
    "422": {"description": "Not readable", "content": PROBLEM},
}
OBJECT: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}}
BATCH = (
    "NDJSON, at most 8 MB unpacked and 2,000 lines of 64 KB; Content-Encoding zstd or identity. "
    "Line 1: agent, instance, process, run, started_at, epoch, first_seq, n, sent_at, state; "
    "then n events, one a line."
)


def parameter(name: str, place: str, kind: str, text: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": {"type": kind},
        "description": text,
    }


def operation(id: str, summary: str, answer: str, **more: Any) -> dict[str, Any]:
    return {
        "operationId": id,
        "summary": summary,
        "tags": [TAG],
        "security": [{"operator": []}],
        "responses": {"200": {"description": answer, "content": OBJECT}, **REFUSALS},
        **more,
    }


NAME = parameter("name", "path", "string", "The agent's name.")
WHO = [
    parameter("instance", "query", "string", "The instance; main when absent."),
    parameter("epoch", "query", "integer", "The writer's epoch; 0 when it has none yet."),
    parameter("process", "query", "string", "32 hex digits, one for each SDK process."),
]
CONFLICT = {"description": "Fenced, or taken by another process: do not act", "content": PROBLEM}

AGENTS_ROUTES: dict[str, dict[str, Any]] = {
    "/api/v1/agents/register/": {
        "post": operation(
            "register",
            "Start a run: who the process is and its state.",
            "The epoch, or null with the pause that holds it; the merged account; its commands' version.",
            requestBody={"required": True, "content": OBJECT},
        )
    },
    "/api/v1/events/": {
        "post": operation(
            "send_events",
            "Report events, each stored exactly once by its number in the run.",
            "Acknowledged after commit: ack, stored, duplicates, quarantined, conflicts, account, pause.",
            requestBody={
                "required": True,
                "description": BATCH,
                "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
            },
        )
    },
    "/api/v1/agents/{name}/commands/": {
        "get": operation(
            "waiting_commands",
            "What the instance was asked and has not obeyed; `wait` waits for something.",
            "commands, commands_version, fenced; 204 when `wait` ended without any.",
            parameters=[
                NAME,
                *WHO,
                parameter("after", "query", "integer", "The version of the last known command."),
                parameter("wait", "query", "integer", "Seconds to wait, at most 25."),
            ],
        )
    },
    "/api/v1/agents/{name}/commands/{command}/": {
        "post": operation(
            "receipt",
            "Say that a command was taken, done or refused; act only after `taken` was answered with 200.",
            "The command's state.",
            parameters=[NAME, parameter("command", "path", "string", "The command's id.")],
            requestBody={"required": True, "content": OBJECT},
        )
    },
    "/api/v1/agents/socket": {
        "get": operation(
            "socket",
            "A WebSocket: beats from the agent, `look` from the server; commands are then fetched.",
            "Switched to a WebSocket.",
            parameters=[parameter("agent", "query", "string", "The agent's name."), *WHO],
        )
    },
}
AGENTS_ROUTES["/api/v1/agents/{name}/commands/{command}/"]["post"]["responses"]["409"] = CONFLICT


class Documented(NinjaAPI):
    def get_openapi_schema(self, **given: Any) -> OpenAPISchema:
        schema = super().get_openapi_schema(**given)
        bearer = {"type": "http", "scheme": "bearer", "description": "sb_…, made by `manage.py token`"}
        schema["components"].setdefault("securitySchemes", {})["operator"] = bearer
        for path in schema["paths"].values():
            for route in path.values():
                route["security"] = [{"operator": []}]
        for path, methods in AGENTS_ROUTES.items():
            schema["paths"].setdefault(path, {}).update(methods)
        return schema
