"""Two processes (gloo): ranks stay in step and agree, and an optimiser step is one of the rows of both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.ranked_steps import RATE, STEPS
from tests.support.tiny import tiny_policy

ROOT = Path(__file__).parents[2]


def on_two_ranks(module: str, folder: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", f"tests.support.{module}", str(folder)]
    paths = os.pathsep.join(path for path in (str(ROOT), os.environ.get("PYTHONPATH")) if path)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "ACCELERATE_USE_CPU": "true"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def test_a_rank_without_teacher_rows_stays_in_step(tmp_path: Path) -> None:
    on_two_ranks("two_ranks", tmp_path)
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1))
    assert first["world_size"] == second["world_size"] == 2, "the launcher started one process only"
    assert first["weights"] == second["weights"], "every weight, bit by bit"
    assert second["rows"] == [], "only the main process records"
    groups = {row["group"] for row in first["rows"]}
    assert groups == {0, 1, 2, 3}
    with_teacher = {row["group"] for row in first["rows"] if row["origin"] == "teacher"}
    assert with_teacher == {0, 1}
    online = [row for row in first["rows"] if row["origin"] != "teacher" and row["step"] == 1]
    assert first["log"][0]["reward/outcome"] == pytest.approx(sum(row["outcome"] for row in online) / len(online))
    assert first["log"][0]["group/plain_share"] == 0.5
    histograms = [json.loads(line) for line in (tmp_path / "run" / "histograms.jsonl").read_text().splitlines()]
    correct = [row for row in first["rows"] if row["step"] == 1 and row["origin"] == "online" and row["outcome"] == 1]
    assert sum(histograms[0]["divergence"]["counts"]) == len(correct), "the rows of both ranks are counted"


def test_each_of_two_steps_per_batch_divides_by_the_tokens_of_both_ranks(tmp_path: Path) -> None:
    """The gradient of `paper_text` with imitation beside it, row by row: one divisor for each stream of each step."""
    on_two_ranks("ranked_steps", tmp_path)
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1)]
    policy = tiny_policy()
    sizes = []
    for step in range(STEPS):
        before, after = (ranks[0]["weights"][at] for at in (step, step + 1))
        policy.load_state_dict(before, strict=False)
        micro_batches = [micro_batch for rank in ranks for micro_batch in rank["rows"][step]]
        losses: list[Tensor] = []
        imitated: list[Tensor] = []
        for part in micro_batches:
            for row in range(len(part["advantages"])):
                losses.append(token_losses(policy, part, row))
                if part["imitated_mask"][row].any():
                    imitated.append(-token_logps(policy, part, row, "imitated"))
        loss = torch.cat(losses).sum() / sum(map(len, losses)) + 0.5 * torch.cat(imitated).sum() / sum(
            map(len, imitated)
        )
        policy.zero_grad()
        loss.backward()
        moved = torch.cat([(before[name] - after[name]).flatten() for name, _ in policy.named_parameters()]) / RATE
        expected = torch.cat([p.grad.flatten() for p in policy.parameters() if p.grad is not None])
        torch.testing.assert_close(moved, expected, rtol=1e-3, atol=1e-3 * expected.abs().max().item())
        sizes.append((sum(map(len, losses)), sum(map(len, imitated))))
    assert len(set(sizes[:2])) == len(set(sizes[2:])) == 2, "the two steps of a batch have different numbers of tokens"


def token_logps(policy: torch.nn.Module, part: dict[str, Tensor], row: int, which: str) -> Tensor:
    """Log-probabilities of a row's tokens, by a forward of its own, without padding."""
    prompt = part["prompt_ids"][row][part["prompt_mask"][row].bool()]
    tokens = part[f"{which}_ids"][row][part[f"{which}_mask"][row].bool()]
    logits = policy(torch.cat([prompt, tokens])[None]).logits[0, len(prompt) - 1 : -1]
    return logits.log_softmax(-1).gather(-1, tokens[:, None])[:, 0]


def token_losses(policy: torch.nn.Module, part: dict[str, Tensor], row: int) -> Tensor:
    now = token_logps(policy, part, row, "completion")
    advantage = part["advantages"][row]
    if part["offline"][row]:
        return -advantage * now.exp() / (now.exp() + 0.1)
    ratio = (now - part["old_per_token_logps"][row][part["completion_mask"][row].bool()]).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
