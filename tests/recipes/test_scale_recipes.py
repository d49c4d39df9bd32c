"""Every recipe for large machines builds its trainer: model, data and sizes replaced, everything else as shipped."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import AutoModelForCausalLM

from oger.recipes import load_recipe
from oger.training.run.build import build_trainer
from oger.training.run.train import train_recipe
from tests.support.encoder_models import MINILM
from tests.support.settings import setting_of
from tests.support.tiny import tiny_policy, tiny_tokenizer, toy_rows

ROOT = Path(__file__).parents[2]
RECIPES = {"lora_24gb": "1x24", "single_80gb": "1x80", "paper_1p5b": "8x80", "paper_7b": "8x80", "multi_node": "32x80"}


def shrunk(name: str, folder: Path, *more: str) -> list[str]:
    """Overrides that put a tiny Qwen2, toy rows and small sizes into a recipe; vLLM and GPUs are not here."""
    tiny_policy().save_pretrained(folder / "policy")
    tiny_tokenizer().save_pretrained(folder / "policy")
    data = folder / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in toy_rows(8)))
    steps = load_recipe(name).training.get("steps_per_generation")
    return [
        f"model={folder / 'policy'}",
        f"train={data}",
        f"validation={data}",
        "test={}",
        f"output_dir={folder / 'run'}",
        f"encoder=sentence-transformers:{MINILM}",
        "encoder_options={device: cpu}",
        "processes=null",
        "use_vllm=false",
        "vllm_enable_sleep_mode=false",
        "use_cpu=true",
        "rewards=format",
        "per_device_train_batch_size=8",
        f"gradient_accumulation_steps={2 if steps else 1}",
        *(["steps_per_generation=4"] if steps else []),
        "max_completion_length=12",
        "per_device_eval_batch_size=8",
        "max_steps=2",
        "eval_steps=2",
        "save_steps=2",
        "rollouts_every=1",
        *more,
    ]


@pytest.mark.parametrize("method", ["oger", "oger_paper_text"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_builds_its_trainer_with_both_presets(name: str, method: str, tmp_path: Path) -> None:
    trainer = build_trainer(load_recipe(name, [f"method={method}", *shrunk(name, tmp_path)]))
    args = trainer.args
    assert args.preset == {"oger": "luffy_code", "oger_paper_text": "paper_text"}[method]
    assert args.bf16
    assert args.gradient_checkpointing
    assert trainer.encoder.identity.name == "sentence-transformers"
    assert trainer.teacher_counts.kept == 16
    adapted = "lora" in "".join(n for n, p in trainer.model.named_parameters() if p.requires_grad)
    assert adapted == (name == "lora_24gb")


@pytest.mark.parametrize("name", ["lora_24gb", "paper_1p5b"])
def test_a_recipe_trains_two_steps_in_bfloat16(name: str, tmp_path: Path) -> None:
    summary = train_recipe(load_recipe(name, shrunk(name, tmp_path)))
    assert summary["steps"] == 2
    saved = tmp_path / "run" / "model"
    assert (saved / ("adapter_config.json" if name == "lora_24gb" else "model.safetensors")).is_file()


def under_two_processes(recipe: str, overrides: list[str], *more: str, state_dict: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += ["-m", "tests.support.fsdp_run", recipe, *overrides, *more]
    fsdp = yaml.safe_load((ROOT / "examples" / "cluster" / "fsdp2.yaml").read_text())["fsdp_config"]
    fsdp["fsdp_state_dict_type"] = state_dict
    environment = {
        **os.environ,
        **{name.upper(): str(value).lower() if isinstance(value, bool) else str(value) for name, value in fsdp.items()},
        "ACCELERATE_USE_FSDP": "true",
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-3000:]


def weights_and_metrics(run: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    kept = [
        {name: value for name, value in row.items() if not any(word in name for word in ("time", "per_second"))}
        for row in rows
    ]
    return AutoModelForCausalLM.from_pretrained(run / "model").state_dict(), kept


@pytest.mark.soak
@pytest.mark.parametrize(
    ("recipe", "state_dict"),
    [("paper_7b", "FULL_STATE_DICT"), *((recipe, "SHARDED_STATE_DICT") for recipe in RECIPES)],
)
def test_a_sharded_recipe_trains_and_resumes_under_two_processes(recipe: str, state_dict: str, tmp_path: Path) -> None:
    """With examples/cluster/fsdp2.yaml; what is saved is a plain folder, and a resumed run is the same run."""
    small = ["max_steps=2", "save_steps=1", "encoder=ngram", "encoder_options={}", "processes=2"]
    small += [f"test={{id: {tmp_path / 'rows.jsonl'}}}", "eval_limit=3", "eval_samples=2", "eval_temperature=1.0"]
    overrides = shrunk(recipe, tmp_path, *small)
    under_two_processes(recipe, overrides, state_dict=state_dict)
    run = tmp_path / "run"
    weights, metrics = weights_and_metrics(run)
    assert [row["step"] for row in metrics] == [1, 2]
    summary = json.loads((run / "summary.json").read_text())
    assert summary["steps"] == 2
    assert [summary[when]["id"]["problems"] for when in ("before", "after")] == [3, 3]
    parts = list((run / "checkpoints" / "checkpoint-1" / "pytorch_model_fsdp_0").glob("*.distcp"))
    assert len(parts) == (2 if state_dict == "SHARDED_STATE_DICT" else 0)
    shutil.rmtree(run / "checkpoints" / "checkpoint-2")
    shutil.rmtree(run / "model")
    (run / "summary.json").unlink()
    under_two_processes(recipe, overrides, "--resume", state_dict=state_dict)
    weights_again, metrics_again = weights_and_metrics(run)
    assert metrics_again == metrics
    assert weights.keys() == weights_again.keys()
    assert all(weights[name].equal(weights_again[name]) for name in weights)


@pytest.mark.parametrize(("name", "gpus"), RECIPES.items())
def test_a_recipe_fits_the_gpus_that_it_names(name: str, gpus: str) -> None:
    from oger.planning.plan import make_plan

    plan = make_plan(setting_of(name, gpus=gpus, sharding="none" if name == "paper_1p5b" else None))
    assert plan.fits
    assert not [warning for warning in plan.warnings if "not counted" in warning]


@pytest.mark.parametrize("name", ["paper_1p5b", "paper_7b", "multi_node"])
def test_the_papers_batch_is_the_papers(name: str) -> None:
    setting = setting_of(name, gpus=RECIPES[name])
    assert setting.rollout_rows * setting.num_gpus == 128 * 8
    assert setting.steps_per_batch == 2
    assert setting.max_steps == 2 * 500
    assert setting.max_tokens == 8192


@pytest.mark.parametrize("path", sorted((ROOT / "examples" / "cluster").glob("*.yaml")), ids=lambda path: path.name)
def test_accelerate_reads_the_configurations(path: Path) -> None:
    from accelerate.commands.config.config_args import ClusterConfig

    config = ClusterConfig.from_yaml_file(yaml_file=str(path))
    assert config.num_processes == 8
    assert config.mixed_precision == "bf16"
    wanted = {"fsdp2.yaml": ("FSDP", 2), "zero2.yaml": ("DEEPSPEED", 2), "zero3.yaml": ("DEEPSPEED", 3)}[path.name]
    sharding = config.fsdp_config.get("fsdp_version") or config.deepspeed_config.get("zero_stage")
    assert (str(config.distributed_type).removeprefix("DistributedType."), sharding) == wanted
    assert yaml.safe_load(path.read_text())["num_machines"] == 1
