"""The initial policy as an encoder: the mean of its hidden states, from its own frozen copy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from oger.encoders import check_identity, create_encoder, identity_record
from tests.support.encoder_models import make_policy

TEXTS = ["1+2=3", "a = b c d e f g h 9+9", "7", "3+4=7 so 7. " * 5]


def naive(folder: Path, text: str, window: int) -> torch.Tensor:
    """Sum of the causal model's own last hidden states, one even chunk after the other, one text at a time."""
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"]
    bos = AutoTokenizer.from_pretrained(folder)("1")["input_ids"][:-1]
    room = window - len(bos)
    count = -(-len(ids) // room)
    total = torch.zeros(model.config.hidden_size)
    for number in range(count):
        chunk = ids[len(ids) * number // count : len(ids) * (number + 1) // count]
        with torch.no_grad():
            states = model(torch.tensor([bos + chunk]), output_hidden_states=True).hidden_states[-1][0]
        total += states[len(bos) :].sum(dim=0)
    return total / total.norm()


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("window", [None, 20])
def test_vectors_are_the_mean_of_last_hidden_states(tmp_path: Path, special: bool, window: int | None) -> None:
    folder = make_policy(tmp_path, special=special)
    encoder = create_encoder(f"policy-init:{folder}", device="cpu", window=window, batch_tokens=64)
    texts = [*TEXTS, "3+4=7 so 7. " * 40]  # 480 tokens: longer than the 128 positions
    expected = torch.stack([naive(folder, text, window or 128) for text in texts])
    torch.testing.assert_close(encoder.encode(texts), expected, atol=1e-6, rtol=0)


def test_the_window_is_the_positions_of_the_policy(tmp_path: Path) -> None:
    identity = create_encoder(f"policy-init:{make_policy(tmp_path)}", device="cpu").identity
    assert (identity.name, identity.window, identity.dimension) == ("policy-init", 128, 32)


def test_training_the_policy_does_not_change_the_encoder(tmp_path: Path) -> None:
    folder = make_policy(tmp_path)
    encoder = create_encoder(f"policy-init:{folder}", device="cpu")
    before = encoder.encode(TEXTS)
    policy = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.1)
    assert torch.equal(encoder.encode(TEXTS), before)
    assert not any(parameter.requires_grad for parameter in encoder._model.parameters())  # type: ignore[attr-defined]


def test_a_trained_policy_in_the_place_of_the_initial_one_is_refused(tmp_path: Path) -> None:
    folder = make_policy(tmp_path / "policy")
    stored = identity_record(create_encoder(f"policy-init:{folder}", device="cpu"))
    policy = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        policy.model.norm.weight[0] += 1e-3
    policy.save_pretrained(tmp_path / "trained")
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "trained")
    with pytest.raises(ValueError, match="revision was"):
        check_identity(stored, create_encoder(f"policy-init:{tmp_path / 'trained'}", device="cpu"))
    check_identity(stored, create_encoder(f"policy-init:{folder}", device="cpu"))
