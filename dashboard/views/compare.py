"""Two checkpoints beside each other, the parts that are opened on demand, and what is audited: revealing a
secret, and taking a file away."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from checkpoints import compared, queries
from checkpoints.compared import UNREADABLE, Pair
from checkpoints.diffs import places
from checkpoints.diffs.workspace import FILES
from checkpoints.services import keeping
from dashboard import phrasing, unseen
from dashboard.contexts.asked import number, words
from dashboard.contexts.comparing import files, page, paths
from dashboard.request import ProjectRequest, member
from dashboard.views.checkpoints import find

MOST_COUNT = 10_000_000
MOST_DOWNLOADED = 64 * 1024 * 1024
UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
DAMAGED = "This part is damaged and cannot be shown: {}. Run manage.py verify on the server."


@require_GET
@member()
def pick(request: ProjectRequest) -> HttpResponse:
    """Two that were chosen in the history, in the order of time."""
    chosen = list(dict.fromkeys(found for found in map(uuid_of, request.GET.getlist("pick")) if found))[:2]
    rows = {pk: queries.one(request.project.pk, pk) for pk in chosen}
    there = sorted((row for row in rows.values() if row), key=lambda row: (row.at, row.pk))
    if len(there) == 2:
        return redirect("compare", request.project.name, there[0].pk, there[1].pk)
    messages.warning(request, "Choose two checkpoints to compare.")
    if there:
        return redirect("agent_checkpoints", request.project.name, there[0].agent.name)
    return redirect("fleet", request.project.name)


@require_GET
@member()
def compare(request: ProjectRequest, a: UUID, b: UUID) -> HttpResponse:
    pair = pair_of(request, a, b)
    if (pair.old.at, pair.old.pk) > (pair.new.at, pair.new.pk):
        return redirect("compare", request.project.name, b, a)
    start, wanted = number(request.GET.get("from", "")) or 0, words(request.GET.get("q", "")).strip()
    pair = replace(pair, whole=bool(wanted))
    return render(request, "compare.html", page.whole(pair, request.actor, request.now, start, wanted))


@require_GET
@member()
def items(request: ProjectRequest, a: UUID, b: UUID) -> HttpResponse:
    """Items of a list that stayed."""
    pair, at = pair_of(request, a, b), paths.read(request.GET.get("at", ""))
    place, was, count = (number(request.GET.get(name, "")) for name in ("place", "was", "count"))
    if at is None or place is None or was is None or not count or max(place, was, count) > MOST_COUNT:
        raise Http404
    try:
        return part(request, pair, {"entries": page.stretch(pair, at, place, was, count)})
    except UNREADABLE as error:
        return part(request, pair, {"error": DAMAGED.format(error)})


@require_GET
@member()
def value(request: ProjectRequest, a: UUID, b: UUID) -> HttpResponse:
    """One place, with room."""
    return _place(request, pair_of(request, a, b), request.GET, mask=True)


@require_GET
@member()
def file(request: ProjectRequest, a: UUID, b: UUID) -> HttpResponse:
    """The lines of one file."""
    return _file(request, pair_of(request, a, b), request.GET, mask=True)


@require_POST
@member("decide")
def reveal(request: ProjectRequest, a: UUID, b: UUID) -> HttpResponse:
    """The same as value and file without a mask; written down first."""
    pair = pair_of(request, a, b)
    of_file = paths.file_read(request.POST.get("path", ""))
    place = paths.read(request.GET.get("at", "")) or paths.read(request.GET.get("was", ""))
    if of_file is None and place is None:
        raise Http404
    what = unseen.plain_name(of_file) if of_file is not None else paths.words(place or ())
    for checkpoint in (pair.old, pair.new):
        keeping.reveal(actor=request.actor, checkpoint=checkpoint, what=what, now=request.now)
    shown, asked = (_file, request.POST) if of_file is not None else (_place, request.GET)
    return shown(request, pair, asked, mask=False)


@require_POST
@member("decide")
def download(request: ProjectRequest, pk: UUID) -> HttpResponse:
    """The bytes of one file as bytes: never opened by the browser, under a name that is only a name."""
    found, path = find(request, pk), paths.file_read(request.POST.get("path", ""))
    if path is None or found.workspace is None:
        raise Http404
    pair = Pair(found, found)
    try:
        entry = places.entry(bytes(found.workspace), path, pair.fetch)
        if entry is None or entry.kind not in FILES:
            raise Http404
        if entry.size > MOST_DOWNLOADED:
            return _too_large(request, entry.size)
        data = places.files([entry], pair.fetch)[entry.name]
    except UNREADABLE as error:
        return _said(request, DAMAGED.format(error), 409)
    keeping.download(actor=request.actor, checkpoint=found, path=unseen.plain_name(path), now=request.now)
    headers = {
        "Content-Disposition": f'attachment; filename="{safe_name(path)}"',
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return HttpResponse(data, content_type="application/octet-stream", headers=headers)


def safe_name(path: bytes) -> str:
    """The last part of a path with nothing in it that a shell, a browser or a file system could misread."""
    name = path.rpartition(b"/")[2].decode("ascii", "replace")
    return UNSAFE.sub("_", name).lstrip(".-")[-100:].lstrip(".-") or "file"


def _place(request: ProjectRequest, pair: Pair, asked: Any, *, mask: bool) -> HttpResponse:
    at, was = (paths.read(asked.get(name, "")) for name in ("at", "was"))
    try:
        row = page.one(pair, at, was, mask=mask)
    except UNREADABLE as error:
        return part(request, pair, {"error": DAMAGED.format(error)})
    if row is None:
        raise Http404
    return part(request, pair, {"entries": [row], "revealed": not mask})


def _file(request: ProjectRequest, pair: Pair, asked: Any, *, mask: bool) -> HttpResponse:
    path, was = (paths.file_read(asked.get(name, "")) for name in ("path", "was"))
    if path is None:
        raise Http404
    try:
        found = files.one(pair, path, was if was is not None else path, mask=mask)
    except UNREADABLE as error:
        return part(request, pair, {"error": DAMAGED.format(error)})
    if found is None:
        raise Http404
    return part(request, pair, {"file": found, "revealed": not mask, "beside": "beside" in asked})


def part(request: ProjectRequest, pair: Pair, shown: dict[str, Any]) -> HttpResponse:
    """The part alone for htmx; else in a page of its own. Nothing of it is kept by a browser."""
    around = {
        "project": request.project, "agent": pair.new.agent, "here": page.address(pair), "now": request.now,
        "may_reveal": page.may_reveal(request.actor, pair), "pair": pair, **shown,
    }  # fmt: skip
    alone = request.headers.get("HX-Request") == "true"
    response = render(request, "partials/compare_part.html" if alone else "compare_part.html", around)
    response["Cache-Control"] = "no-store"
    return response


def _too_large(request: ProjectRequest, size: int) -> HttpResponse:
    most = phrasing.size(MOST_DOWNLOADED)
    return _said(request, f"The file has {phrasing.size(size)}; a browser is given at most {most}.", 413)


def _said(request: ProjectRequest, words: str, status: int) -> HttpResponse:
    shown = {
        "project": request.project,
        "error": words,
        "here": reverse("fleet", args=[request.project.name]),
    }
    return render(request, "compare_part.html", shown, status=status)


def pair_of(request: ProjectRequest, a: UUID, b: UUID) -> Pair:
    found = compared.pair(request.project.pk, a, b)
    if found is None:
        raise Http404
    return found


def uuid_of(text: str) -> UUID | None:
    try:
        return UUID(text) if 32 <= len(text) <= 36 else None
    except ValueError:
        return None
