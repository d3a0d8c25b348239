"""Which failures are the weather and not the agent: judged by type or status, never by words in a message."""

from __future__ import annotations

from collections.abc import Callable

STATUSES = frozenset({408, 425, 429})
AT_THE_DOOR = frozenset({425, 429})  # answered before anything was done
TYPES: tuple[type[BaseException], ...] = (ConnectionError, TimeoutError)
# Other people's exceptions that mean the same, by module and name so that nothing is imported for them.
NAMES = frozenset(
    {
        ("httpx", "TransportError"),
        ("httpcore", "NetworkError"),
        ("httpcore", "TimeoutException"),
        ("requests", "ConnectionError"),
        ("requests", "Timeout"),
        ("urllib3", "TimeoutError"),
        ("urllib3", "NewConnectionError"),
        ("urllib3", "ProtocolError"),
        ("aiohttp", "ClientConnectionError"),
        ("openai", "APIConnectionError"),
        ("anthropic", "APIConnectionError"),
    }
)

Judge = Callable[[BaseException], bool | None]
More = tuple[type[BaseException], ...] | Judge


def is_transient(error: BaseException, more: More = ()) -> bool:
    """Whether this failure says nothing about the agent.

    `more` is what the developer added: exception types, or a function that answers True, False, or None
    for "judge it as usual"; a function that raises is taken as None.
    """
    if isinstance(more, tuple):
        if isinstance(error, more):
            return True
    elif (answer := _asked(more, error)) is not None:
        return answer
    return isinstance(error, TYPES) or _named(error) or _status(error)


def is_turned_away(error: BaseException) -> bool:
    """Whether what was asked surely did nothing: no connection was made, or it was told to come later."""
    return isinstance(error, ConnectionRefusedError) or _status_of(error) in AT_THE_DOOR


def _asked(judge: Judge, error: BaseException) -> bool | None:
    try:
        answer = judge(error)
    except Exception:
        return None
    return answer if isinstance(answer, bool) else None


def _named(error: BaseException) -> bool:
    return any((c.__module__.partition(".")[0], c.__name__) in NAMES for c in type(error).__mro__)


def _status(error: BaseException) -> bool:
    status = _status_of(error)
    return status is not None and (status in STATUSES or 500 <= status <= 599)


def _status_of(error: BaseException) -> int | None:
    """The HTTP status an exception carries, on itself or on its response, under the names in use."""
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and not isinstance(status, bool):
                return status
    return None
