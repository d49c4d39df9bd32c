"""Secrets are not written down: what looks like one is refused in a recipe and masked in a record of the command."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oger.terminal.errors import UserError

MASK = "***"

_SECRET_NAME = re.compile(
    r"(?:^|.*[-_.])(?:api[-_]?key|access[-_]?key|password|passwd|secret|credentials?|authorization)"
    r"|(?:(?:hub|hf|auth|use_auth|push_to_hub|access|api|bearer|secret|wandb|openai)[-_])?token",
    re.IGNORECASE,
)
_PASSWORD_IN_ADDRESS = re.compile(r"(\w://)[^/@\s]+@")


def names_secret(name: str) -> bool:
    """Whether a name is one that secrets go by.

    >>> names_secret("api_key"), names_secret("HF_TOKEN"), names_secret("eos_token"), names_secret("max_tokens")
    (True, True, False, False)
    """
    return _SECRET_NAME.fullmatch(name.lstrip("-")) is not None


def find_secrets(value: Any, path: str = "") -> Iterator[str]:
    """Where a document holds what looks like a secret: dotted paths of texts under such a name, and of addresses with
    a password in them."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from find_secrets(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from find_secrets(inner, path)
    elif isinstance(value, str) and value:
        named = names_secret(path.rpartition(".")[2])
        if named or _PASSWORD_IN_ADDRESS.search(value):
            yield path


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """A command line with "***" for what looks like a secret.

    >>> without_secrets(["--api-key", "x", "token=y", "url=https://me:pw@host/v1", "--api-key-env", "KEY"])
    ['--api-key', '***', 'token=***', 'url=https://***@host/v1', '--api-key-env', 'KEY']
    """
    shown = []
    named = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if named:
            shown.append(MASK)
        elif equals and names_secret(name):
            shown.append(f"{name}={MASK}")
        else:
            shown.append(_PASSWORD_IN_ADDRESS.sub(rf"\g<1>{MASK}@", argument))
        named = not named and argument.startswith("--") and not equals and names_secret(name)
    return shown


def api_key(variable: str | None) -> str | None:
    """The key in an environment variable. Without one none is sent: a key that lies there is for another server.

    Raises:
        UserError: the variable is not set.
    """
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise UserError(f"the environment variable {variable} is not set; it should hold the API key")
    return key
