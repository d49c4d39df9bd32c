"""Sentence encoders: the library's own vectors for short texts, pieces for long ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from oger.encoders import create_encoder
from oger.encoders.sentence import SentenceEncoder
from tests.support.encoder_models import MINILM, make_roberta, make_static

SHORT = ["3 + 4 = 7", "sum of a b c", "a = b " * 3, "d"]


@pytest.fixture(scope="module")
def minilm() -> Any:
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(MINILM), device="cpu")


@pytest.mark.parametrize("prompt", ["", "query: ", "Represent this solution:"])
def test_short_texts_get_the_vectors_of_the_library(minilm: Any, prompt: str) -> None:
    texts = [*SHORT, "Größe: 3 ≤ x, 日本語 🙂", "the sum of the digits " * 40]
    encoder = create_encoder(f"sentence-transformers:{MINILM}", device="cpu", prompt=prompt)
    assert (encoder.identity.window, encoder.identity.dimension) == (256, 384)
    expected = minilm.encode(texts, prompt=prompt or None, convert_to_tensor=True)
    torch.testing.assert_close(encoder.encode(texts), expected, atol=1e-6, rtol=0)


def test_the_library_is_blind_where_the_encoder_sees_the_tail(minilm: Any) -> None:
    body = "the sum of the digits is " * 200
    texts = [body + "forty-one, a prime", body + "a purple elephant"]
    cut = minilm.encode(texts, convert_to_tensor=True)
    torch.testing.assert_close(cut[0], cut[1], atol=1e-6, rtol=0)
    read = create_encoder(f"sentence-transformers:{MINILM}", device="cpu").encode(texts)
    assert (read[0] - read[1]).abs().max() > 1e-3


def test_a_long_text_is_the_weighted_mean_of_the_librarys_vectors_of_its_pieces(minilm: Any) -> None:
    # 300 words of one token each, window 256 less 2 special tokens: two pieces of 150 words.
    words = ["sum", "of", "the", "first", "ten"] * 60
    pieces = minilm.encode([" ".join(words[:150]), " ".join(words[150:])], convert_to_tensor=True)
    expected = torch.nn.functional.normalize(pieces.mean(dim=0), dim=0)
    found = create_encoder(f"sentence-transformers:{MINILM}", device="cpu").encode([" ".join(words)])[0]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_a_model_that_leaves_the_prompt_out_of_its_pooling_does_so_here(minilm: Any) -> None:
    minilm.set_pooling_include_prompt(False)
    try:
        encoder = SentenceEncoder(minilm, "x", prompt="query: ", window=None, batch_tokens=8192)
        expected = minilm.encode(SHORT, prompt="query: ", convert_to_tensor=True)
        torch.testing.assert_close(encoder.encode(SHORT), expected, atol=1e-6, rtol=0)
    finally:
        minilm.set_pooling_include_prompt(True)
    with_prompt = minilm.encode(SHORT, prompt="query: ", convert_to_tensor=True)
    assert (with_prompt - expected).abs().max() > 1e-3


def test_prompts_of_the_model_are_used_by_name_and_unasked_where_it_has_a_default(minilm: Any, tmp_path: Path) -> None:
    minilm.prompts, minilm.default_prompt_name = {"passage": "passage: ", "query": "query: "}, "query"
    try:
        minilm.save(str(tmp_path), create_model_card=False)
    finally:
        minilm.prompts, minilm.default_prompt_name = {}, None
    spec = f"sentence-transformers:{tmp_path}"
    unasked = create_encoder(spec, device="cpu")
    assert unasked.identity == create_encoder(spec, device="cpu", prompt="query: ").identity
    named = create_encoder(spec, device="cpu", prompt_name="passage")
    assert torch.equal(named.encode(SHORT), create_encoder(spec, device="cpu", prompt="passage: ").encode(SHORT))
    assert not torch.allclose(named.encode(SHORT), unasked.encode(SHORT), atol=1e-3)
    with pytest.raises(ValueError, match="did you mean 'passage'"):
        create_encoder(spec, device="cpu", prompt_name="pasage")


def test_positions_kept_for_padding_are_not_part_of_the_window(tmp_path: Path) -> None:
    encoder = create_encoder(f"sentence-transformers:{make_roberta(tmp_path)}", device="cpu")
    assert encoder.identity.window == 33  # 34 positions, numbered from padding_idx + 1 = 1
    assert encoder.encode(["a " * 31, "a " * 32, "a b " * 500]).norm(dim=1).tolist() == pytest.approx([1, 1, 1])


def test_a_static_model_is_read_whole_through_this_library_too(tmp_path: Path) -> None:
    folder = make_static(tmp_path)
    encoder = create_encoder(f"sentence-transformers:{folder}", device="cpu")
    assert encoder.identity.window is None
    texts = ["3 + 4", "", "a b c " * 300, "3 + 4"]
    torch.testing.assert_close(encoder.encode(texts), create_encoder(f"static:{folder}").encode(texts))


def test_the_encoder_is_frozen(tmp_path: Path) -> None:
    encoder = create_encoder(f"sentence-transformers:{make_roberta(tmp_path)}", device="cpu")
    model = encoder._model  # type: ignore[attr-defined]
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
