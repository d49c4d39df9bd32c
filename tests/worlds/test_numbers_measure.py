"""The measures of the numbers world, against texts and a policy whose answers are known."""

import json
import math

import pytest
import torch
from transformers import LlamaForCausalLM

from oger.worlds.arithmetic.tokenizer import build_tokenizer
from oger.worlds.numbers import measure as module
from oger.worlds.numbers.measure import Sample, measure, sample
from oger.worlds.numbers.policy_recipe import policy_config

RIGHT = r"3*7=21 24-21=3 5-2=3 \boxed{(3*7)+(5-2)}"
OTHER = r"3*7=21 21+5=26 26-2=24 \boxed{((3*7)+5)-2}"
WRONG = r"\boxed{3*7+5+2}"


def row(teachers: list[str]) -> dict[str, object]:
    metadata = json.dumps({"metadata": {"numbers": [3, 7, 2, 5], "target": 24}})
    written = [{"teacher": "a", "text": text} for text in teachers]
    return {"prompt": "3,7,2,5:24\n", "metadata": metadata, "family": "four", "teachers": written}


def test_measures_of_known_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [[RIGHT, RIGHT, OTHER, OTHER, WRONG, WRONG, "3*7", WRONG], [WRONG] * 7 + [RIGHT]]
    entropies = {RIGHT: 0.0, OTHER: math.log(2)}
    made = [[Sample(text, entropies.get(text, 0.0), len(text)) for text in of] for of in texts]
    monkeypatch.setattr(module, "sample", lambda *args, **kwargs: made)
    measures = measure(None, None, [row([RIGHT]), row([])], num_samples=8, max_new_tokens=3, seed=0)  # type: ignore[arg-type]
    assert measures.pass_at == pytest.approx({"1": 5 / 16, "8": 1.0, "four": 5 / 16})
    assert measures.unboxed == 1 / 16
    assert measures.truncated == 1 / 16
    assert measures.distinct == 0.5  # one group with two texts among four right ones, one group with too few
    assert measures.distinct_correct == 1.5
    assert measures.sorts == {"products": 0.6, "pairs": 0.0, "backward": 0.0, "own": 0.4, "new": 0.0}
    divergence = 1 - float(torch.dot(*module.NgramEncoder().encode([RIGHT, OTHER])))
    assert measures.bonus_std == pytest.approx(divergence / 2 / 2, rel=1e-4)  # bonuses 0, 0, D/2, D/2


def test_sampling_gives_what_the_policy_is_certain_of_and_ends_at_eos() -> None:
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    model = LlamaForCausalLM(policy_config(tokenizer)).eval()
    with torch.no_grad():
        model.lm_head.weight.mul_(200)  # so certain that a draw is the argmax
    prompts = ["3,7,2,5:24\n", "1,2,3:6\n", "12,11,7,2:40\n"]
    made = sample(model, tokenizer, prompts, num_samples=2, max_new_tokens=12, seed=0)
    for prompt, responses in zip(prompts, made, strict=True):
        ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
        greedy = model.generate(ids, do_sample=False, max_new_tokens=12)[0, ids.shape[1] :]
        expected = tokenizer.decode(greedy, skip_special_tokens=True)
        assert [response.text for response in responses] == [expected] * 2
        assert all(response.num_tokens == len(greedy) for response in responses)


def test_sampling_follows_the_seed_and_keeps_rows_apart() -> None:
    tokenizer = build_tokenizer()
    torch.manual_seed(0)
    model = LlamaForCausalLM(policy_config(tokenizer)).eval()
    with torch.no_grad():
        model.lm_head.weight[tokenizer.eos_token_id] += 0.5 * model.lm_head.weight.std()  # some rows end early
    prompts = ["3,7,2,5:24\n"] * 3
    first, again, other = (
        sample(model, tokenizer, prompts, num_samples=4, max_new_tokens=20, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other
    assert len({response.text for of in first for response in of}) > 6
