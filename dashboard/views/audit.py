"""The audit log as a list, and as a file."""

from __future__ import annotations

from django.http import HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_GET

from dashboard import fragments, tables
from dashboard.contexts import audit as context
from dashboard.request import ProjectRequest, member


@require_GET
@member()
def audit(request: ProjectRequest) -> HttpResponse:
    shown = context.listed(request.project, request.GET, request.now)
    if request.headers.get("HX-Target") == "audit":
        response = fragments.fresh(render_to_string("partials/audit_list.html", shown, request))
    else:
        response = render(request, "audit.html", shown)
    patch_vary_headers(response, ["HX-Request", "HX-Target"])
    return response


@require_GET
@member()
def export(request: ProjectRequest, form: str) -> HttpResponse:
    """What the filters find, to take away."""
    name = f"audit-{request.project.name}-{request.now:%Y%m%d-%H%M}"
    return tables.file(context.exported(request.project, request.GET, form), form, name)
