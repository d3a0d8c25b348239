"""A client for the operators' routes, for commands: what the server says is believed only in the right type.

    get, post, each     JSON as `type` (a msgspec Struct, or dict[str, Any]); `each` follows `next`
    memory, file        the bytes of a part of a checkpoint, and whether secrets in them were masked
    files               what is in its workspace

Every end is a SickbayError whose message is a sentence for a person: TokenRefused, NotAnswered, NotSickbay,
Refused (`error`, `status`). Texts come as the server sent them: whoever prints them makes them safe
(_shell.terminal).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Meta, Struct

from sickbay import _answers
from sickbay._errors import BadArgument, TokenRefused
from sickbay._lines import dumps
from sickbay._wire import NotSickbay, Refused, Wire

T = TypeVar("T")
Path = Annotated[str, Meta(max_length=65_536)]
JSON_LIMIT, PART_LIMIT = 32 * 1024 * 1024, 64 * 1024 * 1024 + 1024
PAGE, MOST_PAGES = 100, 20_000
READ = 60.0
WRONG_SCOPE = (
    "this is an agent's token: operators' commands need another. `manage.py token --scope operator` prints "
    "one; give it as --token or SICKBAY_OPERATOR_TOKEN"
)
UNKNOWN = (
    "the server knows no such token, or it expired or was revoked. `manage.py token --scope operator` prints "
    "one; give it as --token or SICKBAY_OPERATOR_TOKEN"
)


class Part(NamedTuple):
    """A part of a checkpoint. `masked`: a secret in it is not shown."""

    data: bytes
    masked: bool


class File(Struct):
    """What stands in a workspace: a file, an executable, a link, or a directory with nothing in it."""

    path: Path
    kind: _answers.Text
    size: _answers.Whole | None = None
    name: _answers.Text | None = None
    target: Path | None = None


class Operator:
    """One server, one operator's token.

    Args:
        url: the server's address; default: SICKBAY_URL.
        token: default: SICKBAY_OPERATOR_TOKEN, else SICKBAY_TOKEN.

    Raises BadArgument when one of them is missing.
    """

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        url = url or os.environ.get("SICKBAY_URL")
        token = token or os.environ.get("SICKBAY_OPERATOR_TOKEN") or os.environ.get("SICKBAY_TOKEN")
        if not url:
            raise BadArgument("no server is named: give --url, or set SICKBAY_URL to its address")
        if not token:
            raise BadArgument(
                "no token is given: `manage.py token --scope operator` prints one; give it as --token or "
                "SICKBAY_OPERATOR_TOKEN"
            )
        self._wire = Wire(url, token)

    @property
    def url(self) -> str:
        return self._wire.url

    def get(self, path: str, type: type[T], /, **query: Any) -> T:
        """The answer at a path below /api/v1/. None in the query is left out."""
        return self._json("GET", path, type, query, None)

    def post(self, path: str, said: dict[str, Any], type: type[T]) -> T:
        return self._json("POST", path, type, {}, dumps(said))

    def each(self, path: str, key: str, type: type[T], **query: Any) -> Iterator[T]:
        """The rows of a list, page after page as they are wanted; `limit` is of one page.

        A page without rows may have a next one: a search goes on behind what it looked at.
        """
        query.setdefault("limit", PAGE)
        for _ in range(MOST_PAGES):
            page = self.get(path, dict[str, Any], **query)
            try:
                rows = msgspec.convert(page.get(key), list[type])  # type: ignore[valid-type]
                following = msgspec.convert(page.get("next"), str | None)
            except (ValueError, RecursionError) as error:
                raise self._foreign(200) from error
            yield from rows
            is_last = not following or following == query.get("before")
            if is_last or len(following or "") > 16_384:
                return
            query["before"] = following

    def memory(self, checkpoint: str, path: str = "", *, reveal: bool = False) -> Part:
        """The JSON text of a checkpoint's memory, or of a place in it: `messages.3` or `["messages",3]`."""
        where = f"checkpoints/{quote(checkpoint, safe='')}/memory/"
        return self._part(where, {"path": path or None}, reveal=reveal)

    def files(self, checkpoint: str, under: str | None = None) -> Iterator[File]:
        """All files of a checkpoint's workspace, or those below a directory."""
        path = f"checkpoints/{quote(checkpoint, safe='')}/files/"
        return self.each(path, "files", File, under=under, limit=500)

    def file(self, checkpoint: str, path: str, *, reveal: bool = False) -> Part:
        """The bytes of one file, by its path as `files` tells it; of a link, where it leads."""
        steps = path.split("/")
        if not {"", ".", ".."}.isdisjoint(steps):
            raise BadArgument(f"{path!r:.200} is no path of a file: write it as the list of files does")
        named = "/".join(quote(step, safe="") for step in steps)
        return self._part(f"checkpoints/{quote(checkpoint, safe='')}/files/{named}", {}, reveal=reveal)

    def close(self) -> None:
        self._wire.close()

    def _part(self, path: str, query: dict[str, Any], *, reveal: bool) -> Part:
        asked = _query({**query, "reveal": "1" if reveal else None})
        status, data, headers = self._wire.ask("GET", path + asked, None, {}, READ, PART_LIMIT)
        if status != 200:
            raise self._refusal(status, data)
        return Part(data, headers.get("Sickbay-Masked") == "1")

    def _json(self, method: str, path: str, type: type[T], query: dict[str, Any], body: bytes | None) -> T:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        status, text, _ = self._wire.ask(method, path + _query(query), body, headers, READ, JSON_LIMIT)
        if status != 200:
            raise self._refusal(status, text)
        try:
            return msgspec.json.decode(text, type=type)
        except (ValueError, RecursionError) as error:
            raise self._foreign(status) from error

    def _refusal(self, status: int, text: bytes) -> Exception:
        try:
            fault = msgspec.json.decode(text, type=_answers.Fault)
        except (ValueError, RecursionError):
            return self._foreign(status)
        if status == 401:
            return TokenRefused(UNKNOWN)
        if status == 403:
            return TokenRefused(WRONG_SCOPE)
        said = f"{fault.message} {fault.what_to_do}".strip()
        return Refused(said, status=status, error=fault.error)

    def _foreign(self, status: int) -> NotSickbay:
        return NotSickbay(f"{self.url} answers ({status}), but not as Sickbay does: is SICKBAY_URL right?")


def _query(given: dict[str, Any]) -> str:
    said = {name: value for name, value in given.items() if value is not None}
    return f"?{urlencode(said)}" if said else ""
