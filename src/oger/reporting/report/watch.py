"""`oger report --watch`: the page of runs that still go on, served to this machine alone and kept up to date.

The server listens on the loopback address, at a port that the system chooses, and answers three GET requests: the page,
its newest data, and nothing else. A request that names another host is refused, so that no page from elsewhere can read
the runs through a name that leads here.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from oger.reporting.report.build import GROUPS, report_data, title_of
from oger.reporting.report.page import data_json, render_page
from oger.runs import paths

HOST = "127.0.0.1"
_FILES = (
    paths.CONFIG, paths.METRICS, paths.HISTOGRAMS, paths.ALARMS, paths.BEFORE, paths.SUMMARY, paths.ROLLOUTS,
    paths.PROBES, f"{paths.BEST}/{paths.VALIDATION}",
)  # fmt: skip
"""What a page shows and a run adds to; a folder changes when a file comes into it."""


class Watched:
    """The data of some runs, read again when they have changed since.

    Args:
        runs: run folders.
        groups: most groups of each run.
    """

    def __init__(self, runs: Sequence[Path], groups: int = GROUPS) -> None:
        self._runs, self._groups = runs, groups
        self._lock = threading.Lock()
        self._seen: tuple[Any, ...] | None = None
        self._data: dict[str, Any] = {}
        self._version = 0

    def data(self) -> dict[str, Any]:
        """As they are now; "version" counts the changes."""
        with self._lock:
            now = tuple(_stamp(run / name) for run in self._runs for name in _FILES)
            if now != self._seen:
                self._data, _ = report_data(self._runs, groups=self._groups)
                self._seen = now
                self._version += 1
                self._data |= {"watched": True, "version": self._version}
            return self._data


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def make_server(watched: Watched) -> ThreadingHTTPServer:
    """The server, bound and not yet serving; `address_of` says where."""

    class Handler(BaseHTTPRequestHandler):
        """Answers for one page."""

        server_version, sys_version = "oger", ""

        def do_GET(self) -> None:
            """The page, or its data where they are newer than those the page has."""
            port = self.connection.getsockname()[1]
            if self.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
                self._answer(HTTPStatus.FORBIDDEN)
                return
            asked = urlsplit(self.path)
            if asked.path not in ("/", "/data.json"):
                self._answer(HTTPStatus.NOT_FOUND)
                return
            data = watched.data()
            if asked.path == "/":
                self._answer(HTTPStatus.OK, "text/html", render_page(data, title_of(data)))
            elif parse_qs(asked.query).get("after") == [str(data["version"])]:
                self._answer(HTTPStatus.NO_CONTENT)
            else:
                self._answer(HTTPStatus.OK, "application/json", data_json(data))

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: the page asks every two seconds."""

        def _answer(self, status: HTTPStatus, kind: str = "text/plain", text: str = "") -> None:
            body = text.encode("utf-8")
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            try:
                self.wfile.write(body)
            except ConnectionError:  # the page was closed meanwhile
                self.close_connection = True

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    return server


def address_of(server: ThreadingHTTPServer) -> str:
    """Where a browser finds it."""
    return f"http://{HOST}:{server.server_port}/"


def watch(runs: Sequence[str | os.PathLike[str]], *, groups: int = GROUPS, say: Callable[[str], None]) -> None:
    """Serve the page of `runs` until interrupted, and say where.

    Raises:
        FileNotFoundError, ValueError: as `build_report`.
    """
    watched = Watched([Path(run) for run in runs], groups)
    watched.data()  # wrong folders are said before anything is served
    with make_server(watched) as server:
        say(f"{address_of(server)}  (this machine alone; Ctrl-C ends it)")
        server.serve_forever()
