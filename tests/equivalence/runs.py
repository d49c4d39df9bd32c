"""Short runs of `oger train` on the embedded world in float64, and what each step did to the weights.

The optimiser is plain SGD with learning rate 1 and no clipping, so that the difference of two checkpoints is the
gradient of the step between them: the whole pipeline from the recipe to the update is compared, by what it leaves.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from oger.cli.main import main
from oger.runs.policy import model_source
from oger.worlds import load_world
from tests.equivalence import exact

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
ROLLOUTS = GOLDEN / "equivalence_rollouts.parquet"
REFERENCES = GOLDEN / "equivalence.json"

COMMAND, EXACT = "oger.cli.main", "tests.equivalence.exact"
"""Programs: the command, and the same with every operation in float64."""

SEED = 5  # one with which every step of every scenario has a gradient
STEPS = 4
GROUP = 4
LEARNING_RATE = 0.1
ROWS = 8  # rollouts per optimiser step, over all processes
UNEVEN_TOKENS = 5

BONUS = ["entropy_coef=0.001"]  # large enough to be seen in a gradient
SCENARIOS = {
    "oger": ["method=oger", *BONUS],
    "paper_text": ["method=oger_paper_text"],
    "grpo": ["method=grpo"],
    "uneven": ["method=oger", *BONUS],  # the second half of each batch: short rollouts, and prompts without teachers
    "imitation": ["method=rl_sft", "imitation_weight=0.1", *BONUS],
    "several_steps": ["method=oger_paper_text", "imitation_weight=0.1"],  # two optimiser steps per rollout batch
}
"""Name -> what it changes of the recipe; each has its own reference."""
ONE_PROCESS = {"several_steps"}
"""Scenarios whose optimiser steps get other rows under several processes, each of which shuffles its own."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the same rows are dealt out."""

    micro_batch: int
    accumulation: int
    processes: int = 1
    fsdp: bool = False

    @property
    def overrides(self) -> list[str]:
        assert self.micro_batch * self.accumulation * self.processes == ROWS
        return [
            f"per_device_train_batch_size={self.micro_batch}",
            f"gradient_accumulation_steps={self.accumulation}",
        ]


ONE_FORWARD = Layout(micro_batch=8, accumulation=1)


@dataclass(frozen=True, kw_only=True)
class Trace:
    """What a run left: D numbers in the weights, S steps."""

    metrics: list[dict[str, Any]]
    gradient_SD: torch.Tensor
    weights_D: torch.Tensor


def make_inputs(folder: Path) -> None:
    """The policy in float64, the training sets and the recorded rollouts, from the embedded world alone."""
    source = model_source("world:arithmetic")
    AutoModelForCausalLM.from_pretrained(source, dtype=torch.float64).save_pretrained(folder / "policy")
    AutoTokenizer.from_pretrained(source).save_pretrained(folder / "policy")
    rows = [dict(row) for row in load_world("arithmetic").rows("train", limit=STEPS * ROWS // GROUP)]
    _write_rows(folder / "even.jsonl", rows)
    _write_rows(folder / "uneven.jsonl", [row | ({"teachers": []} if i % 2 else {}) for i, row in enumerate(rows)])


def _write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def cut_second_half(recorded: Path, path: Path) -> None:
    """A copy of recorded batches in which the rollouts of the second half of each batch are a few tokens long."""
    table = pq.read_table(recorded)
    ids = [
        ids[:UNEVEN_TOKENS] if row >= ROWS // 2 else ids
        for row, ids in zip(table["row"].to_pylist(), table["completion_ids"].to_pylist(), strict=True)
    ]
    column = table.schema.get_field_index("completion_ids")
    field = table.schema.field(column)
    pq.write_table(table.set_column(column, field, pa.array(ids, type=field.type)), path)


def pair_batches(recorded: Path, path: Path) -> None:
    """A copy of recorded batches in which each two of them are one, for two optimiser steps."""
    table = pq.read_table(recorded)
    batch, row = (np.array(table[name]) for name in ("batch", "row"))
    columns = {"batch": (batch + 1) // 2, "row": row + ROWS * (1 - batch % 2)}
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place), pa.array(values, type=pa.int32()))
    pq.write_table(table, path)


def options(inputs: Path, run: Path, scenario: str, layout: Layout, *more: str) -> list[str]:
    """Overrides of the recipe arithmetic."""
    data = inputs / ("uneven.jsonl" if scenario == "uneven" else "even.jsonl")
    return [
        *SCENARIOS[scenario],
        f"output_dir={run}",
        f"model={inputs / 'policy'}",
        "model_init_kwargs={dtype: auto}",
        f"train={data}",
        "shuffle_dataset=false",
        "validation=null",
        "test={}",
        "rollouts_every=0",
        f"seed={SEED}",
        f"num_generations={GROUP}",
        f"max_steps={STEPS}",
        "optim=sgd",
        f"learning_rate={LEARNING_RATE}",
        "max_grad_norm=1e9",
        "save_steps=1",
        f"keep_last={STEPS}",
        "use_cpu=true",
        *layout.overrides,
        *([f"steps_per_generation={2 * layout.accumulation}"] if scenario == "several_steps" else []),
        *more,
    ]


_CHANGED = {"uneven": cut_second_half, "several_steps": pair_batches}
"""Scenario -> what it makes of the recorded rollouts."""


def replayed(inputs: Path, run: Path, scenario: str, layout: Layout, *more: str, program: str | None = EXACT) -> Trace:
    """Trains on the committed rollouts."""
    recorded = ROLLOUTS
    if scenario in _CHANGED:
        recorded = inputs / f"{scenario}.parquet"
        if not recorded.is_file():
            _CHANGED[scenario](ROLLOUTS, recorded)
    asked = options(inputs, run, scenario, layout, f"rollouts=replay:{recorded}", *more)
    train(asked, layout, program=program)
    return read_trace(inputs, run)


def train(overrides: Sequence[str], layout: Layout, *more: str, program: str | None = EXACT) -> None:
    """`oger train arithmetic OVERRIDES`, under torchrun where the layout has several processes.

    Args:
        overrides: of the recipe.
        layout: how the rows are dealt out.
        more: further arguments of the command.
        program: COMMAND or EXACT; None runs EXACT in this process, which has loaded the libraries.
    """
    arguments = ["train", "arithmetic", *overrides, *more]
    if program is None:
        assert layout.processes == 1
        with pytest.MonkeyPatch.context() as patch:
            exact.make_exact(patch)
            with pytest.raises(SystemExit) as left:
                main(arguments)
        assert not left.value.code
        return
    launcher: list[str] = []
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    if layout.processes > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(layout.processes)]
    if layout.fsdp:
        fsdp = yaml.safe_load((ROOT / "examples" / "cluster" / "fsdp2.yaml").read_text())["fsdp_config"]
        for name, value in fsdp.items():
            environment[name.upper()] = str(value).lower() if isinstance(value, bool) else str(value)
        environment |= {"ACCELERATE_USE_FSDP": "true", "ACCELERATE_MIXED_PRECISION": "no"}
        del environment["ACCELERATE_USE_CPU"]
    command = [sys.executable, *launcher, "-m", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def num_processes(run: Path) -> int:
    """How many processes a run had: each leaves its loop state in a checkpoint."""
    return len(list((run / "checkpoints" / f"checkpoint-{STEPS}").glob("oger_loop_state_*.pt")))


def read_trace(inputs: Path, run: Path) -> Trace:
    folders = [inputs / "policy", *(run / "checkpoints" / f"checkpoint-{step}" for step in range(1, STEPS + 1))]
    weights_SD = torch.stack([_flat(load_file(folder / "model.safetensors")) for folder in folders])
    assert weights_SD.dtype == torch.float64
    return Trace(
        metrics=[json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()],
        gradient_SD=(weights_SD[:-1] - weights_SD[1:]) / LEARNING_RATE,
        weights_D=weights_SD[-1],
    )


def _flat(weights: dict[str, torch.Tensor]) -> torch.Tensor:
    # The head is tied to the embedding; a sharded checkpoint holds both.
    return torch.cat([weights[name].flatten() for name in sorted(weights) if name != "lm_head.weight"])


_TIMES = re.compile(r'"(?:time/[a-z_]+|step_time|[a-z_]+_per_second|[a-z_]*runtime)": [^,}]+(?:, )?')


def metrics_without_times(run: Path) -> str:
    """metrics.jsonl, byte for byte but for the fields that say how long something took."""
    text = (run / "metrics.jsonl").read_text()
    assert _TIMES.search(text)
    return _TIMES.sub("", text)
