"""What a developer gave to `Agent(…)`, checked at once: a wrong argument says what to write instead."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sickbay import _memory
from sickbay._errors import BadArgument
from sickbay._memory import Memory
from sickbay.budget import Budget

if TYPE_CHECKING:
    from sickbay._transient import More

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
LONGEST_SPAN = timedelta(days=366)  # the server takes no more
LONGEST = {"about": 500, "owner": 200, "runbook": 500, "while_paused": 500, "code_version": 200, "model": 200}


@dataclass(frozen=True, slots=True)
class FailureBudget(Budget):
    """How many failures an agent may spend before a human must look. Both limits bite; the hour rolls.

    Args:
        max_consecutive: failures in a row that pause it (default 3).
        max_hourly: failures within any 60 minutes that pause it, over all instances (default 10).

    Raises:
        BadArgument: a limit is no whole number of at least 1.

    Example:
        FailureBudget(max_consecutive=3, max_hourly=10)
    """

    def __post_init__(self) -> None:
        for name in ("max_consecutive", "max_hourly"):
            limit = getattr(self, name)
            if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 1000:
                raise BadArgument(
                    f"FailureBudget({name}={limit!r}): write a whole number from 1 to 1000, "
                    f"such as {name}={3 if name == 'max_consecutive' else 10}"
                )


@dataclass(eq=False, repr=False)
class Arguments:
    """An agent's arguments, checked, with what the environment gave."""

    name: str
    instance: str
    url: str | None
    token: str | None
    home: Path
    instructions: str
    memory: Any
    workspace: Path | None
    budget: Budget
    checkpoint_every: timedelta
    every: timedelta | None
    grace: timedelta | None
    about: str
    owner: str
    runbook: str
    while_paused: str
    code_version: str
    model: str
    heal: bool
    shared_workspace: bool
    passes: tuple[type[BaseException], ...]
    transient: More
    redact: Callable[[str], str] | None
    has_memory: bool


def checked(given: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Arguments:
    """The arguments, or BadArgument with the sentence to act on."""
    known = [name for name in Arguments.__dataclass_fields__ if name != "has_memory"]
    if wrong := [name for name in given if name not in known]:
        raise BadArgument(unknown(f"Agent({given['name']!r:.80})", wrong, known))
    env = os.environ if environ is None else environ
    url = given["url"] or env.get("SICKBAY_URL") or None
    url = None if url is None else checked_url(url)
    texts = {key: _text(key, given[key], longest) for key, longest in LONGEST.items()}
    return Arguments(
        name=_name(given["name"]),
        instance=_instance(given["instance"] or env.get("SICKBAY_INSTANCE") or "main"),
        url=url,
        token=_token(given["token"] or env.get("SICKBAY_TOKEN"), url),
        home=_home(given["home"] or env.get("SICKBAY_HOME")),
        instructions=_text("instructions", given["instructions"], 1_000_000),
        memory=_memory_of(given["memory"]),
        has_memory=given["memory"] is not None,
        workspace=_workspace(given["workspace"]),
        budget=_budget(given["budget"]),
        checkpoint_every=_span("checkpoint_every", given["checkpoint_every"]) or timedelta(minutes=5),
        every=_span("every", given["every"]),
        grace=_grace(given),
        heal=_flag("heal", given["heal"]),
        shared_workspace=_flag("shared_workspace", given["shared_workspace"]),
        passes=_types("passes", given["passes"]),
        transient=_transient(given["transient"]),
        redact=_callable("redact", given["redact"], "a function from text to text"),
        **texts,
    )


def unknown(call: str, given: Iterable[str], known: Iterable[str]) -> str:
    """The sentence about the first named argument that `call` does not take."""
    from difflib import get_close_matches  # only who writes it wrong pays for it

    known, name = list(known), next(iter(given))
    meant = get_close_matches(name, known, 1)
    advice = f"write {meant[0]}=" if meant else "there are " + ", ".join(known)
    return f"{call} does not know {name}=: {advice}"


def checked_url(url: str) -> str:
    """The server's address without a slash at its end; BadArgument says how one looks."""
    from urllib.parse import urlsplit  # only agents with a server pay for it

    try:
        parts = urlsplit(url.strip())
        port_is_right = parts.port is None or parts.port > 0
    except (ValueError, AttributeError):
        parts, port_is_right = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_right:
        raise BadArgument(f"url= (or SICKBAY_URL) {url!r} is no address: write 'https://sickbay.example.com'")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadArgument(
            "url= (or SICKBAY_URL) holds more than an address: write 'https://sickbay.example.com' and give "
            "the token as token= or SICKBAY_TOKEN"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


def _name(name: Any) -> str:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise BadArgument(
            f"Agent({name!r:.80}): a name is 1 to 63 of a-z, 0-9, '.', '_' and '-' and begins with a letter "
            f"or digit; write Agent({_suggested(name)!r})"
        )
    return name


def _suggested(name: Any) -> str:
    text = re.sub(r"[^a-z0-9._-]+", "-", str(name).lower()).strip("-._")[:63] if isinstance(name, str) else ""
    return text or "refund-desk"


def _instance(instance: Any) -> str:
    if not isinstance(instance, str) or not NAME.fullmatch(instance):
        raise BadArgument(
            f"instance={instance!r:.80}: 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or "
            f"digit; write instance={_suggested(instance)!r}"
        )
    return instance


def _token(token: Any, url: str | None) -> str | None:
    if token is None or token == "":
        if url is not None:
            raise BadArgument(
                "a url without a token: set SICKBAY_TOKEN to what `manage.py token --scope agent` prints"
            )
        return None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or " " in token.strip():
        raise BadArgument(
            "token= has blanks, line ends or letters outside ASCII: write exactly what "
            "`manage.py token --scope agent` printed"
        )
    return token.strip()


def _home(home: Any) -> Path:
    if home is None or home == "":
        return Path.home() / ".sickbay"
    if not isinstance(home, str | os.PathLike):
        raise BadArgument(f"home={home!r:.80}: write the path of a directory that stays over restarts")
    return Path(home)


def _memory_of(memory: Any) -> Any:
    if memory is None:
        return {}
    if isinstance(memory, Memory):
        if not callable(memory.save) or not callable(memory.load):
            raise BadArgument("Memory(save=…, load=…): both are functions; save() → JSON-able, load(JSON)")
        return memory
    if not isinstance(memory, dict):
        raise BadArgument(
            f"memory={type(memory).__name__}: write a dict, as {{'messages': []}}, or Memory(save=…, load=…)"
        )
    check_memory(memory)
    return memory


def check_memory(memory: dict[str, Any]) -> None:
    """Refuse what JSON would change in silence."""
    fault = _memory.fault(memory)
    if fault is not None:
        raise BadArgument(fault)


def _workspace(workspace: Any) -> Path | None:
    if workspace is None:
        return None
    if not isinstance(workspace, str | os.PathLike) or str(workspace) == "":
        raise BadArgument(f"workspace={workspace!r:.80}: write the path of a directory of its own, or None")
    path = Path(workspace)
    if path.exists() and not path.is_dir():
        raise BadArgument(f"workspace={str(path)!r} is a file: write the directory that holds it")
    if path.resolve() in (Path(path.resolve().anchor), Path.home().resolve()):
        raise BadArgument(f"workspace={str(path)!r} is not the agent's own: write a directory below it")
    return path


def _budget(budget: Any) -> Budget:
    if budget is None:
        return FailureBudget()
    if not isinstance(budget, FailureBudget):
        raise BadArgument(
            f"budget={budget!r:.80}: write budget=FailureBudget(max_consecutive=3, max_hourly=10)"
        )
    return budget


def _span(name: str, span: Any) -> timedelta | None:
    if span is None:
        return None
    if not isinstance(span, timedelta):
        seconds = f"seconds={span}" if isinstance(span, int | float) else "minutes=5"
        raise BadArgument(f"{name}={span!r:.80}: write {name}=timedelta({seconds})")
    if span <= timedelta(0):
        raise BadArgument(f"{name}={span!r}: a span is longer than nothing; leave it out to have none")
    if span > LONGEST_SPAN:
        raise BadArgument(f"{name}={span!r}: at most {LONGEST_SPAN.days} days; leave it out to have none")
    return span


def _grace(given: Mapping[str, Any]) -> timedelta | None:
    grace = _span("grace", given["grace"])
    if grace is not None and given["every"] is None:
        raise BadArgument("grace= is how late a job may start: give every= too, as timedelta(hours=1)")
    return grace


def _text(name: str, text: Any, longest: int) -> str:
    if text is None:
        return ""
    if not isinstance(text, str):
        raise BadArgument(f"{name}={text!r:.80}: write a text")
    if "\0" in text:  # no server takes it, so the agent would be one that nobody sees
        raise BadArgument(f"{name}={text!r:.80} holds a NUL character: write it without")
    if len(text) > longest:
        raise BadArgument(f"{name}= has {len(text)} characters, at most {longest} fit: shorten it")
    return text


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadArgument(f"{name}={value!r:.80}: write {name}=True or {name}=False")
    return value


def _types(name: str, types: Any) -> tuple[type[BaseException], ...]:
    if isinstance(types, type):
        types = (types,)
    good = isinstance(types, tuple | list) and all(
        isinstance(t, type) and issubclass(t, BaseException) for t in types
    )
    if not good:
        raise BadArgument(f"{name}={types!r:.80}: write exception classes, such as {name}=(GraphInterrupt,)")
    if Exception in types or BaseException in types:
        raise BadArgument(f"{name}= with Exception in it would let no failure count: name the classes")
    return tuple(types)


def _transient(transient: Any) -> More:
    if callable(transient) and not isinstance(transient, type):
        judge: More = transient
        return judge
    return _types("transient", transient)


def _callable(name: str, value: Any, what: str) -> Any:
    if value is not None and not callable(value):
        raise BadArgument(f"{name}={value!r:.80}: write {what}")
    return value
