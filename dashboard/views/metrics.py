"""`/metrics` for Prometheus: one project's numbers, for whoever brings an operator's token of it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import redis
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.models import Scope, Token
from agents.queries import metrics as queries
from agents.services import tokens
from dashboard import health

GONE = 1e9  # seconds; of a pulse that nobody has felt


@require_GET
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    token = _token(request)
    if token is None:
        answer = HttpResponse("An operator's token is needed: Authorization: Bearer sb_…\n", status=401)
        answer["WWW-Authenticate"] = "Bearer"
        return answer
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Numbers(token))
    return HttpResponse(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _token(request: HttpRequest) -> Token | None:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    found = tokens.find(text.strip(), timezone.now()) if scheme.lower() == "bearer" else None
    return found if found is not None and found.scope == Scope.OPERATOR else None


class _Numbers(Collector):
    def __init__(self, token: Token) -> None:
        self._project = token.project

    def collect(self) -> Iterator[Metric]:
        said = queries.of_project(self._project.pk, timezone.now())
        yield self._each("sickbay_agents", "Agents by status.", "status", dict(said.agents))
        yield self._each("sickbay_open_incidents", "Undecided incidents.", "state", dict(said.incidents))
        yield self._one(
            "sickbay_oldest_unacknowledged_seconds", "Age of the oldest open one.", said.oldest_unacknowledged
        )
        yield self._one("sickbay_alerts_waiting", "Messages that are due and not sent.", said.alerts_waiting)
        yield self._one("sickbay_oldest_alert_seconds", "How long the oldest is due.", said.oldest_alert)
        yield self._one(
            "sickbay_oldest_command_seconds",
            "Age of the oldest command that no run took.",
            said.oldest_command,
        )
        yield self._each(
            "sickbay_first_alert_seconds", "Opening to first alert handed over, incidents of the last hour.",
            "of", {"mean": said.first_alert_mean, "max": said.first_alert_max},
        )  # fmt: skip
        yield self._each("sickbay_pulse_age_seconds", "Since a part was last felt.", "part", pulse_ages())

    def _one(self, name: str, words: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, words, labels=["project"])
        family.add_metric([self._project.name], value)
        return family

    def _each(self, name: str, words: str, label: str, values: dict[str, float]) -> Metric:
        family = GaugeMetricFamily(name, words, labels=["project", label])
        for key, value in values.items():
            family.add_metric([self._project.name, key], value)
        return family


def pulse_ages() -> dict[str, float]:
    """Of beat, of the worker, and of the broker between them."""
    now = time.time()
    try:
        with health.valkey() as client:
            pulses = client.mget(health.pulse_key(part) for part in health.PARTS)
    except redis.RedisError:
        return {"broker": GONE, **dict.fromkeys(health.PARTS, GONE)}
    return {
        "broker": 0.0,
        **{part: now - float(at) if at else GONE for part, at in zip(health.PARTS, pulses, strict=True)},
    }
