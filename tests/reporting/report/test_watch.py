"""`oger report --watch`: served to this machine alone, read again when a run has gone on, refreshed in place."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest

from oger.reporting.report.watch import HOST, Watched, address_of, make_server
from oger.runs.metrics_log import MetricsLog
from tests.support.report_page import read_data
from tests.support.run_folders import make_run


@contextmanager
def served(*runs: Path) -> Iterator[ThreadingHTTPServer]:
    server = make_server(Watched(runs))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answer(server: ThreadingHTTPServer, path: str, host: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=30)
    connection.request("GET", path, headers={"Host": host} if host else {})
    reply = connection.getresponse()
    return reply.status, reply.read()


def test_the_page_and_its_data_follow_the_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=3, finished=False)
    with served(run) as server:
        status, page = answer(server, "/")
        assert status == 200
        data = read_data(page.decode())
        assert data["watched"]
        assert "connect-src 'self'" in page.decode()
        assert answer(server, f"/data.json?after={data['version']}") == (204, b""), "nothing is new"
        MetricsLog(run / "metrics.jsonl").log(4, {"reward/total": 0.5})
        status, body = answer(server, f"/data.json?after={data['version']}")
        assert status == 200
        newer = json.loads(body)
        assert newer["runs"][0]["curves"]["step"] == [1, 2, 3, 4]
        assert newer["version"] > data["version"]


@pytest.mark.parametrize("path", ["/run", "/../metrics.jsonl", "//etc/passwd", "/data.json/x"])
def test_nothing_else_is_served(tmp_path: Path, path: str) -> None:
    with served(make_run(tmp_path / "run", steps=1)) as server:
        assert answer(server, path)[0] == 404


def test_it_listens_to_this_machine_alone_and_answers_no_other_name(tmp_path: Path) -> None:
    with served(make_run(tmp_path / "run", steps=1)) as server:
        assert server.server_address[0] == "127.0.0.1"
        assert answer(server, "/", host=f"evil.example:{server.server_port}")[0] == 403
        assert answer(server, "/data.json", host="evil.example")[0] == 403
        assert answer(server, "/", host=f"localhost:{server.server_port}")[0] == 200


def test_the_command_says_where_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=2, finished=False)
    command = [sys.executable, "-m", "oger", "report", str(run), "--watch"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert address is not None
        with urlopen(address[0], timeout=30) as reply:
            assert read_data(reply.read().decode())["runs"][0]["curves"]["step"] == [1, 2]
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(timeout=30) == 130
        finally:
            process.kill()
    assert not (tmp_path / "report.html").exists()


def test_a_folder_that_is_no_run_is_refused_before_anything_is_served(tmp_path: Path) -> None:
    from oger.reporting.report.watch import watch

    with pytest.raises(ValueError, match="is not a run folder"):
        watch([tmp_path], say=lambda line: pytest.fail(line))


def test_a_random_port_is_chosen(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", steps=1)
    with served(run) as one, served(run) as other:
        assert address_of(one) != address_of(other)
