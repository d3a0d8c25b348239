"""A real Daphne on the test database, and agents that speak to it by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest
from websockets.sync.client import ClientConnection, connect

from agents.models import Project
from tests.builders import Http, Wire, make_token
from tests.product import Daphne, running_daphne


@pytest.fixture(scope="module")
def daphne(django_db_setup: None) -> Iterator[Daphne]:
    with running_daphne() as daphne:
        yield daphne


@pytest.fixture
def wire(transactional_db: None, project: Project, daphne: Daphne) -> Wire:
    """A process of refund-desk that has registered over HTTP."""
    wire = Wire(make_token(project), client=Http(daphne.url))
    assert wire.register().status_code == 200
    return wire


class Socket:
    """An open agents' socket."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def next(self, timeout: float = 5) -> Any:
        return orjson.loads(self.connection.recv(timeout))

    def beat(self, **fields: Any) -> None:
        self.connection.send(orjson.dumps({"seq": 1, "doing": None, "since": None, **fields}).decode())


Opener = Callable[..., Socket]


@pytest.fixture
def open_socket(daphne: Daphne) -> Iterator[Opener]:
    """Opens the socket of a wire; all are closed in the end."""
    opened = ExitStack()

    def opener(wire: Wire, **query: Any) -> Socket:
        asked = {
            "agent": wire.agent,
            "instance": wire.instance,
            "epoch": wire.epoch or 0,
            "process": wire.process,
            **query,
        }
        url = f"{daphne.url.replace('http', 'ws')}/api/v1/agents/socket?{urlencode(asked)}"
        headers = {"Authorization": f"Bearer {wire.token}"}
        connecting = connect(url, additional_headers=headers, proxy=None)
        return Socket(opened.enter_context(connecting))

    with opened:
        yield opener
