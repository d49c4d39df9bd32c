"""Whether the reward can act on a policy, against a naive count and a naive forward."""

import pytest
import torch

from oger.encoders.ngram import NgramEncoder
from oger.method.divergence import teacher_divergence
from oger.reporting.inspection_policy import OWN, inspect_policy, sentences
from tests.support.tiny import tiny_policy, tiny_tokenizer, toy_rows

ROLLOUTS = [["a ab", "a cd", "b", "a ab"], ["b", "b", "c", "c"]]
OUTCOMES = [[1.0, 1.0, 0.0, 1.0], [1.0, 0.0, None, 0.0]]


@pytest.fixture(scope="module")
def found():
    rows, policy = toy_rows(2), (tiny_policy(), tiny_tokenizer())
    return inspect_policy(rows, policy, NgramEncoder(), ROLLOUTS, OUTCOMES)


def test_variety_is_of_the_correct_rollouts_of_groups_with_two(found) -> None:
    encoder, texts = NgramEncoder(), ["a ab", "a cd", "a ab"]
    teachers = [teacher["text"] for teacher in toy_rows(1)[0]["teachers"]]
    divergence = teacher_divergence(encoder.encode(texts), encoder.encode(teachers))
    assert (found.rollouts, found.correct_share, found.groups) == (8, 0.5, 1)
    assert found.distinct_share == pytest.approx(2 / 3)
    assert found.correct_spread == pytest.approx(float(divergence.double().std(correction=0)))


def test_nats_per_token_are_those_of_one_forward_per_text(found) -> None:
    model, tokenizer = tiny_policy().eval(), tiny_tokenizer()

    def naive(prompt: str, text: str) -> float:
        ids = [tokenizer(prompt)["input_ids"], tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]]
        with torch.no_grad():
            log_probs = model(torch.tensor([ids[0] + ids[1]])).logits[0].log_softmax(-1)
        places = range(len(ids[0]), len(ids[0]) + len(ids[1]))
        return -sum(float(log_probs[place - 1, (ids[0] + ids[1])[place]]) for place in places) / len(ids[1])

    rows = toy_rows(2)
    by_teacher = [[naive(row["prompt"], row["teachers"][t]["text"]) for row in rows] for t in range(2)]
    for name, values in zip(("t0", "t1"), by_teacher, strict=True):
        assert found.nats[name].mean == pytest.approx(sum(values) / 2, rel=1e-5)
    own = [naive(rows[0]["prompt"], text) for text in ("a ab", "a cd")] + [naive(rows[1]["prompt"], "b")]
    assert (found.nats[OWN].count, found.nats[OWN].mean) == (3, pytest.approx(sum(own) / 3, rel=1e-5))
    apart = [abs(first - second) for first, second in zip(*by_teacher, strict=True)]
    assert found.conflict == pytest.approx(sum(apart) / 2, rel=1e-4)


def test_a_text_with_an_end_inside_is_left_out() -> None:
    rows = toy_rows(1, num_teachers=1)
    rows[0]["teachers"].append({"text": "a<eos>b", "teacher": "broken", "verdict": 1.0})
    found = inspect_policy(rows, (tiny_policy(), tiny_tokenizer()), NgramEncoder(), [["a"]], [[1.0]])
    assert set(found.nats) == {OWN, "t0"}
    assert found.conflict is None


def test_the_sentences_say_whether_the_reward_can_act(found) -> None:
    policy = tiny_policy(), tiny_tokenizer()

    def said(rollouts: list[str], outcomes: list[float]) -> str:
        return sentences(inspect_policy(toy_rows(1), policy, NgramEncoder(), [rollouts], [outcomes]))

    assert "nothing to tell apart" in said(["a b"] * 4, [1.0] * 4)
    assert "nothing to compare yet" in said(["a b"] * 4, [1.0, 0.0, 0.0, 0.0])
    assert "can act" in said(["0+0 a.", "hhh ??? bbb 999", "0+0 a.d", "==="], [1.0] * 4)
