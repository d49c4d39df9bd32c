"""Long texts are cut on token boundaries, no piece exceeds the window, and nothing is left out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import processors
from transformers import PreTrainedTokenizerFast

from oger.encoders.window import Piece, TokenWindow, encode_in_pieces, window_size
from tests.support.encoder_models import word_tokenizer


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = word_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    tokenizer.enable_truncation(4)  # as the files of real models have it: it must not cut anything here
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", model_max_length=8)


TOKENIZER = make_tokenizer()


@given(
    counts=st.lists(st.integers(0, 60), max_size=5),
    size=st.integers(6, 20),
    prompt=st.sampled_from(["", "query : ", "query"]),
)
def test_pieces_fit_and_join_to_the_text(counts: list[int], size: int, prompt: str) -> None:
    texts = [" ".join("abcdefgh"[index % 8] for index in range(count)) for count in counts]
    window = TokenWindow(TOKENIZER, size, prompt)
    pieces = window.pieces(texts)
    assert all(len(piece.ids) <= size for piece in pieces)
    for index, text in enumerate(texts):
        whole = TOKENIZER(prompt + text, add_special_tokens=False, truncation=False)["input_ids"] if text else []
        own = [piece for piece in pieces if piece.text == index]
        head, joined = whole[: window.prompt_tokens], []
        for piece in own:
            assert piece.ids[: 1 + window.prompt_tokens] == [2, *head]
            assert piece.ids[-1] == 3
            joined += piece.ids[1 + window.prompt_tokens : -1]
        assert joined == whole[window.prompt_tokens :]
        lengths = [piece.own_tokens for piece in own]
        assert sum(lengths) == len(joined)
        assert not lengths or max(lengths) - min(lengths) <= 1


def test_a_text_of_exactly_the_window_is_one_piece_and_one_more_token_makes_two() -> None:
    window = TokenWindow(TOKENIZER, 6)
    assert [piece.own_tokens for piece in window.pieces(["a b c d"])] == [4]
    assert [piece.own_tokens for piece in window.pieces(["a b c d e"])] == [2, 3]


def test_without_a_limit_every_text_is_one_piece() -> None:
    assert [piece.own_tokens for piece in TokenWindow(TOKENIZER, None).pieces(["a " * 500])] == [500]


def test_a_prompt_that_fills_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="take 4 tokens: no room in a window of 4"):
        TokenWindow(TOKENIZER, 4, "query : ")


def count_tokens(pieces: list[Piece]) -> torch.Tensor:
    """Stands for a model: counts of two words in a piece."""
    words = torch.tensor(TOKENIZER.convert_tokens_to_ids(["a", "b"]))
    return torch.stack([(torch.tensor(piece.ids)[:, None] == words).float().mean(dim=0) for piece in pieces])


def test_a_vector_is_the_mean_of_its_pieces_weighted_by_tokens() -> None:
    # "a a b" and "b b" (2 + 3 tokens, each with two special ones): shares (2/4, 0) and (0... by hand below.
    window = TokenWindow(TOKENIZER, 5)
    pieces = window.pieces(["a a b b b"])
    assert [piece.own_tokens for piece in pieces] == [2, 3]
    # a: 2 of 4 ids, then 0 of 5; b: 0 of 4, then 3 of 5; times 2 and 3 tokens: (1, 9/5).
    vector = encode_in_pieces(["a a b b b"], window, count_tokens, dimension=2, batch_tokens=100)[0]
    torch.testing.assert_close(vector, torch.tensor([5.0, 9.0]) / (25 + 81) ** 0.5)


@pytest.mark.parametrize("batch_tokens", [1, 10, 37, 1000])
def test_batches_keep_to_their_size_and_reach_every_text(batch_tokens: int) -> None:
    seen: list[list[int]] = []

    def forward(pieces: list[Piece]) -> torch.Tensor:
        seen.append([len(piece.ids) for piece in pieces])
        return count_tokens(pieces)

    texts = ["a " * count + "b" for count in (3, 30, 1, 7, 0, 12)] * 60  # more than are tokenised together
    texts = [f"{text} {'c ' * (index // 6)}" for index, text in enumerate(texts)]
    window = TokenWindow(TOKENIZER, 10)
    together = encode_in_pieces(texts, window, forward, dimension=2, batch_tokens=batch_tokens)
    assert all(len(lengths) == 1 or len(lengths) * max(lengths) <= batch_tokens for lengths in seen)
    alone = torch.cat(
        [encode_in_pieces([text], window, count_tokens, dimension=2, batch_tokens=1000) for text in texts]
    )
    torch.testing.assert_close(together, alone)


def test_a_vector_that_is_not_finite_is_refused() -> None:
    def forward(pieces: list[Piece]) -> torch.Tensor:
        return torch.full((len(pieces), 2), float("nan"))

    with pytest.raises(ValueError, match="not finite"):
        encode_in_pieces(["a"], TokenWindow(TOKENIZER, 8), forward, dimension=2, batch_tokens=10)


@pytest.mark.parametrize(
    ("limits", "asked", "expected"),
    [([256, 512], None, 256), ([1e30, None], None, None), ([1e30, 512], 100, 100), ([float("inf")], 9, 9), ([7], 7, 7)],
)
def test_the_window_is_the_smallest_known_limit(limits: list[Any], asked: int | None, expected: int | None) -> None:
    assert window_size(limits, asked) == expected


@pytest.mark.parametrize("asked", [0, -1, 8])
def test_a_window_that_the_model_does_not_have_is_refused(asked: int) -> None:
    with pytest.raises(ValueError, match="at most 7"):
        window_size([7], asked)
