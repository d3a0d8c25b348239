"""The wire: four requests, each with a clear end.

    NotAnswered     nothing came: no network, no name, no server, too slow, 5xx. Try again later.
    NotSickbay      something answered that is not Sickbay: the URL is wrong.
    Refused         Sickbay answered no, and why.
    TokenRefused    Sickbay does not know the token, or not for this.

Redirects are not followed and the token goes to one host. An answer is read up to a limit and a deadline,
and believed only if it has the right type (_answers).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import msgspec
import urllib3

from sickbay import _answers
from sickbay._arguments import checked_url
from sickbay._errors import BadArgument, SickbayError, TokenRefused
from sickbay._lines import dumps

ANSWER_LIMIT = 1024 * 1024
MANY_NAMES, MANY_NODES = 8 * 1024 * 1024, 48 * 1024 * 1024
CONNECT, READ, TOTAL = 5.0, 15.0, 30.0
SMALL = 512
T = TypeVar("T")


class NotAnswered(SickbayError):
    """No answer came. `wait` is what the server asked to wait, in seconds."""

    wait: float = 0.0


class NotSickbay(SickbayError):
    """What answers at this URL is not Sickbay."""


class Refused(SickbayError):
    """Sickbay answered, and the answer is no."""

    def __init__(self, message: str, *, status: int, error: str, missing: list[str] | None = None) -> None:
        super().__init__(message)
        self.status, self.error, self.missing = status, error, missing or []


class Wire:
    """One server, one token. Safe among threads, except `events`, which belongs to the sender."""

    def __init__(self, url: str, token: str | None, heard: Callable[[], None] = lambda: None) -> None:
        self.url, self._heard = checked_url(url), heard
        self.token = _checked_token(token)
        self._pool = _pool(self.url)
        self._zstd: Any = None

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def register(self, body: dict[str, Any]) -> _answers.Registered:
        return self._json("POST", "agents/register/", _answers.Registered, dumps(body))

    def events(self, header: dict[str, Any], lines: list[bytes]) -> _answers.Stored:
        """Send the lines as they are; a 409 with the ordinary answer names conflicts and is no error."""
        body = b"\n".join([dumps(header), *lines, b""])
        headers = {"Content-Type": "application/x-ndjson"}
        if len(body) > SMALL:
            body = self._packed(body)
            headers["Content-Encoding"] = "zstd"
        return self._json("POST", "events/", _answers.Stored, body, headers, also=(409,))

    def commands(self, agent: str, query: dict[str, Any], wait: float = 0.0) -> _answers.Commands | None:
        """What waits beyond version `after`; with `wait`, None when nothing came in that time."""
        if wait:
            query = {**query, "wait": int(wait)}
        path = f"agents/{quote(agent)}/commands/?{urlencode(query)}"
        status, text, _ = self.ask("GET", path, None, {}, READ + wait)
        if status == 204:
            self._heard()
            return None
        return self._read(_answers.Commands, status, text)

    def receipt(self, agent: str, command: str, body: dict[str, Any]) -> str:
        path = f"agents/{quote(agent)}/commands/{quote(command, safe='')}/"
        return self._json("POST", path, _answers.Receipt, dumps(body)).state

    def checkpoints(
        self, agent: str, path: str, query: dict[str, Any], body: bytes | None, type: type[T]
    ) -> T:
        """A request about checkpoints: bytes there, JSON back."""
        where = f"agents/{quote(agent)}/{path}?{urlencode(query)}"
        headers = {"Content-Type": "application/octet-stream"} if body is not None else {}
        method = "GET" if body is None else "POST"
        status, text, _ = self.ask(method, where, body, headers, READ, MANY_NAMES)
        return self._read(type, status, text)

    def nodes(self, agent: str, query: dict[str, Any], names: bytes) -> tuple[bytes, int]:
        """The records of these nodes, and how many of the names the answer speaks of."""
        where = f"agents/{quote(agent)}/checkpoints/read/?{urlencode(query)}"
        headers = {"Content-Type": "application/octet-stream"}
        status, text, told = self.ask("POST", where, names, headers, READ, MANY_NODES)
        if status != 200:
            self._read(_answers.Receipt, status, text)
        count = told.get("Sickbay-Read", "")
        return text, int(count) if count.isdigit() and len(count) < 9 else len(names) // 32

    def close(self) -> None:
        self._pool.clear()

    def _packed(self, body: bytes) -> bytes:
        if self._zstd is None:
            import zstandard  # first needed when something is sent

            self._zstd = zstandard.ZstdCompressor(level=3)
        packed: bytes = self._zstd.compress(body)
        return packed

    def _json(
        self,
        method: str,
        path: str,
        type: type[T],
        body: bytes,
        headers: dict[str, str] | None = None,
        also: tuple[int, ...] = (),
    ) -> T:
        headers = {"Content-Type": "application/json", **(headers or {})}
        status, text, _ = self.ask(method, path, body, headers, READ)
        return self._read(type, status, text, also)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        read: float,
        limit: int = ANSWER_LIMIT,
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, body and headers of the answer; anything in between is one of the four ends."""
        deadline = time.monotonic() + max(TOTAL, read)
        try:
            answer = self._pool.request(
                method,
                f"{self.url}/api/v1/{path}",
                body=body,
                headers={**self.headers, "Accept-Encoding": "identity", **headers},
                timeout=urllib3.Timeout(connect=CONNECT, read=read),
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
            try:
                text = _bounded(answer, deadline, limit)
            except BaseException:
                answer.close()
                raise
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise NotAnswered(f"{self.url} does not answer: {_shown(error)}") from error
        if answer.status in (429, 502, 503, 504) or answer.status >= 500:
            raise _later(self.url, answer)
        if 300 <= answer.status < 400:
            where = _clean(answer.headers.get("Location", "elsewhere"))
            raise NotSickbay(f"{self.url} redirects to {where}: set SICKBAY_URL to the address of the server")
        return answer.status, text, answer.headers

    def _read(self, type: type[T], status: int, text: bytes, also: tuple[int, ...] = ()) -> T:
        if status == 200 or status in also:
            try:
                answer = msgspec.json.decode(text, type=type)
                self._heard()
                return answer
            except (ValueError, RecursionError) as error:
                if status == 200:
                    raise self._foreign(status) from error
        try:
            fault = msgspec.json.decode(text, type=_answers.Fault)
        except (ValueError, RecursionError) as error:
            raise self._foreign(status) from error
        said = _clean(f"{fault.message} {fault.what_to_do}")
        if status in (401, 403):
            raise TokenRefused(f"{self.url} refuses this agent's token: {said}")
        raise Refused(
            f"{self.url} answered {status}: {said}", status=status, error=fault.error, missing=fault.missing
        )

    def _foreign(self, status: int) -> NotSickbay:
        return NotSickbay(
            f"{self.url} answers ({status}), but not as Sickbay does: "
            "set SICKBAY_URL to the address that `manage.py up` prints"
        )


def _checked_token(token: str | None) -> str:
    """A token fit for a header; what was pasted with a stray character is said at once."""
    token = (token or "").strip()
    if not token.isascii() or not token.isprintable() or " " in token:
        raise BadArgument(
            "token= (or SICKBAY_TOKEN) holds characters that no token has: paste again what "
            "`manage.py token --scope agent` printed"
        )
    return token


def _pool(url: str) -> urllib3.PoolManager:
    """Straight to the server; https through the environment's proxy, if it names one."""
    options: dict[str, Any] = {"maxsize": 4, "block": False, "num_pools": 2}
    if url.startswith("https:"):
        import urllib.request

        options["ssl_context"] = ssl.create_default_context()
        proxy = urllib.request.getproxies().get("https")
        host = url.split("/")[2]
        if proxy and proxy.startswith("http") and not urllib.request.proxy_bypass(host):
            return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)


def _bounded(answer: urllib3.BaseHTTPResponse, deadline: float, limit: int) -> bytes:
    text = bytearray()
    while piece := answer.read1(65536):
        text += piece
        if len(text) > limit:
            raise ValueError(f"an answer of more than {limit} bytes")
        if time.monotonic() > deadline:
            raise ValueError("an answer that does not end")
    return bytes(text)


def _later(url: str, answer: urllib3.BaseHTTPResponse) -> NotAnswered:
    late = NotAnswered(f"{url} answered {answer.status}")
    asked = answer.headers.get("Retry-After", "")
    late.wait = min(300.0, float(asked)) if asked.isdigit() and len(asked) < 9 else 0.0
    return late


def _shown(error: Exception) -> str:
    """The innermost reason in one line, without addresses of objects."""
    reason: Any = getattr(error, "reason", None) or error
    text = str(reason).rpartition(">: ")[2] or str(reason)
    return _clean(text) or type(reason).__name__


def _clean(text: str) -> str:
    """What a stranger wrote, fit for a log: one line, printable, bounded."""
    return "".join(c if c.isprintable() else " " for c in text[:400]).strip()
