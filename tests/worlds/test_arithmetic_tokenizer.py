"""The tokenizer gives back exactly what it was given, also after loading it the way a trainer does."""

import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from oger.worlds import load_world
from oger.worlds.arithmetic.problems import draw_split
from oger.worlds.arithmetic.teachers import TEACHERS, solve
from oger.worlds.arithmetic.tokenizer import BOXED, build_tokenizer
from oger.worlds.arithmetic.world import PARTS, ArithmeticWorld


@pytest.fixture(scope="module")
def shipped() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(load_world("arithmetic").base_policy())


@pytest.mark.parametrize("split", ArithmeticWorld.splits)
def test_every_text_of_the_world_survives_a_round_trip(shipped: PreTrainedTokenizerBase, split: str) -> None:
    rows = load_world("arithmetic").raw_trajectories(split)
    texts = [row["prompt"] + trajectory["text"] for row in rows for trajectory in row["teachers"]]
    encoded = shipped(texts)["input_ids"]
    assert shipped.batch_decode(encoded) == texts
    assert not any(shipped.unk_token_id in ids for ids in encoded)


def test_the_shipped_tokenizer_is_the_one_that_the_code_builds(shipped: PreTrainedTokenizerBase) -> None:
    built = build_tokenizer()
    text = "gcd(48,36)=?\n48%36=12 36%12=0 \\boxed{12}"
    assert shipped.get_vocab() == built.get_vocab()
    assert shipped(text)["input_ids"] == built(text)["input_ids"]
    assert (shipped.pad_token, shipped.eos_token, shipped.unk_token) == (
        built.pad_token,
        built.eos_token,
        built.unk_token,
    )
    assert shipped.padding_side == "left"


def test_special_tokens_are_distinct_and_vanish_in_decoding(shipped: PreTrainedTokenizerBase) -> None:
    special = [shipped.pad_token_id, shipped.eos_token_id, shipped.unk_token_id]
    assert len(set(special)) == 3
    ids = shipped("\\boxed{1}")["input_ids"]
    assert ids[0] == shipped.convert_tokens_to_ids(BOXED)
    padded = [shipped.pad_token_id, *ids, shipped.eos_token_id, shipped.pad_token_id]
    assert shipped.decode(padded, skip_special_tokens=True) == "\\boxed{1}"


def test_any_printable_text_can_be_read(shipped: PreTrainedTokenizerBase) -> None:
    text = "What is 2 + 2?  (two  spaces)\n'quoted' <b>, a/b ~ {c}"
    assert shipped.decode(shipped(text)["input_ids"]) == text


@pytest.mark.parametrize("split", ArithmeticWorld.splits)
def test_right_teacher_trajectories_fit_the_completion_limit_with_their_eos(
    shipped: PreTrainedTokenizerBase, split: str
) -> None:
    world = load_world("arithmetic")
    draws = [draw for part in PARTS[split] for draw in draw_split(part, 0)]
    texts = [solve(draw.family, draw.problem, style).text for draw in draws for style in range(len(TEACHERS))]
    assert max(map(len, shipped(texts)["input_ids"])) + 1 <= world.max_completion_length
