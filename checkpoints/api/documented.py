"""The agents' routes to checkpoints, in OpenAPI; they are plain views, like the events'."""

from __future__ import annotations

from typing import Any

from agents.api.documented import CONFLICT, NAME, OBJECT, WHO, operation, parameter

BINARY: dict[str, Any] = {
    "application/octet-stream": {"schema": {"type": "string", "contentEncoding": "binary"}}
}
NAMES = "Names of nodes, 32 bytes each."
RECORDS = "Records (sickbay.tree.record), children before parents; at most 8 MB."
AGAIN = {"409": {**CONFLICT, "description": "Fenced, a conflict, or `missing` names nodes to be sent first"}}
AGENT = "/api/v1/agents/{name}/"
BASE = f"{AGENT}checkpoints/"


def _posted(id: str, summary: str, answer: str, body: str, *more: dict[str, Any]) -> dict[str, Any]:
    content = {"required": True, "description": body, "content": BINARY}
    described = operation(id, summary, answer, parameters=[NAME, *WHO, *more], requestBody=content)
    described["responses"] |= AGAIN
    return {"post": described}


def _said(id: str, summary: str, answer: str, *more: dict[str, Any]) -> dict[str, Any]:
    body = {"required": True, "content": OBJECT}
    described = operation(id, summary, answer, parameters=[NAME, *WHO, *more], requestBody=body)
    described["responses"]["409"] = CONFLICT
    return described


ROUTES: dict[str, dict[str, Any]] = {
    BASE: _posted(
        "take_checkpoint",
        "Take a checkpoint: all of it is stored, or nothing. The same id again has the same answer.",
        "id, standing, missing.",
        f"Line 1: id, run, at, sent_at, label, why, manifest, parent, act, facts, notes; then: {RECORDS}",
    ),
    f"{BASE}missing/": _posted(
        "missing_nodes", "Which of these nodes the project does not have.", "missing: hex names.", NAMES
    ),
    f"{BASE}nodes/": _posted(
        "send_nodes",
        "Send a part of a large checkpoint; it is kept for an hour after the last part.",
        "stored: how many were new.",
        RECORDS,
        parameter("upload", "query", "string", "A UUID: the checkpoint's id."),
    ),
    f"{BASE}read/": _posted(
        "read_nodes",
        "Read nodes back. The header Sickbay-Read says how many of the names were answered.",
        "Records that need no base, in the order asked; unknown names are left out.",
        f"{NAMES} At most 2,000.",
    ),
    f"{AGENT}rollbacks/{{id}}/progress/": {
        "post": _said(
            "rollback_progress",
            "Say how far a rollback has come; one that nobody ordered is made on sight.",
            "state, verified, why. The same again has the same answer.",
            parameter("id", "path", "string", "The rollback's id."),
        )
    },
    f"{AGENT}edits/": {
        "post": _said("hand_edits", "Say what was changed by hand since the last snapshot.", "kept.")
    },
    f"{BASE}newest/": {
        "get": operation(
            "newest_checkpoint",
            "The newest usable checkpoint of the instance, from which a run goes on.",
            "id, memory, workspace, standing, at, label.",
            parameters=[NAME, WHO[0]],
        )
    },
    f"{BASE}{{id}}/": {
        "get": operation(
            "checkpoint_of_agent",
            "One checkpoint of the agent.",
            "id, memory, workspace, standing, at, label.",
            parameters=[NAME, parameter("id", "path", "string", "The checkpoint's id."), WHO[0]],
        )
    },
}
