"""A key is taken out of a server's reply however the server writes it."""

from __future__ import annotations

import base64
import html
import json
import time
import urllib.parse

import pytest

from oger.endpoint.repeated_key import RepeatedKey

KEY = "sk-a/b+secret_of=mine.42"
_BYTES = KEY.encode()
_TWICE = urllib.parse.quote(urllib.parse.quote(KEY, safe=""), safe="")
WRITTEN = {
    "as it is": KEY,
    "escapes of JSON": "".join(f"\\u{code:04X}" for code in _BYTES),
    "JSON in JSON": json.dumps(json.dumps("".join(f"\\u{code:04x}" for code in _BYTES))),
    "escapes of Python": "".join(f"\\x{code:02x}" for code in _BYTES),
    "octal": "".join(f"\\{code:03o}" for code in _BYTES),
    "braces": "".join(f"\\u{{{code:x}}}" for code in _BYTES),
    "an address": urllib.parse.quote(KEY, safe=""),
    "an address in an address": _TWICE,
    "HTML": html.escape(KEY),
    "entities": "".join(f"&#{code};" for code in _BYTES),
    "hexadecimal entities": "".join(f"&#x{code:X};" for code in _BYTES),
    "quoted-printable": "".join(f"={code:02X}" for code in _BYTES),
    "UTF-16 in JSON": json.dumps(KEY.encode("utf-16").decode("latin-1")),
    "UTF-32 in JSON": json.dumps(KEY.encode("utf-32").decode("latin-1")),
    "UTF-16 as Python shows it": repr(KEY.encode("utf-16-le")),
    "a line end within": KEY[:8] + "\\n" + KEY[8:],
    "spread": " ".join(KEY),
    "zero widths": json.dumps("\u200b".join(KEY)),
    "in pieces": json.dumps([KEY[:9], KEY[9:]]),
    "character by character": json.dumps(list(KEY)),
    "base64": base64.b64encode(_BYTES).decode(),
    "base64 of a header": base64.b64encode(b"Bearer " + _BYTES).decode(),
    "base64 of a login": base64.b64encode(b"me:" + _BYTES + b"\n").decode(),
    "base64 of an address": base64.urlsafe_b64encode(b"ab" + _BYTES).decode().rstrip("="),
    "base64 of UTF-16": base64.b64encode(KEY.encode("utf-16-le")).decode(),
    "hex": _BYTES.hex(),
    "hex in bytes": _BYTES.hex(":").upper(),
}  # fmt: skip


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN.keys())
def test_a_key_is_found_however_it_is_written(written: str) -> None:
    content = RepeatedKey(KEY).taken_out(f'{{"a": "you sent {written} to me"}}'.encode())
    assert b"***" in content
    assert len(content) < 75
    assert content.startswith(b'{"a": "you sent ')
    assert content.endswith(b' to me"}')


def test_other_texts_stay_as_they_are_and_so_does_what_holds_a_placeholder() -> None:
    text = '{"a": "sk-a/b+secret_of=mine.43, \\u0041, QUJD, 736b2d, \ud800"}'
    assert RepeatedKey(KEY).taken_out_of_text(text) == text
    assert RepeatedKey("EMPTY").taken_out_of_text("EMPTY") == RepeatedKey(None).taken_out_of_text("EMPTY") == "EMPTY"


@pytest.mark.parametrize("unit", [b"s", b"\\", b"\\u0073", b"s\\\\\\\\\\\\\\n", b"s  k  -", b"%25", b"&#115;", b"c2st"])
def test_a_long_reply_is_looked_through_quickly(unit: bytes) -> None:
    key, content = RepeatedKey(KEY + "A1b2C3" * 20), unit * (2**20 // len(unit))
    started = time.process_time()
    key.taken_out(content)
    assert time.process_time() - started < 2  # a megabyte
