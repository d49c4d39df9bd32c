"""A real HTTP server on loopback that speaks the OpenAI interface and misbehaves as a test's script says."""

from __future__ import annotations

import gzip
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Key = tuple[str, int]
"""Prompt tag ("#17" somewhere in the prompt) and seed, which differs from sample to sample."""

_TAG = re.compile(r"#\w+")


@dataclass
class Call:
    """One request as the server saw it."""

    key: Key
    number: int
    """How many times this key has been asked, this time included."""
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float = field(default_factory=time.monotonic)


Script = Callable[[Call], str]
"""What to do with a call: words separated by spaces, such as "delay:0.1 500"; "" is a plain answer."""


class EndpointServer:
    """Serves while its context is open.

    Words of a script: delay:S (wait first), length (cut by the limit), reasoning, reasoning-cut, cot (thoughts inside
    the content), empty (no choices), null (content null), no-usage, fill:N (N characters of text), same (one text for
    all), echo (text and error messages repeat the headers), pad:N (so many
    characters earlier), trickle (a byte now and then), flood (an endless reply),
    drop (before headers), drop-mid-body, broken-json, surrogate, a status such as 500, retry-after:S,
    retry-date, quota (as the code of the error), escaped (a key as escapes), utf-16, packed:CODING+CODING,
    finish:REASON, no-finish, refuse:FIELD+FIELD (a 400 about the first of them that the request has), error-200:CODE
    (an error with that code inside a reply with status 200), parts (content as parts, one of them thoughts), unopened
    (thoughts that were opened in the prompt).
    """

    def __init__(self, script: Script = lambda call: "", port: int = 0) -> None:
        self.script = script
        self.port = port
        self.calls: list[Call] = []
        self.completed: list[Key] = []
        """Keys whose answer was sent to its last byte."""
        self.under_way = 0
        self.most_at_once = 0
        self._asked: Counter[Key] = Counter()
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def __enter__(self) -> EndpointServer:
        endpoint = self

        class Handler(_Handler):
            server_of_test = endpoint

        self._http = _Server(("127.0.0.1", self.port), Handler)
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def asked(self) -> Counter[Key]:
        """How often each key was asked."""
        with self._lock:
            return Counter(self._asked)

    def wait_for_calls(self, count: int, timeout_s: float = 30.0) -> None:
        """Return once `count` requests have arrived."""
        end = time.monotonic() + timeout_s
        while len(self.calls) < count:
            assert time.monotonic() < end, f"only {len(self.calls)} of {count} requests came"
            time.sleep(0.002)

    def note(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> Call:
        text = json.dumps(body.get("messages", body.get("prompt")))
        tag = _TAG.search(text)
        key = (tag.group() if tag else text, int(body.get("seed", -1)))
        with self._lock:
            self._asked[key] += 1
            call = Call(key, self._asked[key], path, headers, body)
            self.calls.append(call)
            self.under_way += 1
            self.most_at_once = max(self.most_at_once, self.under_way)
        return call

    def leave(self, call: Call, *, completed: bool) -> None:
        with self._lock:
            self.under_way -= 1
            if completed:
                self.completed.append(call.key)

    def sleep(self, seconds: float) -> None:
        self._closing.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A killed client is what these tests are about; its broken pipe is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_test: EndpointServer

    def log_message(self, format: str, *arguments: Any) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call = self.server_of_test.note(self.path, dict(self.headers), body)
        completed = False
        try:
            completed = self._act(call)
        finally:
            self.server_of_test.leave(call, completed=completed)

    def _act(self, call: Call) -> bool:
        """Do what the script says; whether an answer went out whole."""
        words = dict((*word.split(":", 1), "")[:2] for word in self.server_of_test.script(call).split())
        if "delay" in words:
            self.server_of_test.sleep(float(words["delay"]))
        refused = next((name for name in words.get("refuse", "").split("+") if name in call.body), "")
        if refused:
            words["400"] = ""
        status = next((int(word) for word in words if word.isdecimal()), 200)
        if "drop" in words:
            self._hang_up()
            return False
        if "flood" in words or "trickle" in words:
            self._endless(slow="trickle" in words)
            return False
        if status != 200:
            content = {
                "error": {"message": f"status {status}", "code": "insufficient_quota" if "quota" in words else None}
            }
            if refused:
                message = f"Unsupported parameter: '{refused}' is not supported with this model."
                content["error"] = {"message": message, "param": refused, "code": "unsupported_parameter"}
            if "echo" in words:
                content["error"]["message"] = "-" * int(words.get("pad", 0)) + f"you sent {call.headers}"
        elif "error-200" in words:
            content = {"error": {"message": "the model is asleep", "code": int(words["error-200"])}}
        else:
            content = _reply(call, words)
        data = b'{"choices": [{"mess' if "broken-json" in words else json.dumps(content).encode()
        if "escaped" in words:
            data = re.sub(rb"sk-[!-~]+?secret", lambda m: b"".join(rb"\u%04X" % c for c in m.group()), data)
        if "utf-16" in words:
            data = data.decode().encode("utf-16-le")
        for coding in filter(None, words.get("packed", "").split("+")):
            data = gzip.compress(data) if coding == "gzip" else data
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if "packed" in words:
            self.send_header("Content-Encoding", words["packed"].replace("+", ", "))
        if "retry-after" in words:
            self.send_header("Retry-After", words["retry-after"])
        if "retry-date" in words:
            self.send_header("Retry-After", time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 2)))
        if "location" in words:
            self.send_header("Location", "http://elsewhere.invalid/")
        self.end_headers()
        if "drop-mid-body" in words:
            self.wfile.write(data[: len(data) // 2])
            self._hang_up()
            return False
        self.wfile.write(data)
        self.wfile.flush()
        return status == 200 and "broken-json" not in words and "empty" not in words

    def _endless(self, *, slow: bool) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        piece = b" " if slow else b" " * 2**20
        while not self.server_of_test._closing.is_set():
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            self.wfile.flush()
            if slow:
                self.server_of_test.sleep(0.02)

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def _reply(call: Call, words: dict[str, str]) -> dict[str, Any]:
    text = f"The answer to {call.key[0]} with seed {call.key[1]} is \\boxed{{7}}."
    if "fill" in words:
        text = "x" * int(words["fill"])
    if "same" in words:
        text = "the same text"
    if "echo" in words:
        text = f"you sent {call.headers}"
    if "surrogate" in words:
        text = "half a pair: \ud83d"
    cut = "length" in words or "reasoning-cut" in words
    choice: dict[str, Any] = {"index": 0, "finish_reason": "length" if cut else words.get("finish", "stop")}
    if "no-finish" in words:
        del choice["finish_reason"]
    if call.path.endswith("/chat/completions"):
        choice["message"] = {"role": "assistant", "content": text}
        if "reasoning" in words:
            choice["message"]["reasoning_content"] = "let me think"
        if "reasoning-cut" in words:
            choice["message"] |= {"content": None, "reasoning": "let me th"}
        if "parts" in words:
            thoughts = {"type": "thinking", "thinking": [{"type": "text", "text": "let me think"}]}
            choice["message"]["content"] = [thoughts, {"type": "text", "text": text}]
        if "unopened" in words:
            choice["message"]["content"] = f"let me think\n</think>\n{text}"
        if "null" in words:
            choice["message"]["content"] = None
        if "cot" in words:
            choice["message"] |= {"content": f"<think>\nhm\n</think>\n{text}", "reasoning_content": "hm"}
    else:
        choice["text"] = text
    reply: dict[str, Any] = {"object": "chat.completion", "choices": [] if "empty" in words else [choice]}
    if "no-usage" not in words:
        reply["usage"] = {"prompt_tokens": 11, "completion_tokens": 23}
    return reply
