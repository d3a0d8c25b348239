"""Signing in by an OpenID provider: allauth's `openid_connect`, and what it leaves out.

signature   allauth trusts the token because it came over TLS; here it is verified by the provider's keys,
            with an algorithm of ours, whatever the token's head says
nonce       allauth sends none; ours is made of the PKCE verifier, which only this browser's session has,
            so a token that was meant for another sign-in is refused
e-mail      is verified when the provider says `true`, and not when it says anything else
who         is issuer and subject together: another issuer under the same name is somebody else
questions   extra parameters and scopes come from nobody's address bar
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from urllib.parse import urlsplit

import jwt
from allauth.account.models import EmailAddress
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.models import SocialApp, SocialLogin, SocialToken
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.utils import generate_code_challenge
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.http import HttpRequest

from dashboard.identity import WELL_KNOWN

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
REQUIRED = ["iss", "sub", "aud", "exp", "iat"]
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
LEEWAY_S = 60
Claims = dict[str, Any]


def nonce_of(verifier: str) -> str:
    return hashlib.sha256(b"sickbay nonce\0" + verifier.encode()).hexdigest()


class Adapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]
    """One sign-in: what the provider says about itself, and the token that it hands out."""

    verifier = ""

    def get_provider(self) -> Provider:
        app = get_adapter(self.request).get_app(self.request, provider=self.provider_id)
        return Provider(self.request, app=app)

    @property
    def openid_config(self) -> dict[str, Any]:
        if not hasattr(self, "_config"):
            self._config = self._discovered()
        return self._config

    def get_access_token_data(
        self, request: HttpRequest, app: SocialApp, client: Any, pkce_code_verifier: str | None = None
    ) -> Any:
        self.verifier = pkce_code_verifier or ""
        return super().get_access_token_data(request, app, client, pkce_code_verifier)

    def complete_login(
        self, request: HttpRequest, app: SocialApp, token: SocialToken, **more: Any
    ) -> SocialLogin:
        claims = self._read(app, more["response"].get("id_token"))
        if "email" not in claims and "userinfo_endpoint" in self.openid_config:
            also = self._fetch_user_info(token.token)
            if also.get("sub") != claims["sub"]:
                raise OAuth2Error("what it says about the person is about somebody else")
            claims = {**also, **claims}
        return self.get_provider().sociallogin_from_response(request, {"id_token": claims})

    def _discovered(self) -> dict[str, Any]:
        issuer = str(self.get_provider().app.settings["server_url"]).rstrip("/")
        found = self._fetched(issuer + WELL_KNOWN)
        if str(found.get("issuer", "")).rstrip("/") != issuer:
            raise OAuth2Error(f"it calls itself {found.get('issuer')!r}, not {issuer!r}")
        if any(urlsplit(str(found.get(name, ""))).scheme not in ("https", "http") for name in ENDPOINTS):
            raise OAuth2Error("it does not say where to ask")
        return found

    def _read(self, app: SocialApp, token: Any) -> Claims:
        """The claims of a token that is the provider's, for us, of now, and of this sign-in."""
        if not isinstance(token, str):
            raise OAuth2Error("it handed out no identity")
        try:
            claims: Claims = jwt.decode(
                token, self._key_of(token), algorithms=ALGORITHMS, audience=app.client_id,
                issuer=self.openid_config["issuer"], leeway=LEEWAY_S, options={"require": REQUIRED},
            )  # fmt: skip
        except jwt.PyJWTError as error:
            raise OAuth2Error(f"its token is refused: {error}") from error
        if isinstance(claims["aud"], list) and len(claims["aud"]) > 1 and claims.get("azp") != app.client_id:
            raise OAuth2Error("its token is for another client")
        if not self.verifier or not hmac.compare_digest(
            str(claims.get("nonce", "")).encode(), nonce_of(self.verifier).encode()
        ):
            raise OAuth2Error("its token belongs to another sign-in")
        return claims

    def _key_of(self, token: str) -> jwt.PyJWK:
        keys = jwt.PyJWKSet.from_dict(self._fetched(self.openid_config["jwks_uri"])).keys
        named = jwt.get_unverified_header(token).get("kid")
        fit = [key for key in keys if key.public_key_use in (None, "sig") and named in (None, key.key_id)]
        if len(fit) != 1:
            raise OAuth2Error("its token is signed with a key that is not its own")
        return fit[0]

    def _fetched(self, address: str) -> dict[str, Any]:
        with get_adapter().get_requests_session() as session:
            answer = session.get(address)
            answer.raise_for_status()
            found = answer.json()
        if not isinstance(found, dict):
            raise OAuth2Error("its answer cannot be read")
        return found


class Provider(OpenIDConnectProvider):  # type: ignore[misc]
    oauth2_adapter_class = Adapter

    def get_pkce_params(self) -> dict[str, str]:
        params: dict[str, str] = generate_code_challenge()
        return {**params, "nonce": nonce_of(params["code_verifier"])}

    def get_auth_params_from_request(self, request: HttpRequest, action: str) -> dict[str, Any]:
        return {}

    def get_scope_from_request(self, request: HttpRequest) -> list[str]:
        return ["openid", "email", "profile"]

    def extract_uid(self, data: dict[str, Claims]) -> str:
        claims = data["id_token"]
        return hashlib.sha256(f"{claims['iss']}\0{claims['sub']}".encode()).hexdigest()

    def extract_extra_data(self, data: dict[str, Claims]) -> Claims:
        return {name: data["id_token"].get(name) for name in ("iss", "sub", "email")}

    def extract_email_addresses(self, data: dict[str, Claims]) -> list[EmailAddress]:
        claims = data["id_token"]
        email, said = str(claims.get("email") or "").lower(), claims.get("email_verified")
        return (
            [EmailAddress(email=email, verified=said is True or said == "true", primary=True)]
            if email
            else []
        )
