"""Calls addresses by name where this program is the DNS and every network: run it with `unshare -rmn`.

The resolver is the system's own, asked over the wire. Prints what became of each call, as JSON.
"""

from __future__ import annotations

import json
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from agents.services import webhooks

PUBLIC, INSIDE, PORT = "93.184.216.34", "127.0.0.1", 8080
ANSWERS = {
    "public.example": [[PUBLIC]],
    "rebinds.example": [[PUBLIC], [INSIDE]],
    "inside.example": [[INSIDE]],
    "mixed.example": [[PUBLIC, INSIDE]],
    "nowhere.example": [[]],
}
asked: Counter[str] = Counter()
reached: Counter[str] = Counter()


class Names(socketserver.BaseRequestHandler):
    """Answers A with what is next, AAAA with nothing, and silent.example not at all."""

    def handle(self) -> None:
        query, server = self.request
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        name, kind = ".".join(labels).lower(), int.from_bytes(query[at + 1 : at + 3], "big")
        if name == "silent.example":
            return
        found: list[str] = []
        if kind == 1 and name in ANSWERS:
            found = ANSWERS[name][min(asked[name], len(ANSWERS[name]) - 1)]
            asked[name] += 1
        head = query[:2] + b"\x81\x80" + b"\0\1" + len(found).to_bytes(2, "big") + bytes(4)
        records = b"".join(b"\xc0\x0c\0\1\0\1" + bytes(4) + b"\0\4" + socket.inet_aton(one) for one in found)
        server.sendto(head + query[12 : at + 5] + records, self.client_address)


def receiver(address: str) -> ThreadingHTTPServer:
    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reached[address] += 1
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    return ThreadingHTTPServer((address, PORT), Door)


def called(host: str) -> dict[str, Any]:
    before, began = asked[host], time.monotonic()
    try:
        said = str(webhooks.post(f"http://{host}:{PORT}/hook", b"{}", {}))
    except webhooks.NotSent as error:
        said = str(error)
    took = time.monotonic() - began
    return {"host": host, "said": said, "asked": asked[host] - before, "took": took, "reached": dict(reached)}


def main() -> None:
    resolver = Path(sys.argv[1])
    resolver.write_text("nameserver 127.0.0.1\noptions single-request\n")
    for command in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "address", "add", f"{PUBLIC}/32", "dev", "lo"],
        ["mount", "--bind", str(resolver), "/etc/resolv.conf"],
    ):
        subprocess.run(command, check=True)
    names = socketserver.UDPServer(("127.0.0.1", 53), Names)
    for server in (names, receiver(PUBLIC), receiver(INSIDE)):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    hosts = ("public", "rebinds", "rebinds", "inside", "mixed", "nowhere", "silent")
    print(json.dumps([called(f"{host}.example") for host in hosts]))


main()
