"""Client of an OpenAI-compatible endpoint (a vLLM server, a hosted API): one request, with retries, one `Answer`.

It opens no file and keeps nothing: who asks decides what is asked, how many at once, and where answers go. The openai
client would not do: its timeouts are of single reads, it takes a reply of any length, follows redirects, waits for a
Retry-After one request at a time, and repeats in its messages what the server sent, a key too.

Faults that may pass (connection lost, deadline, 408, 425, 429, 5xx, a reply that is not the promised JSON) are tried
again with exponential backoff and jitter, never sooner than a Retry-After, which holds back every request of the
client. A refusal of one request (400, 413, 422) is not tried again, unless it is about a sampling field that the server
does not take, without which it is asked once more. A refusal that would meet every request (key, address, model,
redirect, no money left) is an `EndpointError`. An error inside a reply with status 200 is one all the same.
"""

from __future__ import annotations

import asyncio
import random
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from oger.endpoint.repeated_key import RepeatedKey
from oger.endpoint.reply import (
    Answer,
    BrokenReplyError,
    ReplyError,
    error_of_reply,
    error_status,
    read_reply,
    refused_field,
    seconds_of_retry_after,
)
from oger.terminal.plain import say

if TYPE_CHECKING:
    import httpx2

_LONGEST_BACKOFF_S = 60.0
_LONGEST_RETRY_AFTER_S = 600.0
"""A server that asks for more is not waited for: the request fails, and the next run asks again."""
_CONNECT_TIMEOUT_S = 30.0
_MAX_REPLY_BYTES = 8 * 2**20
"""No answer is that long; an endless reply must not fill the memory before the deadline, nor take long to read: while
it is read, neither the deadline nor Ctrl-C is heard."""
_MOST_LISTS = 500_000
"""Lists and objects of a reply, which are what takes longest to read."""
_ANY_HEADER = 47
"""For zlib: gzip's header or zlib's, whichever is there."""

PROMPT_FIELDS = ("messages", "prompt", "model", "stream", "n")
"""Fields of a request that are not the user's to set: one request is one whole answer to one prompt."""
_MAY_BE_REFUSED = ("max_tokens", "max_completion_tokens", "temperature", "top_p", "seed")
"""Fields that some servers do not take; another request goes without, or with the name that the server knows."""

_RETRIED = (408, 409, 425, 429)
_REFUSED = (400, 413, 422)
_ADVICE = {
    401: "check the key: --api-key-env names the environment variable that holds it",
    402: "the account has no credit left",
    403: "the key may not use this model",
    404: "check the address (it usually ends in /v1) and the model's name",
}


class EndpointError(ValueError):
    """No request can succeed as things are; the message is one line that says what to do."""


class RequestFailed(Exception):  # noqa: N818 (an outcome of one request, not an error of the program)
    """One request got no answer.

    Attributes:
        attempts: requests sent.
        refused: the server refused this request itself, so that asking again as it stands is pointless.
    """

    def __init__(self, reason: str, *, attempts: int, refused: bool = False) -> None:
        super().__init__(reason)
        self.attempts = attempts
        self.refused = refused


@dataclass(frozen=True)
class EndpointOptions:
    """How to reach a model, and how patiently."""

    url: str
    """Address up to and without /chat/completions, such as http://localhost:8000/v1."""
    model: str
    completions: bool = False
    """Ask /completions with raw text rather than /chat/completions with messages."""
    deadline_s: float = 600.0
    """Of one attempt, from sending to the last byte of the reply, however it trickles."""
    retries: int = 6
    """Attempts after the first."""
    retry_wait_s: float = 1.0
    """Before the first retry; doubled each time up to a minute, plus as much again at random at most."""


class Endpoint:
    """Sends requests to one model of one endpoint; an async context manager.

    Raises:
        EndpointError: an address or a key that cannot be right. Neither appears in the message.
    """

    def __init__(self, options: EndpointOptions, api_key: str | None = None) -> None:
        from tenacity import wait_exponential, wait_random_exponential

        self.options = options
        self._url = f"{checked_url(options.url)}/{'completions' if options.completions else 'chat/completions'}"
        self._key = _checked_key(api_key) if api_key is not None else None
        self._repeated_key = RepeatedKey(self._key)
        self._backoff = wait_exponential(options.retry_wait_s, _LONGEST_BACKOFF_S) + wait_random_exponential(
            options.retry_wait_s, _LONGEST_BACKOFF_S
        )
        self._client: httpx2.AsyncClient | None = None
        self._not_before = 0.0  # event loop's clock: end of the pause that a Retry-After asked for
        self._has_replied = False
        self._left_out: list[str] = []
        self.say: Callable[[str], None] = lambda line: say(line, err=True)
        """Takes what the user should know about what the server refuses."""

    async def __aenter__(self) -> Endpoint:
        import httpx2

        headers = {"Accept-Encoding": "identity"}  # a reply that is not packed cannot swell
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(None, connect=_CONNECT_TIMEOUT_S),  # the deadline is the attempt's, see `_attempt`
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def ask(self, prompt: str | list[dict[str, Any]], sampling: Mapping[str, Any]) -> Answer:
        """The answer to one prompt.

        Args:
            prompt: raw text for /completions, else messages, or a text that becomes one user message.
            sampling: further fields of the request (temperature, max_tokens, seed, ...).

        Raises:
            RequestFailed: refused, or no answer within the retries.
            EndpointError: no request can succeed.
        """
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt

        if self.options.completions:
            body: dict[str, Any] = {"prompt": prompt}
        else:
            body = {"messages": [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt}
        body["model"] = self.options.model
        attempts = 0
        while True:
            retrying = AsyncRetrying(
                stop=stop_after_attempt(self.options.retries + 1),
                wait=self._backoff,
                retry=retry_if_exception(lambda error: isinstance(error, _Fault) and error.passing),
                reraise=True,
            )
            fields = self._accepted(sampling)
            try:
                answer: Answer = await retrying(self._attempt, {**body, **fields})
            except _Fault as fault:
                attempts += int(retrying.statistics["attempt_number"])
                if fault.field is not None and fault.field in fields:
                    self._leave_out(fault.field, str(fault))
                    continue
                raise RequestFailed(self._redact(str(fault)), attempts=attempts, refused=fault.refused) from None
            attempts += int(retrying.statistics["attempt_number"])
            return replace(answer, attempts=attempts, left_out=tuple(n for n in self._left_out if n in sampling))

    def _accepted(self, sampling: Mapping[str, Any]) -> dict[str, Any]:
        """The fields without those that the server has refused; a limit goes by the newer name before it goes."""
        fields = dict(sampling)
        for name in self._left_out:
            value = fields.pop(name, None)
            if name == "max_tokens" and value is not None and "max_completion_tokens" not in self._left_out:
                fields.setdefault("max_completion_tokens", value)
        return fields

    def _leave_out(self, name: str, why: str) -> None:
        """Once and for all; of several requests that were refused at once, the first says so."""
        if name in self._left_out:
            return
        self._left_out.append(name)
        instead = "max_completion_tokens is sent in its place" if name == "max_tokens" else "it is left out from now on"
        self.say(self._redact(f"the server does not take {name} ({why}): {instead}"))

    async def _attempt(self, body: Mapping[str, Any]) -> Answer:
        import httpx2

        loop = asyncio.get_running_loop()
        while (pause := self._not_before - loop.time()) > 0:
            await asyncio.sleep(pause + random.uniform(0, min(1.0, self.options.retry_wait_s)))
        started = loop.time()
        # The fault boundary of the network: whatever goes wrong on the way is this attempt's, not the program's.
        try:
            async with asyncio.timeout(self.options.deadline_s):
                status, retry_after, content = await self._post(body)
        except TimeoutError:
            raise _Fault(f"no whole reply within the deadline of {self.options.deadline_s:g} s") from None
        except httpx2.ConnectError as error:
            if not self._has_replied:
                raise EndpointError(self._redact(f"cannot connect to {self._url} ({error}): is it running?")) from None
            raise _Fault(f"cannot connect ({error})") from None
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            raise _Fault(f"connection lost ({type(error).__name__}: {error})") from None
        self._has_replied = True
        content = self._repeated_key.taken_out(content)  # before a message is shortened, which could cut the key in two
        if content.count(b"[") + content.count(b"{") > _MOST_LISTS:
            raise _Fault("the reply is nothing but lists", passing=False)
        inside = error_status(content) if status == 200 else None
        if status != 200 or inside is not None:
            raise self._fault(status, retry_after, content, inside)
        try:
            answer = read_reply(content, completions=self.options.completions)
        except BrokenReplyError as error:
            raise _Fault(str(error)) from None
        text, reason = map(
            self._repeated_key.taken_out_of_text, (answer.text, answer.finish_reason)
        )  # joined from parts
        return replace(answer, text=text, finish_reason=reason, seconds=loop.time() - started)

    async def _post(self, body: Mapping[str, Any]) -> tuple[int, float | None, bytes]:
        """Status, seconds of a Retry-After, and the whole body."""
        if self._client is None:
            raise RuntimeError("an Endpoint asks inside `async with`")
        content = bytearray()
        async with self._client.stream("POST", self._url, json=body) as response:
            async for piece in response.aiter_raw():
                content += piece
                if len(content) > _MAX_REPLY_BYTES:
                    raise _too_long()
            unpacked = _unpacked(bytes(content), response.headers.get("content-encoding", ""))
            return response.status_code, seconds_of_retry_after(response.headers.get("retry-after")), unpacked

    def _fault(self, status: int, retry_after: float | None, content: bytes, inside: int | None = None) -> Exception:
        """What a status other than 200 means, or one that a reply with status 200 has `inside`."""
        error: ReplyError = error_of_reply(content)
        said = f"HTTP {status}{' with an error' if inside else ''}{': ' + error.message if error.message else ''}"
        status = inside or status
        if status == 429 and error.code == "insufficient_quota":
            return EndpointError(self._redact(f"the endpoint refuses every request ({said}): {_ADVICE[402]}"))
        if status in _RETRIED or status >= 500:
            if retry_after is not None and retry_after > _LONGEST_RETRY_AFTER_S:
                return _Fault(f"{said}; the server asks to wait {retry_after:.0f} s", passing=False)
            if retry_after is not None:
                now = asyncio.get_running_loop().time()
                self._not_before = max(self._not_before, now + retry_after)
            return _Fault(said)
        if status in _REFUSED:
            return _Fault(said, passing=False, refused=True, field=refused_field(error, _MAY_BE_REFUSED))
        advice = "give the address that answers itself" if 300 <= status < 400 else _ADVICE.get(status, _ADVICE[404])
        return EndpointError(self._redact(f"the endpoint refuses every request ({said}): {advice}"))

    def _redact(self, text: str) -> str:
        """For messages: a server or a proxy may repeat what it was sent."""
        text = self._repeated_key.taken_out_of_text(re.sub(r"//[^/@\s]+@", "//***@", text))
        return text.replace(self._key, "***") if self._key else text


class _Fault(Exception):  # noqa: N818
    """One attempt failed. `passing`: worth another; `refused`: the server's word on this very request; `field`: the one
    that it does not take."""

    def __init__(self, reason: str, *, passing: bool = True, refused: bool = False, field: str | None = None) -> None:
        super().__init__(reason)
        self.passing = passing
        self.refused = refused
        self.field = field


def with_body(fields: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request with more of them; None leaves out one that would be sent."""
    return {name: value for name, value in {**fields, **body}.items() if value is not None}


def _too_long() -> _Fault:
    return _Fault(f"the reply is longer than {_MAX_REPLY_BYTES} bytes", passing=False)


def _unpacked(content: bytes, encoding: str) -> bytes:
    """A reply that a server packed although it was asked not to; a small one may stand for any number of bytes.

    Raises:
        _Fault: too long, or packed otherwise than once by gzip or deflate.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity") or not content:
        return content
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise _Fault("the reply is packed, more than once or by neither gzip nor deflate", passing=False)
    try:
        unpacked = zlib.decompressobj(_ANY_HEADER).decompress(content, _MAX_REPLY_BYTES + 1)
    except zlib.error:
        raise _Fault(f"the reply is not {encoding}, as it says") from None
    if len(unpacked) > _MAX_REPLY_BYTES:
        raise _too_long()
    return unpacked


def checked_url(url: str) -> str:
    """The address without a trailing slash.

    Raises:
        EndpointError: not http or https, or with a password or a key in it, which would end up in logs.
    """
    import httpx2

    try:
        parsed = httpx2.URL(url.strip())
    except httpx2.InvalidURL:
        raise EndpointError("the endpoint is not an address: write it like http://localhost:8000/v1") from None
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise EndpointError(
            "the endpoint's address carries a password, a query or a fragment: leave them out, and pass a key in an "
            "environment variable named by --api-key-env"
        )
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise EndpointError("the endpoint must be an http or https address, like http://localhost:8000/v1")
    address = str(parsed).rstrip("/")
    if address.endswith("/completions"):
        raise EndpointError("give the endpoint's address without /chat/completions or /completions; that is added")
    return address


def _checked_key(key: str) -> str:
    key = key.strip()
    # A header takes nothing else, and the library's own message would show the key.
    if not key or not re.fullmatch(r"[\x21-\x7e]+", key):
        raise EndpointError("the API key is empty or has characters that no key has")
    return key
