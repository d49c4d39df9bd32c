"""Which field of a request a server's own words are about, and when they are about its value."""

from __future__ import annotations

import pytest

from oger.endpoint.reply import ReplyError, refused_field

SAMPLING = ("max_tokens", "max_completion_tokens", "temperature", "top_p", "seed")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("`temperature` and `top_p` cannot both be specified for this model. Please use only one.", "top_p"),
        ("This model does not accept the parameter seed.", "seed"),
        ("top_p must be omitted for reasoning models", "top_p"),
        ("invalid temperature: only 1 is allowed for this model", "temperature"),
        ("Invalid 'temperature': must be 1 for this model.", "temperature"),
        ("seed is not yet implemented", "seed"),
        ("[{'type': 'extra_forbidden', 'loc': ('body', 'seed'), 'msg': 'Extra inputs are not permitted'}]", "seed"),
    ],
)
def test_what_servers_say_of_a_field_that_they_do_not_take(message: str, field: str) -> None:
    assert refused_field(ReplyError(message, ""), SAMPLING) == field


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 9000. This model supports at most 4096 completion tokens",
        "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (max_tokens).",
        "temperature must be between 0 and 2",
        "'seed' must be an integer",
    ],
)
def test_a_wrong_value_is_no_unknown_field(message: str) -> None:
    assert refused_field(ReplyError(message, "invalid_value", "max_tokens"), SAMPLING) is None
