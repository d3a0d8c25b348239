"""Fragments: the version first, then the HTML, and the same HTML for all who ask within 250 ms.

A thousand open pages fetch the same row when it changes. Whoever has it already (ETag) gets 304; of the
others the first renders and the rest within a quarter of a second get its bytes, in this process. The key
says everything the HTML depends on: topic, version, role. Nothing personal is in a fragment that is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.http import parse_etags, quote_etag

KEPT_S = 0.25

_kept: dict[Hashable, tuple[float, str]] = {}


def answer(request: HttpRequest, key: tuple[Hashable, ...], render: Callable[[], str]) -> HttpResponse:
    """304 when the browser has what `key` names; else the fragment, kept or rendered."""
    etag = quote_etag("-".join(str(part) for part in key).replace('"', ""))
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        return _private(HttpResponse(status=304), etag)
    return _private(HttpResponse(kept(key, render)), etag)


def kept(key: Hashable, render: Callable[[], str]) -> str:
    """What was rendered for this key a moment ago, or now."""
    now = time.monotonic()
    found = _kept.get(key)
    if found is not None and now - found[0] < KEPT_S:
        return found[1]
    html = render()
    for stale in [key for key, (at, _) in list(_kept.items()) if now - at >= KEPT_S]:
        _kept.pop(stale, None)
    _kept[key] = now, html
    return html


def unchanged() -> HttpResponse:
    """204: htmx leaves the region as it is. For regions whose rows also change one by one, where the
    browser's own copy of an older answer must never come back."""
    return HttpResponse(status=204, headers={"Cache-Control": "no-store"})


def fresh(html: str) -> HttpResponse:
    return HttpResponse(html, headers={"Cache-Control": "no-store"})


def _private(response: HttpResponse, etag: str) -> HttpResponse:
    response["ETag"] = etag
    patch_cache_control(response, private=True, no_cache=True)
    patch_vary_headers(response, ["Cookie"])
    return response
