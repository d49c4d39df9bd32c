"""An API key that a server repeats: taken out of its replies however it is written there."""

from __future__ import annotations

import base64
import json
import re

_SHORTEST_SECRET = 12
"""Shorter keys are words such as "none" or "EMPTY", which a text may hold."""
_NAMED = {"&": "amp", '"': "quot", "<": "lt", ">": "gt", "'": "apos"}


class RepeatedKey:
    """Finds a key as it stands, with escapes of JSON, Python, HTML or an address, spread by blanks, NULs or quotes (as
    one in UTF-16 is, and one in pieces), in base64 and in hex.

    Args:
        key: printable ASCII without blanks; None, or one too short to be a secret, is never looked for.
    """

    def __init__(self, key: str | None) -> None:
        key = key if key is not None and len(key) >= _SHORTEST_SECRET else None
        self._spelled = None if key is None else _spelled(key)
        self._packed = [] if key is None else _packed(key)

    def taken_out(self, content: bytes) -> bytes:
        """A reply with "***" for the key; as UTF-8 where it is of another encoding of JSON."""
        if self._spelled is not None and (encoding := json.detect_encoding(content)) != "utf-8":
            content = content.decode(encoding, errors="replace").encode()
        return self._without(content)

    def taken_out_of_text(self, text: str) -> str:
        """What was read from a reply, whose parts may have held a part of the key each."""
        return self._without(text.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")

    def _without(self, content: bytes) -> bytes:
        if self._spelled is None:
            return content
        for packed in self._packed:
            content = content.replace(packed, b"***")
        return self._spelled.sub(b"***", content)


def _spelled(key: str) -> re.Pattern[bytes]:
    """Every alternative begins with a plain character, so that what holds no key is passed over quickly."""
    between = "".join(re.escape(mark) for mark in "\"',+" if mark not in key)
    quotes = "" if "\\" in key else r"|[\"']"
    gap = (
        rf"(?:[\x00\s{between}]|\xc2\xad|\xe2\x80[\x8b-\x8d]|\xef\xbb\xbf"  # soft hyphen, zero widths
        rf"|\\\\{{0,7}}(?:u0000|x00|0{{1,3}}(?![0-7])|[nrt]|u00(?i:ad)|u200[bBcCdD]|u(?i:feff){quotes})){{0,8}}"
    )
    return re.compile(gap.join(_character(character) for character in key).encode())


def _character(character: str) -> str:
    plain, code = re.escape(character), f"(?i:{ord(character):02x})"
    escaped = rf"(?:u00|x|U000000|u\{{0{{0,4}}){code}\}}?|{ord(character):03o}"
    escaped += f"|{plain}" if character in "/\"\\'" else ""
    entity = rf"#(?:[xX]0{{0,4}}{code}|0{{0,4}}{ord(character)})"
    entity += f"|{_NAMED[character]}" if character in _NAMED else ""
    return rf"(?:{plain}|\\\\{{0,7}}(?:{escaped})|%(?:25){{0,4}}{code}|={code}|&(?:amp;)?(?:{entity});?)"


def _packed(key: str) -> list[bytes]:
    """In hex and base64; of base64 what a key gives wherever it begins within three bytes."""
    found = set()
    for encoding in ("utf-8", "utf-16-le", "utf-16-be"):
        content = key.encode(encoding)
        for separator in ("", " ", ":"):
            digits = content.hex(separator) if separator else content.hex()
            found |= {digits, digits.upper()}
        for before in range(3):
            text = base64.b64encode(b"\0" * before + content).decode().rstrip("=")
            own = text[(0, 2, 3)[before] : len(text) - bool((before + len(content)) % 3)]
            found |= {own, own.replace("/", r"\/"), own.replace("+", "-").replace("/", "_")}
    return [text.encode() for text in sorted(found)]
