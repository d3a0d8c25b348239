"""The first administrator's way in: a link that works once.

Opening it changes nothing (chats and mail scanners open links); the button does. The page says no more
about a dead link than that it is dead.
"""

from __future__ import annotations

from allauth.account.internal.flows.login import record_authentication
from django import forms
from django.contrib.auth import login
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from agents.models import User
from agents.services import sign_in_links


class WelcomeForm(forms.Form):
    email = forms.EmailField(
        label="Your e-mail address", widget=forms.EmailInput(attrs={"autocomplete": "username"})
    )
    password = forms.CharField(
        label="A password, ten characters or more",
        strip=False,
        max_length=200,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )

    def __init__(self, user: User, data: object = None) -> None:
        known = "" if user.email == sign_in_links.NOBODY_YET else user.email
        super().__init__(data, initial={"email": known})  # type: ignore[arg-type]
        self.fields["email"].disabled = bool(known)  # who was invited is who was meant
        self.user = user

    def clean_email(self) -> str:
        email: str = self.cleaned_data["email"].lower()
        if User.objects.filter(email=email).exclude(pk=self.user.pk).exists():
            raise ValidationError("Somebody else signs in with this address.")
        return email

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        validate_password(password, User(email=self.cleaned_data.get("email", "")))
        return password


@require_http_methods(["GET", "POST"])
@never_cache
@sensitive_post_parameters("password")
def first_admin(request: HttpRequest, secret: str) -> HttpResponse:
    now = timezone.now()
    link = sign_in_links.find(secret, now)
    if link is None:
        return render(request, "account/first_admin.html", {"form": None}, status=404)
    form = WelcomeForm(link.user, request.POST if request.method == "POST" else None)
    if form.is_valid():
        chosen = form.cleaned_data
        if sign_in_links.take_up(link=link, email=chosen["email"], password=chosen["password"], now=now):
            user = User.objects.get(pk=link.user_id)
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
            record_authentication(request, user, method="password")
            return redirect("/")
        return render(request, "account/first_admin.html", {"form": None}, status=404)
    return render(request, "account/first_admin.html", {"form": form}, status=422 if form.is_bound else 200)
