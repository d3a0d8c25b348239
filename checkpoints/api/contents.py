"""The operators' routes to what is in a checkpoint: its memory and its files.

An answer is always a download: never a page, never kept, and of agents' text nothing is inline. With
`reveal=1` secrets are shown as they are; that needs the right to decide and is in the audit log before it is
answered.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from django.http import HttpRequest, HttpResponse
from django.urls import register_converter
from django.utils import timezone
from pydantic import Field

from agents.api import answers, problems
from agents.api import schema as base
from agents.api.operators import REFUSED, Limit, actor_of, api
from checkpoints import contents, nearest
from checkpoints.api import schema
from checkpoints.api.operators import checkpoint_of
from checkpoints.diffs.plain import KINDS, shown
from checkpoints.models import Checkpoint
from checkpoints.services import keeping
from sickbay.tree.directory import IN_PLACE, SUBDIRECTORY, SYMLINK
from sickbay.tree.node import BadNode
from sickbay.tree.text import BadText

TAGS = ["checkpoints"]
ANSWERS: dict[Any, Any] = {**REFUSED, 409: base.Problem, 413: base.Problem}
BYTES: dict[str, Any] = {
    "description": "The bytes; the header Sickbay-Masked is 1 when a secret in them was masked.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "contentEncoding": "binary"}}},
}
VALUE = {
    "description": "The value; the header Sickbay-Masked is 1 when a secret in it was masked.",
    "content": {"application/json": {"schema": {}}},
}
HEADERS = {
    "Content-Disposition": "attachment",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
Path = Annotated[str, Field(min_length=1, max_length=8_000)]


class WholePath:
    """A file's path, with whatever its name has in it; Django's own `path` ends at a new line."""

    regex = "(?s:.+)"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(WholePath, "whole_path")


@api.get(
    "checkpoints/{uuid:id}/memory/", response=ANSWERS, openapi_extra={"responses": {200: VALUE}}, tags=TAGS
)
def memory_of_checkpoint(
    request: HttpRequest,
    id: uuid.UUID,
    path: Annotated[str, Field(max_length=contents.LONGEST_PATH)] = "",
    reveal: bool = False,
) -> Any:
    """The memory, or what stands at `path`: `messages.3.content`, or as JSON `["messages", 3, "content"]`."""
    found = checkpoint_of(request, id, "decide" if reveal else "view")
    place = contents.place(path)
    if place is None:
        raise no_place()
    with told():
        part = contents.value(found, place, reveal=reveal)
        if part is None:
            raise _nothing(nearest.place(found, place))
        said = "memory " + ".".join(str(step) for step in place)
        return _download(request, found, part, said.strip(), "application/json", reveal=reveal)


@api.get("checkpoints/{uuid:id}/files/", response={200: schema.FilesOut, **ANSWERS}, tags=TAGS)
def files_of_checkpoint(
    request: HttpRequest,
    id: uuid.UUID,
    under: Path | None = None,
    limit: Limit = 100,
    before: Annotated[str, Field(max_length=12_000)] | None = None,
) -> Any:
    """The files in the order of their paths, all of them or those below a directory."""
    found = checkpoint_of(request, id)
    after = _read_key(before) if before else b""
    if after is None:
        raise problems.Problem(
            422, "invalid", "before: it is no `next` of this list.", "Pass `next` as it is."
        )
    with told():
        start = contents.entry(found, under.rstrip("/")) if under else None
        if under and (start is None or start.entry.kind not in (SUBDIRECTORY, IN_PLACE)):
            raise _nothing(nearest.file(found, under.rstrip("/") + "/"))
        rows = contents.listed(found, under=start, after=after, limit=limit)
    start_at = len(start.path) + 1 if start else 0
    page, following = answers.page(rows, limit, lambda row: _key(row.path[start_at:]))
    return {"files": [_shown(row) for row in page], "next": following}


@api.get(
    "checkpoints/{uuid:id}/files/{whole_path:path}",
    response=ANSWERS,
    openapi_extra={"responses": {200: BYTES}},
    tags=TAGS,
)
def file_of_checkpoint(request: HttpRequest, id: uuid.UUID, path: Path, reveal: bool = False) -> Any:
    """One file, by its path as the list writes it; of a link, where it leads."""
    found = checkpoint_of(request, id, "decide" if reveal else "view")
    with told():
        one = contents.entry(found, path)
        if one is None:
            raise _nothing(nearest.file(found, path))
        if one.entry.kind in (SUBDIRECTORY, IN_PLACE):
            raise problems.Problem(
                422, "a_directory", "It is a directory.", "List what is in it: files/?under=…"
            )
        part = contents.data(found, one.entry, reveal=reveal)
        return _download(request, found, part, path, "application/octet-stream", reveal=reveal)


def _download(
    request: HttpRequest,
    found: Checkpoint,
    part: contents.Part,
    what: str,
    content_type: str,
    *,
    reveal: bool,
) -> HttpResponse:
    if reveal:
        keeping.reveal(actor=actor_of(request), checkpoint=found, what=what, now=timezone.now())
    headers = {**HEADERS, "Sickbay-Masked": str(int(part.masked))}
    return HttpResponse(part.data, content_type=content_type, headers=headers)


@contextmanager
def told() -> Iterator[None]:
    """What is in the way of an answer, in words."""
    try:
        yield
    except contents.TooLarge as error:
        raise problems.Problem(
            413, "too_large", str(error), "Ask for a part of it, with path= or under=, or with reveal=1."
        ) from error
    except contents.NotText as error:
        raise problems.Problem(
            409, "not_text", "It is no text, so its secrets cannot be masked.", "Ask with reveal=1."
        ) from error
    except (BadNode, BadText) as error:
        raise problems.Problem(
            409, "damaged", f"It cannot be read: {error}.", "Run manage.py verify on the server."
        ) from error


def no_place() -> problems.Problem:
    return problems.Problem(
        422, "invalid", "path: it is no place in a memory.", 'Write messages.3 or ["messages", 3].'
    )


def _nothing(sentence: str) -> problems.Problem:
    return problems.Problem(404, "not_found", sentence, "Name what is there.")


def _shown(row: contents.Listed) -> dict[str, Any]:
    entry, path = row.entry, shown(row.path)
    if entry.kind == SYMLINK:
        return {"path": path, "kind": "link", "size": None, "name": None, "target": shown(entry.body)}
    if entry.kind in (SUBDIRECTORY, IN_PLACE):
        return {"path": path, "kind": "directory", "size": None, "name": None, "target": None}
    name = entry.name.hex()
    return {"path": path, "kind": KINDS[entry.kind], "size": entry.size, "name": name, "target": None}


def _key(path: bytes) -> str:
    return base64.urlsafe_b64encode(path).decode().rstrip("=")


def _read_key(text: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)) or None
    except (binascii.Error, ValueError):
        return None
