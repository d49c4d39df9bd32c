r"""What would it save to compute the prompt of a group once in the update, instead of once for each of its rollouts?

    python -m benchmarks.shared_prompt            # under a minute on an idle core

One group of 8 rollouts, a policy with the widths of SmolLM2-135M and a tenth of its layers and words (so that the head
is the same part of it), forward and backward of the log-probabilities of the responses, two ways in turn:

- rows: prompt and response of every rollout, as a training forward without padding has them;
- shared: the prompt once, its keys and values given to all rows, whose gradients come back together.

Both give the same gradients (printed). Prints seconds on the CPU and, last, one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from oger.method.chunked_head import chunked_log_probs

GROUP, RESPONSE = 8, 64
PROMPTS = {"numbers": 24, "word problems": 160, "paper": 512}
"""Tokens of a prompt, about."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = policy()
    line: dict[str, Any] = {"load_average": round(os.getloadavg()[0], 1)}
    for name, prompt in PROMPTS.items():
        ids_BT = torch.randint(4, model.config.vocab_size, (GROUP, prompt + RESPONSE))
        ids_BT[:, :prompt] = ids_BT[0, :prompt]
        times: dict[str, list[float]] = {"rows": [], "shared": []}
        gradients: dict[str, Tensor] = {}
        for _ in range(rounds):
            for way, log_probs in (("rows", by_rows), ("shared", by_shared_prompt)):
                model.zero_grad()
                began = time.process_time()
                log_probs(model, ids_BT, prompt).mean().backward()
                times[way].append(time.process_time() - began)
                gradients[way] = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        apart = float((gradients["rows"] - gradients["shared"]).norm() / gradients["rows"].norm())
        ratio = statistics.median(b / a for a, b in zip(times["rows"], times["shared"], strict=True))
        positions = (prompt + GROUP * RESPONSE) / (GROUP * (prompt + RESPONSE))
        seconds = {way: round(statistics.median(each), 3) for way, each in times.items()}
        line[name] = {"prompt": prompt, "ratio": round(ratio, 3), "positions": round(positions, 3), **seconds}
        print(f"{name}: {seconds}, shared / rows {ratio:.3f}; gradients {apart:.1e} of their norm apart")
    print(json.dumps(line))


def policy() -> Any:
    """A tenth of SmolLM2-135M, random."""
    config = LlamaConfig(
        vocab_size=4_915, hidden_size=576, intermediate_size=1_536, num_hidden_layers=3, num_attention_heads=9,
        num_key_value_heads=3, tie_word_embeddings=True,
    )  # fmt: skip
    return LlamaForCausalLM(config).train()


def by_rows(model: Any, ids_BT: Tensor, prompt: int) -> Tensor:
    """Log-probabilities of the responses, every row on its own."""
    hidden_BTD = model.model(ids_BT, use_cache=False).last_hidden_state[:, prompt - 1 : -1]
    return _scored(model, hidden_BTD, ids_BT[:, prompt:])


def by_shared_prompt(model: Any, ids_BT: Tensor, prompt: int) -> Tensor:
    """The same, with the prompt computed once."""
    cache = DynamicCache(config=model.config)
    first_1PD = model.model(ids_BT[:1, :prompt], past_key_values=cache, use_cache=True).last_hidden_state
    cache.batch_repeat_interleave(len(ids_BT))
    rest_BTD = model.model(ids_BT[:, prompt:-1], past_key_values=cache, use_cache=True).last_hidden_state
    hidden_BTD = torch.cat([first_1PD[:, -1:].expand(len(ids_BT), -1, -1), rest_BTD], dim=1)
    return _scored(model, hidden_BTD, ids_BT[:, prompt:])


def _scored(model: Any, hidden_BTD: Tensor, targets_BT: Tensor) -> Tensor:
    logp_N, _ = chunked_log_probs(hidden_BTD.flatten(0, 1), model.lm_head.weight, targets_BT.flatten())
    return logp_N


if __name__ == "__main__":
    main()
