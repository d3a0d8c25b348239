"""Signing in by an OpenID provider: who comes in, as whom, and every way in which nobody does."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from django.core.exceptions import ImproperlyConfigured
from django.test import Client
from django.utils import timezone

from agents.models import Membership, Project, Role, SignInLink, User
from agents.services import invitations, sign_in_links
from dashboard.identity import identity_settings
from tests.openid import CLIENT, SECRET, OpenID, new_key, running_openid

pytestmark = pytest.mark.django_db
THERE = "/accounts/oidc/sso/login/"
PASSWORD = "a long enough one"
DORA = {"sub": "dora-1", "email": "Dora@example.com", "email_verified": True, "name": "Dora"}


@pytest.fixture
def openid(settings: Any) -> Iterator[OpenID]:
    with running_openid() as running:
        running.claims = dict(DORA)
        use(settings, running)
        yield running


def use(settings: Any, openid: OpenID, **more: str) -> None:
    environ = {
        "SICKBAY_OIDC_URL": openid.issuer, "SICKBAY_OIDC_CLIENT_ID": CLIENT, "SICKBAY_OIDC_SECRET": SECRET,
        "SICKBAY_OIDC_NAME": "Example ID",
    } | more  # fmt: skip
    found = identity_settings(environ)
    settings.SOCIALACCOUNT_PROVIDERS = found.providers
    settings.OIDC_NAME, settings.OIDC_DOMAINS = found.name, found.domains


def invited(project: Project, email: str = "dora@example.com") -> User:
    role = Role.RESPONDER
    invitations.invite(email=email, role=role, project=project, by="root@box", now=timezone.now())
    return User.objects.get(email=email)


def goes(client: Client, query: str = "") -> str:
    """Press the button; the provider's address that the browser is sent to."""
    page = client.post(THERE + query).content.decode()
    found = re.search(r'content="0;url=([^"]+)"', page)
    assert found, page
    return html.unescape(found[1])


def comes_back(client: Client, address: str) -> Any:
    """What the browser does with the provider's answer."""
    answer = requests.get(address, allow_redirects=False, timeout=5)
    parts = urlsplit(answer.headers["Location"])
    return client.get(f"{parts.path}?{parts.query}")


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_an_invited_person_comes_in_with_the_role_of_the_invitation(
    client: Client, openid: OpenID, project: Project
) -> None:
    """Dora, whose address the provider vouches for, is a responder; her link works no more."""
    dora = invited(project)
    answer = comes_back(client, goes(client, "?next=/p/main/incidents/"))
    assert (answer.status_code, answer["Location"]) == (302, "/p/main/incidents/")
    assert client.session["_auth_user_id"] == str(dora.pk)
    assert Membership.objects.get(user=dora).role == "responder"
    assert client.get("/p/main/").status_code == 200
    assert not SignInLink.objects.filter(expires_at__gt=timezone.now()).exists()


def test_she_comes_again_as_the_same_subject(client: Client, openid: OpenID, project: Project) -> None:
    """Whatever address the provider gives her by then."""
    dora = invited(project)
    comes_back(client, goes(client))
    openid.claims |= {"email": "dora.married@example.com"}
    again = Client()
    comes_back(again, goes(again))
    assert again.session["_auth_user_id"] == str(dora.pk) and User.objects.count() == 1


def test_what_is_asked_for_is_bound_to_this_browser(openid: OpenID, client: Client) -> None:
    """PKCE, state and nonce, each new for each sign-in, and nothing that the address bar adds."""
    asked = [goes(client, "?auth_params=nonce%3Dx%26redirect_uri%3Dhttps://evil.example&scope=all")]
    asked.append(goes(client))
    first, second = ({k: v[0] for k, v in parse_qs(urlsplit(one).query).items()} for one in asked)
    assert first["code_challenge_method"] == "S256" and set(first["scope"].split()) == {
        "openid", "email", "profile"
    }  # fmt: skip
    assert first["redirect_uri"] == "http://testserver/accounts/oidc/sso/login/callback/"
    assert all(first[name] != second[name] for name in ("code_challenge", "state", "nonce"))


LIES: dict[str, dict[str, Any]] = {
    "another nonce": {"nonce": "of somebody else"},
    "no nonce": {"nonce": None},
    "another client": {"aud": "another-client"},
    "several clients": {"aud": [CLIENT, "another-client"]},
    "another issuer": {"iss": "https://evil.example"},
    "over": {"exp": int(time.time()) - 3_600},
    "never over": {"exp": None},
    "nobody": {"sub": None},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_token_that_is_not_for_this_sign_in_is_refused(
    lie: str, client: Client, openid: OpenID, project: Project
) -> None:
    """However well it is signed."""
    invited(project)
    openid.claims |= LIES[lie]
    answer = comes_back(client, goes(client))
    assert answer.status_code == 401 and "Not signed in" in answer.content.decode()
    assert not is_in(client) and not SocialAccount.objects.exists()


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(new_key(), "RS256"), (None, "none"), ("x" * 64, "HS256"), ("secret" * 10, "HS512")],
)
def test_a_wrong_signature_is_refused(
    key: Any, algorithm: str, client: Client, openid: OpenID, project: Project
) -> None:
    """Another key under the same name, none at all, and a secret where a key belongs."""
    invited(project)
    openid.signs_with, openid.algorithm = key, algorithm
    assert comes_back(client, goes(client)).status_code == 401
    assert not is_in(client)


def test_another_browsers_answer_is_refused(openid: OpenID, project: Project) -> None:
    """The state is of the session that asked: nobody is signed in by a link that somebody sends them."""
    invited(project)
    eve, victim = Client(), Client()
    assert comes_back(victim, goes(eve)).status_code == 401
    assert not is_in(victim)


def test_an_answer_works_once(client: Client, openid: OpenID, project: Project) -> None:
    """Seen by somebody else, in a log or over a shoulder, it opens nothing."""
    invited(project)
    location = requests.get(goes(client), allow_redirects=False, timeout=5).headers["Location"]
    path = location.removeprefix("http://testserver")
    assert client.get(path).status_code == 302
    assert client.get(path).status_code == 401
    assert Client().get(path).status_code == 401


def test_a_made_up_state_is_refused(client: Client, openid: OpenID, project: Project) -> None:
    """The right code with a state that nobody handed out."""
    invited(project)
    location = requests.get(goes(client), allow_redirects=False, timeout=5).headers["Location"]
    code = parse_qs(urlsplit(location).query)["code"][0]
    answer = client.get(f"{THERE}callback/?{urlencode({'code': code, 'state': 'made-up'})}")
    assert answer.status_code == 401 and not is_in(client)


@pytest.mark.parametrize("said", [False, None, "false", "yes", 1, "", []])
def test_an_address_that_is_not_verified_opens_nothing(
    said: Any, client: Client, openid: OpenID, project: Project
) -> None:
    """Only `true` is true: an invited person's account is not taken by whoever types their address."""
    invited(project)
    openid.claims |= {"email_verified": said}
    answer = comes_back(client, goes(client))
    assert answer.status_code == 403 and "vouch" in answer.content.decode()
    assert not is_in(client) and not SocialAccount.objects.exists()


def test_who_was_not_invited_stays_outside(client: Client, openid: OpenID) -> None:
    """No account is made for them, and the page says whom to ask."""
    answer = comes_back(client, goes(client))
    assert answer.status_code == 403 and "dora@example.com was not invited" in answer.content.decode()
    assert not is_in(client) and not User.objects.exists()


def test_an_allowed_domain_comes_in_without_a_role(client: Client, openid: OpenID, settings: Any) -> None:
    """Known from then on, and in no project until somebody gives them a role."""
    use(settings, openid, SICKBAY_OIDC_DOMAINS="example.com, example.org")
    assert comes_back(client, goes(client)).status_code == 302
    user = User.objects.get()
    assert (user.email, user.name, user.has_usable_password()) == ("dora@example.com", "Dora", False)
    assert not user.memberships.exists() and not user.is_superuser
    page = client.get("/")
    assert page.status_code == 403 and "no project yet" in page.content.decode()


@pytest.mark.parametrize(
    "email",
    ["dora@evil.example", "dora@sub.example.com", "dora@example.com.evil.example", "example.com", "a@b@c"],
)
def test_another_domain_does_not(email: str, client: Client, openid: OpenID, settings: Any) -> None:
    """The whole of what stands behind the last @, and nothing like it."""
    use(settings, openid, SICKBAY_OIDC_DOMAINS="example.com")
    openid.claims |= {"email": email}
    assert comes_back(client, goes(client)).status_code == 403
    assert not User.objects.exists()


def test_an_account_with_a_password_is_not_taken_over(client: Client, openid: OpenID, alice: User) -> None:
    """An address alone opens nothing that somebody holds; its password stays, and so do its sessions."""
    openid.claims |= {"email": alice.email}
    answer = comes_back(client, goes(client))
    assert answer.status_code == 403 and "signs in with a password" in answer.content.decode()
    alice.refresh_from_db()
    assert not is_in(client) and alice.check_password(PASSWORD)


def test_she_connects_it_from_her_own_account(client: Client, openid: OpenID, alice: User) -> None:
    """Signed in, and with her own address; from then on it opens her account."""
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    openid.claims |= {"email": alice.email}
    assert comes_back(client, goes(client, "?process=connect")).status_code == 302
    again = Client()
    comes_back(again, goes(again))
    assert again.session["_auth_user_id"] == str(alice.pk)


def test_nobody_connects_another_address(client: Client, openid: OpenID, alice: User) -> None:
    """Nor is anything connected for whoever is not signed in."""
    client.post("/accounts/login/", {"login": alice.email, "password": PASSWORD})
    assert comes_back(client, goes(client, "?process=connect")).status_code == 403
    assert not SocialAccount.objects.exists()
    assert Client().post(f"{THERE}?process=connect")["Location"].startswith("/accounts/login/")


def test_an_address_that_was_handed_on_is_not_its_former_owner(
    client: Client, openid: OpenID, project: Project
) -> None:
    """Another subject with Dora's address is another person."""
    invited(project)
    comes_back(client, goes(client))
    openid.claims |= {"sub": "dora-2"}
    other = Client()
    assert comes_back(other, goes(other)).status_code == 403 and not is_in(other)


def test_the_same_subject_elsewhere_is_somebody_else(
    client: Client, openid: OpenID, project: Project, settings: Any
) -> None:
    """A provider is changed in the settings; its `dora-1` is not the former one's."""
    invited(project)
    comes_back(client, goes(client))
    with running_openid() as another:
        another.claims = {**DORA, "email": "eve@example.com"}
        use(settings, another)
        other = Client()
        assert comes_back(other, goes(other)).status_code == 403 and not is_in(other)


def test_who_is_switched_off_stays_outside(client: Client, openid: OpenID, project: Project) -> None:
    """Known or not, by this door too."""
    user = invited(project)
    comes_back(client, goes(client))
    User.objects.filter(pk=user.pk).update(is_active=False)
    other = Client()
    comes_back(other, goes(other))
    assert not is_in(other)


def test_the_address_may_come_from_userinfo_of_the_same_subject(
    client: Client, openid: OpenID, project: Project
) -> None:
    """Some providers say it there; what is said of another subject counts for nothing."""
    invited(project)
    openid.claims = {"sub": "dora-1"}
    openid.userinfo = {**DORA, "sub": "eve"}
    assert comes_back(client, goes(client)).status_code == 401 and not is_in(client)
    openid.userinfo = dict(DORA)
    assert comes_back(client, goes(client)).status_code == 302 and is_in(client)


@pytest.mark.parametrize(
    "discovery",
    [{"issuer": "https://evil.example"}, {"token_endpoint": None}, {"jwks_uri": "file:///etc/passwd"}],
)
def test_a_provider_that_is_another_is_not_asked(
    discovery: dict[str, Any], client: Client, openid: OpenID
) -> None:
    """What it says about itself has to be what was configured."""
    openid.discovery = discovery
    assert client.post(THERE).status_code == 401


def test_a_provider_that_is_down_is_said(client: Client, openid: OpenID, project: Project) -> None:
    """Before going there, and on the way back."""
    invited(project)
    address = goes(client)
    location = requests.get(address, allow_redirects=False, timeout=5).headers["Location"]
    openid.is_down = True
    assert client.post(THERE).status_code == 401
    assert client.get(location.removeprefix("http://testserver")).status_code == 401 and not is_in(client)


def test_turning_back_there_is_no_error(client: Client, openid: OpenID) -> None:
    """Whoever presses Cancel at the provider reads that nothing was changed."""
    state = parse_qs(urlsplit(goes(client)).query)["state"][0]
    answer = client.get(f"{THERE}callback/?error=access_denied&state={state}", follow=True)
    assert "You turned back" in answer.content.decode()


def test_without_settings_there_is_no_door(client: Client) -> None:
    """No button, and nothing behind its address."""
    assert "Sign in by" not in client.get("/accounts/login/").content.decode()
    assert client.post(THERE).status_code == 404
    assert client.get(f"{THERE}callback/?code=x&state=y").status_code == 404


def test_the_button_is_on_the_door(client: Client, openid: OpenID) -> None:
    """With the provider's name; the form takes a token, and GET goes nowhere."""
    assert "Sign in by Example ID" in client.get("/accounts/login/").content.decode()
    assert 'http-equiv="refresh"' not in client.get(THERE).content.decode()
    assert Client(enforce_csrf_checks=True).post(THERE).status_code == 403


def test_nobody_signs_up_past_it(client: Client, openid: OpenID) -> None:
    """The form in which allauth would ask for another address is closed."""
    comes_back(client, goes(client))
    assert client.get("/accounts/3rdparty/signup/").status_code == 404
    client.post("/accounts/3rdparty/signup/", {"email": "eve@example.com"})
    assert not User.objects.exists()


@pytest.mark.parametrize(
    "next_", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:1"]
)
def test_the_way_back_stays_here(next_: str, client: Client, openid: OpenID, project: Project) -> None:
    """Whatever stands in the address that somebody sent."""
    invited(project)
    assert comes_back(client, goes(client, f"?{urlencode({'next': next_})}"))["Location"] == "/"


@pytest.mark.parametrize(
    "environ",
    [
        {"SICKBAY_OIDC_URL": "http://id.example.com", "SICKBAY_OIDC_CLIENT_ID": "x"},
        {"SICKBAY_OIDC_URL": "id.example.com", "SICKBAY_OIDC_CLIENT_ID": "x"},
        {"SICKBAY_OIDC_URL": "https://id.example.com"},
    ],
)
def test_half_a_setting_is_said_at_the_start(environ: dict[str, str]) -> None:
    """Not at 3 am by whoever presses the button."""
    with pytest.raises(ImproperlyConfigured, match="SICKBAY_OIDC"):
        identity_settings(environ)


def test_an_invitation_cannot_be_taken_up_as_somebody_else(client: Client, project: Project) -> None:
    """The address is the invited one, whatever the form is sent: it is what roles are given to."""
    user = invited(project)
    link = sign_in_links.issue(user=user, now=timezone.now())
    client.post(f"/welcome/{link}/", {"email": "ceo@example.com", "password": "correct horse battery"})
    user.refresh_from_db()
    assert user.email == "dora@example.com" and user.has_usable_password()


def test_nobody_changes_their_own_address(client: Client, alice: User) -> None:
    """Nor adds one: the next invitation of that address would be theirs."""
    client.force_login(alice)
    assert client.post("/accounts/email/", {"action_add": "", "email": "ceo@example.com"}).status_code == 405
    assert client.get("/accounts/confirm-email/").status_code == 404
    assert "alice@example.com" in client.get("/accounts/email/").content.decode()
