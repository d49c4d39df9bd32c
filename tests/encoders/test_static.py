"""Static embeddings: the mean over the whole text, whatever the model's own limit says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from model2vec import StaticModel

from oger.encoders import create_encoder
from tests.support.encoder_models import make_static, word_tokenizer


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_vector_is_the_mean_of_all_token_vectors(tmp_path: Path, dtype: str) -> None:
    folder = make_static(tmp_path, dtype=dtype, max_length=4)
    table = StaticModel.from_pretrained(folder).embedding.astype(np.float64)
    tokenizer = word_tokenizer()
    text = "3 + 4 = 7 sum digit a b c " * 20
    mean = table[tokenizer.encode(text).ids].mean(axis=0)
    expected = torch.tensor(mean / np.linalg.norm(mean), dtype=torch.float32)
    found = create_encoder(f"static:{folder}").encode([text])[0]
    torch.testing.assert_close(found, expected, atol=2e-3 if dtype == "float16" else 1e-6, rtol=0)


def test_unknown_words_alone_give_the_zero_row(tmp_path: Path) -> None:
    assert not create_encoder(f"static:{make_static(tmp_path)}").encode(["zebra okapi"]).any()


def test_other_vectors_are_another_revision(tmp_path: Path) -> None:
    one, other = make_static(tmp_path / "one"), make_static(tmp_path / "other", seed=1)
    identities = [create_encoder(f"static:{folder}").identity for folder in (one, other)]
    assert identities[0].revision != identities[1].revision
    assert identities[0] == create_encoder(f"static:{make_static(tmp_path / 'again')}").identity
