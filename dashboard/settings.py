"""Settings: everything that differs between machines comes from the environment.

`SICKBAY_DATABASE_URL` and `SICKBAY_REDIS_URL` name the servers. Without them the embedded ones
under `SICKBAY_DATA` are used (`manage.py up` starts them and writes their addresses and its own
to `servers.json` there; every other command reads that file).
"""

from __future__ import annotations

import os
from pathlib import Path

from csp.constants import NONE, SELF

from dashboard.embedded.addresses import addresses, secret_key
from dashboard.identity import identity_settings
from dashboard.logs import logging_settings
from dashboard.mail import mail_settings, networks

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("SICKBAY_DATA", BASE_DIR / ".sickbay")).resolve()
SERVERS = addresses(os.environ, DATA_DIR)
SECRET_KEY = secret_key(os.environ, DATA_DIR)

DEBUG = False
ALLOWED_HOSTS = os.environ.get("SICKBAY_HOSTS", "localhost,127.0.0.1,[::1]").split(",")
CSRF_TRUSTED_ORIGINS = [o for o in os.environ.get("SICKBAY_ORIGINS", "").split(",") if o]
BEHIND_TLS = os.environ.get("SICKBAY_TLS") == "1"
SITE_URL = SERVERS.site_url

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.usersessions",
    "channels",
    "csp",
    "ninja",
    "django_htmx",
    "django_structlog",
    "template_partials",
    "agents",
    "checkpoints",
    "dashboard",
]
AUTH_USER_MODEL = "agents.User"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MIDDLEWARE = [
    "agents.api.problems.ErrorsInShape",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "dashboard.sessions.Noting",
    "django_htmx.middleware.HtmxMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
]
ROOT_URLCONF = "dashboard.urls"
ASGI_APPLICATION = "dashboard.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        **SERVERS.database,
        "CONN_MAX_AGE": 0,
        "OPTIONS": {"pool": {"min_size": 2, "max_size": 16, "timeout": 10}},
    }
}
REDIS_URL = SERVERS.redis_url
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL}}

AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_ADAPTER = "dashboard.sign_in.ClosedDoor"
SOCIALACCOUNT_ADAPTER = "dashboard.sign_in.ByInvitation"
IDENTITY = identity_settings(os.environ)
SOCIALACCOUNT_PROVIDERS = IDENTITY.providers
OIDC_NAME: str = IDENTITY.name
OIDC_DOMAINS: list[str] = IDENTITY.domains
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if BEHIND_TLS else 0  # the proxy's X-Forwarded-For names who asks
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = os.environ.get("SICKBAY_TLS") != "1"  # browsers allow localhost alone
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "connect-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATIC_ROOT = (
    os.environ.get("SICKBAY_STATIC") or None
)  # where collectstatic puts them; served from static/ without
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 3600

CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_POOL = "threads"
CELERY_WORKER_CONCURRENCY = 12  # of these at most sending.AT_ONCE wait for receivers
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULE = {
    "pulse": {"task": "dashboard.tasks.pulse", "schedule": 5.0, "options": {"expires": 5}},
    "alive": {"task": "dashboard.tasks.say_alive", "schedule": 60.0, "options": {"expires": 50}},
    "watchdog": {"task": "agents.tasks.look", "schedule": 5.0, "options": {"expires": 5}},
    "alerts": {"task": "agents.tasks.send_alerts", "schedule": 5.0, "options": {"expires": 5}},
    "daily": {"task": "agents.tasks.test_channels", "schedule": 60.0, "options": {"expires": 60}},
    "follow_up": {"task": "agents.tasks.follow_up", "schedule": 2.0, "options": {"expires": 2}},
    "escalation": {"task": "agents.tasks.escalate", "schedule": 2.0, "options": {"expires": 2}},
    "minutes": {"task": "agents.tasks.close_minute", "schedule": 5.0, "options": {"expires": 5}},
    "standings": {"task": "checkpoints.tasks.settle", "schedule": 15.0, "options": {"expires": 15}},
    "watches": {"task": "checkpoints.tasks.watch", "schedule": 5.0, "options": {"expires": 5}},
    "retention": {"task": "checkpoints.tasks.retain", "schedule": 900.0, "options": {"expires": 600}},
    "partitions": {"task": "agents.tasks.ensure_partitions", "schedule": 3600.0, "options": {"expires": 600}},
}
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 5,
}

DATA_UPLOAD_MAX_MEMORY_SIZE = 16 * 1024 * 1024

globals().update(mail_settings(os.environ.get("SICKBAY_SMTP_URL", "")))
DEFAULT_FROM_EMAIL = os.environ.get("SICKBAY_MAIL_FROM", "sickbay@localhost")
ALIVE_URL = os.environ.get("SICKBAY_ALIVE_URL", "")
ALERT_ALLOW_CIDRS = networks(os.environ.get("SICKBAY_ALERT_ALLOW_CIDRS", ""))

LOGGING = logging_settings(os.environ.get("SICKBAY_LOG", "warning"))
DJANGO_STRUCTLOG_USER_ID_FIELD = ""
