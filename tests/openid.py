"""A real OpenID provider on loopback: discovery, keys, authorisation by code with PKCE, tokens.

It is strict with its client (the code once, the right secret, address and verifier), and lies where a test
tells it to: `claims` go over what it would say, `signs_with` is the key that it signs with.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "sickbay-here", "a client's secret"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


KEY = new_key()
Asked = dict[str, str]


@dataclass
class OpenID:
    """`issuer` is its address. Whoever comes is `claims`, and is asked nothing."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    discovery: dict[str, Any] = field(default_factory=dict)
    signs_with: Any = KEY
    algorithm: str = "RS256"
    is_down: bool = False
    asked: list[Asked] = field(default_factory=list)
    codes: dict[str, Asked] = field(default_factory=dict)

    def authorize(self, asked: Asked) -> str:
        """Where the browser is sent back to."""
        assert asked["response_type"] == "code" and asked["client_id"] == CLIENT
        assert asked["code_challenge_method"] == "S256" and asked["nonce"]
        self.asked.append(asked)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, asked: Asked) -> dict[str, Any] | None:
        """The tokens for a code; None for a client that is not the one that asked."""
        given = self.codes.pop(asked["code"], None)
        digest = hashlib.sha256(asked["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if given is None or given["code_challenge"] != challenge or asked["client_secret"] != SECRET:
            return None
        if given["redirect_uri"] != asked["redirect_uri"]:
            return None
        now = int(time.time())
        says = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": given["nonce"]}
        said = {name: value for name, value in {**says, **self.claims}.items() if value is not None}
        id_token = jwt.encode(said, self.signs_with, algorithm=self.algorithm, headers={"kid": "one"})
        return {"access_token": "an access token", "token_type": "Bearer", "id_token": id_token}

    def documents(self) -> dict[str, Any]:
        key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()))
        paths = {"authorization": "authorize", "token": "token", "userinfo": "userinfo"}
        about = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in paths.items()}
        about |= {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        return {
            "/.well-known/openid-configuration": about | self.discovery,
            "/keys": {"keys": [key | {"kid": "one", "use": "sig", "alg": "RS256"}]},
            "/userinfo": self.userinfo,
        }


@contextlib.contextmanager
def running_openid() -> Iterator[OpenID]:
    served = OpenID()

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path == "/authorize":
                asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self._answer(302, b"", Location=served.authorize(asked))
                return
            self._say(served.documents().get(parts.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._say(served.token({name: values[0] for name, values in parse_qs(body).items()}))

        def _say(self, document: Any) -> None:
            status = 503 if served.is_down else 200 if document is not None else 400
            self._answer(status, json.dumps(document).encode())

        def _answer(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            length = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            for name, value in (length | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *said: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    served.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
