"""The shipped base policy: small, loadable as it is, and competent enough for reinforcement learning to start."""

from pathlib import Path

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from oger.worlds import load_world
from oger.worlds.arithmetic.policy_recipe import BOUNDS
from oger.worlds.measure import PassRates, measure_pass_rates


def measured(folder: Path) -> PassRates:
    world = load_world("arithmetic")
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = world.rows("test", limit=200)
    return measure_pass_rates(model, tokenizer, rows, num_samples=8, max_new_tokens=world.max_completion_length, seed=7)


def assert_within_bounds(rates: PassRates) -> None:
    families = {name: rate for name, rate in rates.pass_at_1.items() if name != "all"}
    assert BOUNDS.overall[0] <= rates.pass_at_1["all"] <= BOUNDS.overall[1]
    assert len(families) >= 4
    for name, rate in families.items():
        assert BOUNDS.per_family[0] <= rate <= BOUNDS.per_family[1], name


@pytest.fixture(scope="module")
def rates() -> PassRates:
    return measured(load_world("arithmetic").base_policy())


def test_pass_at_1_is_within_the_bounds_overall_and_in_every_family(rates: PassRates) -> None:
    assert_within_bounds(rates)


def test_there_is_something_to_amplify(rates: PassRates) -> None:
    assert rates.num_samples == 8
    assert 0.5 <= rates.pass_at_k["all"] <= 0.9
    assert rates.pass_at_k["all"] > 1.7 * rates.pass_at_1["all"]
    assert rates.mean_entropy > 0.1


def test_the_policy_is_small() -> None:
    folder = load_world("arithmetic").base_policy()
    assert (folder / "model.safetensors").stat().st_size <= 4_000_000
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert 300_000 <= model.num_parameters() <= 1_000_000
    assert model.dtype == torch.float32


def test_the_third_style_is_unknown_and_the_second_one_faint() -> None:
    """Mean log-probability per token of what the three teachers write, the first one's style being the policy's own."""
    world = load_world("arithmetic")
    folder = world.base_policy()
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    totals = {"methodical": [0.0, 0], "brisk": [0.0, 0], "hasty": [0.0, 0]}
    for row in world.rows("test", limit=80):
        for trajectory in row["teachers"]:
            prompt_length = len(tokenizer(row["prompt"])["input_ids"])
            ids_1T = tokenizer(row["prompt"] + trajectory["text"], return_tensors="pt")["input_ids"]
            with torch.no_grad():
                log_probs = model(ids_1T).logits[0, :-1].log_softmax(-1).gather(1, ids_1T[0, 1:, None])
            totals[trajectory["teacher"]][0] += float(log_probs[prompt_length - 1 :].sum())
            totals[trajectory["teacher"]][1] += len(log_probs) - prompt_length + 1
    own, faint, unknown = (totals[name][0] / totals[name][1] for name in ("methodical", "brisk", "hasty"))
    assert own > faint > unknown
    assert unknown < -1.0


@pytest.mark.soak
def test_one_command_rebuilds_a_policy_of_the_same_kind(tmp_path: Path) -> None:
    from oger.worlds.pretrain import main

    main(["--out", str(tmp_path), "--seed", "1"])
    shipped = load_world("arithmetic").base_policy()
    assert AutoConfig.from_pretrained(tmp_path).to_diff_dict() == AutoConfig.from_pretrained(shipped).to_diff_dict()
    assert (tmp_path / "tokenizer.json").read_text() == (shipped / "tokenizer.json").read_text()
    assert_within_bounds(measured(tmp_path))
