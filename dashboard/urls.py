"""The addresses of the screen. Everything of a project stands below `/p/<project>/`."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from dashboard import health
from dashboard.views import (
    agent,
    audit,
    checkpoints,
    compare,
    decide,
    effects,
    fleet,
    home,
    incidents,
    policy,
    roll_back,
    targets,
    tokens,
    welcome,
    wrong,
)
from dashboard.views.design import design
from dashboard.views.first_admin import first_admin
from dashboard.views.theme import choose as choose_theme
from dashboard.views.waiting_count import waiting_count

in_project: list[URLPattern] = [
    path("", fleet.fleet, name="fleet"),
    path("fleet/waiting/", fleet.waiting, name="fleet_waiting"),
    path("fleet/agents/", fleet.table, name="fleet_agents"),
    path("fleet/agents/<int:pk>/", fleet.row, name="fleet_row"),
    path("waiting/", waiting_count, name="waiting_count"),
    path("pause/", decide.pause, name="pause"),
    path("pause/ask/", decide.ask_pause, name="ask_pause"),
    path("agents/<str:name>/", agent.agent, name="agent"),
    path("agents/<str:name>/head/", agent.head, name="agent_head"),
    path("agents/<str:name>/runs/", agent.runs, name="agent_runs"),
    path("agents/<str:name>/checkpoints/", checkpoints.checkpoints, name="agent_checkpoints"),
    path("agents/<str:name>/policy/", policy.policy, name="agent_policy"),
    path("agents/<str:name>/policy/retention/", policy.keep, name="agent_retention"),
    path("agents/<str:name>/policy/tried/", policy.attempt, name="agent_retention_tried"),
    path("agents/<str:name>/pause/", agent.pause, name="agent_pause"),
    path("agents/<str:name>/start/", agent.start, name="agent_start"),
    path("agents/<str:name>/wrong/", wrong.wrong, name="agent_wrong"),
    path("agents/<str:name>/rollback/", roll_back.roll_back_agent, name="roll_back_agent"),
    path("agents/<str:name>/effects/<str:id>/answer/", effects.answer, name="answer_effect"),
    path("rollbacks/<uuid:id>/withdraw/", roll_back.withdraw_rollback, name="withdraw_rollback"),
    path("checkpoints/pick/", compare.pick, name="compare_pick"),
    path("checkpoints/<uuid:pk>/judge/", checkpoints.judge, name="checkpoint_judge"),
    path("checkpoints/<uuid:pk>/pin/", checkpoints.pin, name="checkpoint_pin"),
    path("checkpoints/<uuid:pk>/download/", compare.download, name="checkpoint_download"),
    path("checkpoints/<uuid:a>..<uuid:b>/", compare.compare, name="compare"),
    path("checkpoints/<uuid:a>..<uuid:b>/items/", compare.items, name="compare_items"),
    path("checkpoints/<uuid:a>..<uuid:b>/value/", compare.value, name="compare_value"),
    path("checkpoints/<uuid:a>..<uuid:b>/file/", compare.file, name="compare_file"),
    path("checkpoints/<uuid:a>..<uuid:b>/reveal/", compare.reveal, name="compare_reveal"),
    path("incidents/", incidents.incidents, name="incidents"),
    path("incidents/list/", incidents.incidents_list, name="incidents_list"),
    path("incidents/<int:pk>/", incidents.incident, name="incident"),
    path("incidents/<int:pk>/now/", incidents.incident_now, name="incident_now"),
    path("incidents/<int:pk>/bar/", incidents.incident_bar, name="incident_bar"),
    path("incidents/<int:pk>/acknowledge/", decide.acknowledge, name="acknowledge"),
    path("incidents/<int:pk>/resume/", decide.resume, name="resume"),
    path("incidents/<int:pk>/rollback/", roll_back.roll_back_incident, name="roll_back_incident"),
    path("incidents/<int:pk>/effects/answer/", effects.answer_all, name="answer_effects"),
    path("incidents/<int:pk>/stop/", decide.stop, name="stop"),
    path("incidents/<int:pk>/withdraw/", decide.withdraw, name="withdraw"),
    path("incidents/<int:pk>/start/", decide.start, name="start"),
    path("audit/", audit.audit, name="audit"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/make/", tokens.make, name="token_make"),
    path("tokens/<int:pk>/revoke/", tokens.revoke, name="token_revoke"),
    path("alerts/", targets.alerts, name="alerts"),
    path("alerts/now/", targets.now, name="alerts_now"),
    path("alerts/add/<str:kind>/", targets.add, name="target_add"),
    path("alerts/<int:pk>/change/", targets.change, name="target_change"),
    path("alerts/<int:pk>/turn/", targets.turn, name="target_turn"),
    path("alerts/<int:pk>/remove/", targets.remove, name="target_remove"),
    path("alerts/<int:pk>/test/", targets.test, name="target_test"),
    path("welcome/", welcome.welcome, name="welcome"),
    path("welcome/token/", welcome.token, name="welcome_token"),
    path("welcome/waiting/", welcome.waiting, name="welcome_waiting"),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home.home, name="home"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("welcome/<str:secret>/", first_admin, name="first_admin"),
    path("", include("checkpoints.urls")),
    path("", include("agents.urls")),
    path("accounts/", include("allauth.urls")),
    path("theme/", choose_theme, name="theme"),
    path("design/", design, name="design"),
    path("p/<slug:project>/", include(in_project)),
]
