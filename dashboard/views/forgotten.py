"""A forgotten password: allauth's own page, and words in its place where no mail can be sent.

Known and unknown addresses get the same answer: both are sent a mail, so a mail server that fails tells
nobody who signs in here.
"""

from __future__ import annotations

import logging

from allauth.account.views import password_reset
from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_http_methods

log = logging.getLogger("sickbay.mail")


@require_http_methods(["GET", "POST"])
def forgotten(request: HttpRequest) -> HttpResponseBase:
    if not settings.EMAIL_HOST:
        return render(request, "account/no_mail.html")
    try:
        answer: HttpResponseBase = password_reset(request)
        return answer
    except OSError as error:  # every refusal of smtplib is one
        log.warning("the mail for a new password could not be sent: %s", error)
        return render(request, "account/no_mail.html", {"failed": True}, status=503)
