"""Where the peer keeps checkpoints: as strict about nodes as the real server, and nothing more."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from sickbay.tree import read, record
from sickbay.tree.node import PLAIN_LIMIT, name_of
from sickbay.tree.pack import unpack

if TYPE_CHECKING:
    from sdk.tests.peer import Door


class Depot:
    """Nodes, the headers of checkpoints, and the progress of rollbacks."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, bytes] = {}
        self.taken: list[dict[str, Any]] = []
        self.standings: dict[str, str] = {}
        self.progress: list[dict[str, Any]] = []
        self.edits: list[dict[str, Any]] = []
        self.uploads: list[str] = []
        self.bodies: list[int] = []

    def post(self, door: Door, body: bytes) -> None:
        path = urlsplit(door.path).path
        peer = door.peer
        with peer.changed:
            if path.endswith("/missing/"):
                names = [body[at : at + 32] for at in range(0, len(body), 32)]
                answer = 200, {"missing": [name.hex() for name in names if name not in self.nodes]}
            elif path.endswith("/nodes/"):
                self.uploads.append(parse_qs(urlsplit(door.path).query)["upload"][0])
                self.bodies.append(len(body))
                answer = self._stored(body)
            elif path.endswith("/read/"):
                door.answer(200, self._read(body))
                return
            elif path.endswith("/progress/"):
                self.progress.append({"rollback": path.split("/")[-3], **json.loads(body)})
                answer = 200, self._judged(self.progress[-1])
            elif path.endswith("/edits/"):
                self.edits.append(json.loads(body))
                answer = 200, {"kept": len(self.edits[-1]["paths"])}
            else:
                answer = self._take(body)
            peer.changed.notify_all()
        door.answer(*answer)

    def get(self, door: Door) -> None:
        parts = urlsplit(door.path)
        wanted = parts.path.rstrip("/").rpartition("/")[2]
        good = ("good",) if "standing=good" in parts.query else ("good", "unproven")
        for header in reversed(self.taken):
            id = str(uuid.UUID(header["id"]))
            if wanted == id or (wanted == "newest" and self.standing(id) in good):
                manifest = header["manifest"]
                said = {"id": id, "memory": manifest["memory"], "workspace": manifest["workspace"]}
                door.answer(200, {**said, "standing": self.standing(id), "at": header["at"], "label": None})
                return
        door.answer(404, {"error": "not_found", "message": "none", "what_to_do": "nothing"})

    def _judged(self, said: dict[str, Any]) -> dict[str, Any]:
        if said["state"] == "applied" and said["before"]:
            known = [header["id"] for header in self.taken]
            assert uuid.UUID(said["before"]).hex in known, "the state just before is here by now"
        return {"state": said["state"], "verified": said["state"] == "applied"}

    def standing(self, id: str) -> str:
        return self.standings.get(id, "unproven")

    def text(self, id: str) -> bytes:
        """The memory of a checkpoint."""
        header = next(h for h in self.taken if h["id"] == uuid.UUID(id).hex)
        return read.text_of(bytes.fromhex(header["manifest"]["memory"]), self._fetch)

    def _fetch(self, names: list[bytes]) -> dict[bytes, bytes]:
        return {name: self.nodes[name] for name in names if name in self.nodes}

    def _stored(self, body: bytes) -> tuple[int, Any]:
        fresh: dict[bytes, bytes] = {}
        lacking = []
        for one in record.read(body):
            base = self.nodes.get(one.base) or fresh.get(one.base) if one.base else None
            if one.base and base is None:
                lacking.append(one.base)
                continue
            plain = unpack(one.encoding, one.payload, one.plain_length, base, PLAIN_LIMIT)
            assert name_of(plain) == one.name
            lacking += [link.name for link in read.links(plain) if not self._has(link.name, fresh)]
            fresh[one.name] = plain
        if lacking:
            names = [name.hex() for name in dict.fromkeys(lacking)]
            said = {"error": "missing_nodes", "message": "missing", "what_to_do": "send them"}
            return 409, {**said, "missing": names}
        self.nodes.update(fresh)
        return 200, {"stored": len(fresh)}

    def _has(self, name: bytes, fresh: dict[bytes, bytes]) -> bool:
        return name in self.nodes or name in fresh

    def _take(self, body: bytes) -> tuple[int, Any]:
        line, _, rest = body.partition(b"\n")
        header = json.loads(line)
        status, answer = self._stored(rest)
        if status != 200:
            return status, answer
        roots = [root for root in (header["manifest"]["memory"], header["manifest"]["workspace"]) if root]
        if lost := [root for root in roots if bytes.fromhex(root) not in self.nodes]:
            said = {"error": "missing_nodes", "message": "missing", "what_to_do": "send them"}
            return 409, {**said, "missing": lost}
        if header["id"] not in [known["id"] for known in self.taken]:
            self.taken.append(header)
        id = str(uuid.UUID(header["id"]))
        return 200, {"id": id, "standing": self.standing(id), "missing": []}

    def _read(self, body: bytes) -> bytes:
        names = [body[at : at + 32] for at in range(0, len(body), 32)]
        known = [(name, self.nodes[name]) for name in names if name in self.nodes]
        return b"".join(
            record.write(record.Record(name, 0, b"", len(plain), 0, 0, plain)) for name, plain in known
        )
