"""A Hugging Face hub on loopback: as much of it as a push needs. What was pushed is kept by path."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class Hub:
    """What came in.

    Attributes:
        files: repository -> path -> content of the last commit that named it.
        messages: of the commits, in order.
    """

    def __init__(self) -> None:
        self.files: dict[str, dict[str, bytes]] = {}
        self.messages: list[str] = []
        self.address = ""

    def create(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
        self.files.setdefault(name, {})
        return {"url": f"{self.address}/{name}", "id": name}

    def commit(self, name: str, body: bytes) -> dict[str, Any]:
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "header":
                self.messages.append(line["value"]["summary"])
            elif line["key"] == "file":
                self.files[name][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            else:
                raise AssertionError(f"not expected: {line['key']}")
        return {"success": True, "commitUrl": f"{self.address}/{name}/commit/0", "commitOid": "0" * 40}


@contextmanager
def hub_server() -> Iterator[Hub]:
    """A hub that takes every file in the commit itself."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply({"name": "acme", "type": "user", "orgs": [], "auth": {"type": "access_token"}})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = self.path.removeprefix("/api/")
            if path == "repos/create":
                self._reply(hub.create(json.loads(body)))
            elif path == "validate-yaml":
                self._reply({"errors": [], "warnings": []})
            elif "/preupload/" in path:
                files = [{"path": file["path"], "uploadMode": "regular"} for file in json.loads(body)["files"]]
                self._reply({"files": [{**file, "shouldIgnore": False} for file in files]})
            else:
                kind, owner, repository, *_ = path.split("/")
                assert kind == "models", self.path
                self._reply(hub.commit(f"{owner}/{repository}", body))

        def _reply(self, value: dict[str, Any]) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.address = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
