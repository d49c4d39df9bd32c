"""The step-time benchmark: planned lengths, trainers in turn, and what the laps amount to."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.step_time_laps import OGER, PLAIN, STAGES, STOCK, VARIANTS, Lap
from benchmarks.step_time_race import race
from benchmarks.step_time_report import (
    extras_shares,
    json_line,
    ratio_with_interval,
    scaling_line,
    scaling_table,
    table,
)
from benchmarks.step_time_workloads import (
    WORKLOADS,
    LengthPlan,
    Lengths,
    Workload,
    build,
    plan_lengths,
)
from transformers import AutoTokenizer, LlamaForCausalLM, TrainerCallback

from benchmarks import step_time
from oger.verification import VerifierPool
from oger.worlds import load_world

SMALL = Workload(rollouts=16, micro_batch=8, rounds=2, lengths=Lengths(median=30, sigma=0.5))  # teachers fit in


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(workers=1, cache_size=0) as pool:
        yield pool


def lap(seconds: float, rollouts: int = 2, **stages: float) -> Lap:
    return Lap(
        seconds=seconds,
        stages={stage: stages.get(stage.partition("/")[0].replace("-", "_"), 0.0) for stage in STAGES},
        limits={},
        response_lengths=[10, *[30] * (rollouts - 1)],
        trained_rows=rollouts,
        trained_tokens=60,
        trained_positions=80,
    )


def laps_of_three() -> dict[str, list[Lap]]:
    """A machine that slows down twofold between the rounds; OGER takes 1.2 times as long as stock GRPO."""
    return {
        STOCK: [lap(speed, generate=0.5 * speed, update=0.4 * speed, other=0.1 * speed) for speed in (1.0, 2.0)],
        OGER: [
            lap(1.2 * speed, generate=0.53 * speed, embed=0.06 * speed, log_prob=0.12 * speed, other=0.15 * speed)
            for speed in (1.0, 2.0)
        ],
        PLAIN: [lap(0.9 * speed, generate=0.49 * speed) for speed in (1.0, 2.0)],
    }


def test_the_line_holds_what_the_targets_are_about() -> None:
    line = json.loads(json.dumps(json_line("embedded-128", laps_of_three(), {STOCK: 1000, OGER: 900})))
    assert line == {
        "workload": "embedded-128",
        "ratio": 1.2,
        "ratio_ci95": [1.2, 1.2],
        "extras_share": round((0.06 + 0.12 + 0.05 + 0.04) / 1.2, 4),
        "peak_memory_ratio": 0.9,
    }


def test_rounds_are_compared_with_themselves() -> None:
    laps = laps_of_three()
    laps[OGER] = [lap(1.1), lap(2.6)]  # medians of each side alone would say 1.233
    ratio, (low, high) = ratio_with_interval(laps[OGER], laps[STOCK])
    assert ratio == pytest.approx(1.2)
    assert (low, high) == pytest.approx((1.1, 1.3))


def test_extras_that_cost_nothing_have_no_share() -> None:
    same = [lap(1.0, generate=0.5, other=0.1)] * 3
    assert set(extras_shares({STOCK: same, OGER: same, PLAIN: same}).values()) == {0.0}


def test_a_table_has_a_column_per_variant_and_the_ratio() -> None:
    assert [column.header for column in table("t", laps_of_three(), {STOCK: 1, OGER: 1}).columns] == [
        "per rollout step",
        *VARIANTS,
        "OGER / stock",
    ]


def test_scaling_tells_a_rise_from_a_fall() -> None:
    falling = scaling_line({"64": [lap(64.0, 64)] * 2, "128": [lap(64.0, 128)] * 2})
    assert falling["ms_per_rollout"] == {"64": 1000.0, "128": 500.0}
    assert (falling["rise"], falling["spread"]) == (0.0, 1.0)
    rising = scaling_line({"64": [lap(64.0, 64)] * 2, "128": [lap(64.0, 128)] * 2, "256": [lap(160.0, 256)] * 2})
    assert rising["rise"] == 0.25


def test_a_scaling_table_divides_by_the_rollouts() -> None:
    shown = scaling_table("t", {"64": [lap(6.4, 64, generate=3.2)] * 2, "128": [lap(6.4, 128)] * 2})
    assert [list(column.cells)[:2] for column in shown.columns[1:]] == [["100.000", "50.000"], ["50.000", "0.000"]]


def test_long_tails_are_at_least_eight_times_the_median() -> None:
    for name, workload in WORKLOADS.items():
        if "long-tailed" in name:
            assert workload.lengths is not None
            lengths = workload.lengths.of(workload.rollouts)
            assert lengths[-1] >= 8 * lengths[workload.rollouts // 2]
            assert lengths[-1] == workload.max_length


def test_generation_ends_where_it_is_planned() -> None:
    folder = load_world("arithmetic").base_policy()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model: Any = LlamaForCausalLM.from_pretrained(folder)
    planned = [5, 6, 9, 17, 30, 30]
    plan_lengths(model, planned, tokenizer)
    prompts = tokenizer(["1+1=?\n", "12*34=?\n"] * 3, return_tensors="pt", padding=True)
    for seed in range(2):
        torch.manual_seed(seed)
        ids = model.generate(**prompts, max_new_tokens=30, do_sample=True)[:, prompts["input_ids"].shape[1] :]
        lengths = ((ids == tokenizer.eos_token_id).int().argmax(dim=1) + 1).tolist()
        assert sorted(lengths) == planned
        assert [int(str(tokenizer.decode(row[:4]))) for row in ids] == lengths


def test_rows_keep_their_length_when_others_leave_the_batch() -> None:
    zero, eos, width = 4, 1, 3
    lengths = torch.tensor([5, 7, 6])
    plan = LengthPlan(lengths, width, zero, eos)
    ids = torch.full((3, width), 20)
    for _ in range(4):
        ids = torch.cat([ids, plan(ids, torch.zeros(3, 30)).argmax(dim=1, keepdim=True)], dim=1)
    assert plan(ids, torch.zeros(3, 30)).argmax(dim=1).tolist() == [eos, 0, 0]
    left = torch.cat([ids[[2, 1]], torch.full((2, 1), 20)], dim=1)  # the first row is gone, the others change places
    scores = plan(left, torch.zeros(2, 30))
    assert scores.argmax(dim=1).tolist() == [eos, 0]
    assert scores[1, eos] == -torch.inf


@pytest.mark.soak
def test_trainers_take_turns_and_do_the_same_work(tmp_path: Path, pool: VerifierPool) -> None:
    finished: list[str] = []
    trainers = {v: build(SMALL, v, 2, str(tmp_path), device="cpu", pool=pool) for v in VARIANTS}
    for name, trainer in trainers.items():
        trainer.add_callback(OnStep(functools.partial(finished.append, name)))
    laps = race(trainers, 2)
    assert finished == [*VARIANTS, *VARIANTS]
    assert SMALL.lengths is not None
    for collected in laps.values():
        for each in collected:
            assert sum(each.stages.values()) == pytest.approx(each.seconds)
            assert all(each.stages[stage] > 0 for stage in ("generate", "verify", "update"))
            assert sorted(each.response_lengths) == SMALL.lengths.of(SMALL.rollouts)
            assert 0 < each.trained_tokens <= each.trained_positions
    assert all(each.stages["embed"] == 0 for each in laps[STOCK])
    assert all(each.stages["embed"] > 0 for each in laps[OGER])
    assert [each.trained_rows for each in laps[STOCK]] == [SMALL.rollouts] * 2


def test_a_lap_holds_all_optimiser_steps_of_a_rollout_batch(tmp_path: Path, pool: VerifierPool) -> None:
    workload = Workload(rollouts=16, micro_batch=8, rounds=2, optimiser_steps=2)
    trainer = build(workload, STOCK, 2, str(tmp_path), device="cpu", pool=pool)
    (laps,) = race({STOCK: trainer}, 2).values()
    assert trainer.state.global_step == 4
    assert [len(each.response_lengths) for each in laps] == [16, 16]
    assert all(each.stages["log-prob/entropy"] > 0 for each in laps)  # the old log-probs


def test_a_trainer_that_fails_ends_the_race(tmp_path: Path, pool: VerifierPool) -> None:
    def fail() -> None:
        raise FloatingPointError("no more")

    trainers = {v: build(SMALL, v, 2, str(tmp_path), device="cpu", pool=pool) for v in (STOCK, OGER)}
    trainers[OGER].add_callback(OnStep(fail))
    with pytest.raises(FloatingPointError, match="no more"):
        race(trainers, 2)


def test_every_workload_can_be_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuple(WORKLOADS) == step_time.NAMES
    monkeypatch.setattr("sys.argv", ["step_time", "--workload", "embeded"])
    with pytest.raises(SystemExit) as end:
        step_time.main()
    assert end.value.code == 2
    assert "embedded-128" in capsys.readouterr().err


class OnStep(TrainerCallback):
    """Calls a function at the end of every step."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._function()
