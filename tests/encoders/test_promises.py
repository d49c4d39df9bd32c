"""What every encoder promises, asked of each of them with a real model behind it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from oger.encoders import CachedEncoder, Encoder, create_encoder
from tests.support.encoder_models import MINILM, make_policy, make_roberta, make_static

TEXTS = [
    "3 + 4 = 7 so 7",
    "sum of digit 1 2 : 18-12=6, 12-6=6, \\boxed{6}",
    "Größe: 3 ≤ x, 日本語 🙂",
    "a b c d e f g h",
    "3 + 4 = 7 so 7",
    "a = b " * 30,
]
LONG = "sum + digit = 4 a b c " * 80  # several windows of every encoder

SPECS: dict[str, Callable[[Path], tuple[str, dict[str, object]]]] = {
    "ngram": lambda folder: ("ngram", {}),
    "ngram:word": lambda folder: ("ngram:word", {}),
    "static": lambda folder: (f"static:{make_static(folder)}", {}),
    "static float16": lambda folder: (f"static:{make_static(folder, dtype='float16')}", {}),
    "policy-init": lambda folder: (f"policy-init:{make_policy(folder)}", {"device": "cpu", "batch_tokens": 300}),
    "policy-init bfloat16": lambda folder: (
        f"policy-init:{make_policy(folder)}",
        {"device": "cpu", "dtype": "bfloat16"},
    ),
    "roberta": lambda folder: (f"sentence-transformers:{make_roberta(folder)}", {"device": "cpu", "batch_tokens": 100}),
    "roberta float16": lambda folder: (
        f"sentence-transformers:{make_roberta(folder)}",
        {"device": "cpu", "dtype": "float16"},
    ),
    "minilm": lambda folder: (f"sentence-transformers:{MINILM}", {"device": "cpu"}),
    "equations": lambda folder: ("ngram", {"part": "equations"}),
}
HALF = ("bfloat16", "float16")


@pytest.fixture(scope="module", params=SPECS)
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    name = request.param
    spec, options = SPECS[name](tmp_path_factory.mktemp("model"))
    made = create_encoder(spec, **options)
    made.is_half = name.startswith(("policy", "roberta")) and name.endswith(HALF)  # type: ignore[attr-defined]
    return made


def test_rows_are_float32_of_length_one_and_of_the_declared_dimension(encoder: Encoder) -> None:
    vectors_NE = encoder.encode(TEXTS)
    assert isinstance(encoder, Encoder)
    assert vectors_NE.shape == (len(TEXTS), encoder.identity.dimension)
    assert (vectors_NE.dtype, vectors_NE.device.type, vectors_NE.requires_grad) == (torch.float32, "cpu", False)
    norms = vectors_NE.norm(dim=1)
    filled = norms > 0
    torch.testing.assert_close(norms[filled], torch.ones(int(filled.sum())), atol=1e-6, rtol=0)
    assert filled[[0, 1, 4, 5]].all()


def test_order_is_kept_and_equal_texts_have_equal_rows(encoder: Encoder) -> None:
    forward, backward = encoder.encode(TEXTS), encoder.encode(TEXTS[::-1])
    assert torch.equal(forward[0], forward[4])
    torch.testing.assert_close(forward, backward.flip(0), atol=1e-2 if encoder.is_half else 1e-6, rtol=0)  # type: ignore[attr-defined]
    assert not torch.allclose(forward[0], forward[1], atol=1e-2)


def test_a_vector_does_not_depend_on_the_texts_beside_it(encoder: Encoder) -> None:
    texts = [*TEXTS, LONG, "", *("7 + 1 " * count for count in range(1, 40, 3))]
    together = encoder.encode(texts)
    alone = torch.cat([encoder.encode([text]) for text in texts])
    assert (together - alone).abs().max() <= (1e-2 if encoder.is_half else 1e-6)  # type: ignore[attr-defined]


def test_changing_only_the_tail_of_a_long_text_changes_its_vector(encoder: Encoder) -> None:
    one, other = encoder.encode([LONG + "1 = 2", LONG + "7 > 9"])
    assert (one - other).abs().max() > 1e-4
    assert float(one @ other) > 0.9  # and only a little


def test_texts_with_nothing_in_them_give_zero_rows(encoder: Encoder) -> None:
    vectors_NE = encoder.encode(["", " \n\t ", "3 + 4 = 7"])
    assert not vectors_NE[:2].any()
    assert vectors_NE[2].any()
    assert not encoder.encode([""]).any()
    assert encoder.encode([]).shape == (0, encoder.identity.dimension)


def test_a_lone_surrogate_does_not_stop_a_run(encoder: Encoder) -> None:
    vector_1E = encoder.encode(["a = 3 + 4 \ud83d = 7"])
    assert vector_1E.isfinite().all()
    torch.testing.assert_close(vector_1E, encoder.encode(["a = 3 + 4 � = 7"]), atol=1e-6, rtol=0)


def test_one_text_instead_of_a_list_is_refused(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="sequence of texts"):
        encoder.encode("3 + 4")


def test_a_cache_hit_has_the_same_bits(encoder: Encoder, tmp_path: Path) -> None:
    first = CachedEncoder(encoder, tmp_path).encode([*TEXTS, "", LONG])
    again = CachedEncoder(encoder, tmp_path)
    assert torch.equal(again.encode([*TEXTS, "", LONG]), first)
    assert again.computed == 0


def test_another_process_makes_the_same_bits(tmp_path: Path) -> None:
    static = f"static:{make_static(tmp_path)}"
    code = (
        "import hashlib, sys; from oger.encoders import create_encoder\n"
        "for spec in sys.argv[1:]:\n"
        f"    print(hashlib.sha256(create_encoder(spec).encode({TEXTS!r}).numpy().tobytes()).hexdigest())"
    )
    specs = ["ngram", "ngram:word", static]
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    run = subprocess.run(
        [sys.executable, "-c", code, *specs], env=environment, capture_output=True, text=True, check=True
    )
    here = [hashlib.sha256(create_encoder(spec).encode(TEXTS).numpy().tobytes()).hexdigest() for spec in specs]
    assert run.stdout.split() == here
