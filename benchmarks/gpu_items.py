"""The items of `benchmarks.gpu`, one function each: (folder, device, tiny) -> numbers by name."""

from __future__ import annotations

import gc
import importlib.metadata
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.step_time import Machine, in_process, peak_memory, run_alone, timed
from benchmarks.step_time_laps import OGER, STOCK

TOLERANCES = {"float32": 1e-4, "bfloat16": 5e-2}
"""Largest accepted difference of a loss or gradient norm, relative to the CPU's in float32."""
GIB = 2**30
Numbers = dict[str, Any]


def run_item(name: str, out: Path, device: str, *, tiny: bool) -> Numbers:
    """The numbers of one item.

    Raises:
        RuntimeError: the device is not there, or a program that the item starts failed.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise RuntimeError("torch sees no GPU here; --device cpu --tiny runs the items without one")
    return _ITEMS[name](out, device, tiny)


def versions(out: Path, device: str, tiny: bool) -> Numbers:
    """Packages and machine."""
    names = ("torch", "transformers", "trl", "accelerate", "peft")
    found: Numbers = {name: importlib.metadata.version(name) for name in names}
    found |= {"python": platform.python_version(), "device": platform.processor() or platform.machine()}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found |= {"device": properties.name, "memory GiB": round(properties.total_memory / GIB, 1)}
        found["CUDA"] = str(torch.version.cuda)
    return found


def equality(out: Path, device: str, tiny: bool) -> Numbers:
    """Loss and gradient norm of recorded batches by device and precision."""
    rows = ["num_generations=4", "per_device_train_batch_size=16"] if tiny else []
    same = [*rows, "max_steps=3", "learning_rate=1e-9", "validation=null", "test={}", "probe_prompts=0", "seed=0"]
    recorded = out / "recorded"
    if not (recorded / "summary.json").is_file():
        _oger("train", "arithmetic", *same, "rollouts=record", "use_cpu=true", f"output_dir={recorded}", fresh=recorded)
    traces = {}
    for name, options in {
        "cpu float32": ["use_cpu=true"],
        "float32": [f"use_cpu={str(device == 'cpu').lower()}", "tf32=false"],
        "bfloat16": [f"use_cpu={str(device == 'cpu').lower()}", "bf16=true"],
    }.items():
        run = out / f"replayed-{name.replace(' ', '-')}"
        tf32 = [option for option in options if device == "cuda" or not option.startswith("tf32")]
        _oger("train", "arithmetic", *same, *tf32, f"rollouts=replay:{recorded}", f"output_dir={run}", fresh=run)
        metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        traces[name] = [(row["loss"], row["grad_norm"]) for row in metrics if "loss" in row]
    found: Numbers = {"losses on the CPU": [round(loss, 6) for loss, _ in traces["cpu float32"]]}
    for name, tolerance in TOLERANCES.items():
        pairs = list(zip(traces[name], traces["cpu float32"], strict=True))
        scale = max(abs(loss) for loss, _ in traces["cpu float32"])
        worst = {
            "loss": max(abs(ours[0] - cpu[0]) / scale for ours, cpu in pairs),
            "gradient norm": max(abs(ours[1] - cpu[1]) / cpu[1] for ours, cpu in pairs),
        }
        found[f"{name}, largest difference"] = {k: float(f"{v:.3g}") for k, v in worst.items()}
        found[f"{name}, within {tolerance:g}"] = max(worst.values()) <= tolerance
    return found


def raced(name: str) -> Callable[[Path, str, bool], Numbers]:
    """A step beside stock TRL's on a workload of `benchmarks.step_time`."""

    def item(out: Path, device: str, tiny: bool) -> Numbers:
        from benchmarks.step_time_report import json_line

        machine, workload = Machine(device, 1, "wall"), "embedded-128" if tiny else name
        laps = in_process(timed, workload, 2 if tiny else 6, machine)
        peaks = {variant: in_process(peak_memory, workload, variant, machine) for variant in (STOCK, OGER)}
        return json_line(machine.label(workload), laps, peaks)

    return item


def alone(name: str) -> Callable[[Path, str, bool], Numbers]:
    """One step of a large policy by stock TRL and by OGER, each in a process of its own."""

    def item(out: Path, device: str, tiny: bool) -> Numbers:
        machine = Machine(device, 1, "wall")
        workload = "qwen-tiny" + ("-lora" if name.endswith("-lora") else "") if tiny else name
        found: Numbers = {}
        for variant in (OGER, STOCK):
            lap, peak = in_process(run_alone, workload, variant, machine)
            found[variant] = {
                "seconds": round(lap.seconds, 2),
                **{stage: round(seconds, 2) for stage, seconds in lap.stages.items()},
                "peak GiB": round(peak / GIB, 2),
            }
        found["OGER / stock, seconds"] = round(found[OGER]["seconds"] / found[STOCK]["seconds"], 3)
        found["OGER / stock, memory"] = round(found[OGER]["peak GiB"] / max(found[STOCK]["peak GiB"], 0.01), 3)
        return found

    return item


def generation(out: Path, device: str, tiny: bool) -> Numbers:
    """What generation launches and waits for, per token, lean and stock."""
    from torch.profiler import ProfilerActivity, profile
    from transformers import GenerationConfig

    from benchmarks.step_time_workloads import WORKLOADS, random_policy
    from oger.training.rollouts.entropy import EntropyRecorder
    from oger.training.rollouts.shrinking_generation import shrinking_generation

    rows, tokens = (4, 8) if tiny else (64, 64)
    model, tokenizer = random_policy(WORKLOADS["llama-30m" if tiny else "llama-135m"])
    model = model.to(device).eval()
    prompt_BT = torch.full((rows, 16), 5, device=device)
    config = GenerationConfig(
        do_sample=True, min_new_tokens=tokens, max_new_tokens=tokens, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    asked = {"input_ids": prompt_BT, "attention_mask": torch.ones_like(prompt_BT), "generation_config": config}

    def stock() -> None:
        model.generate(**asked)

    def lean() -> None:
        with shrinking_generation(model, EntropyRecorder(1.0)):
            model.generate(**asked)

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    found: Numbers = {}
    for name, generate in (("lean", lean), ("stock", stock)):
        with torch.no_grad():
            generate()
            began = time.perf_counter()
            generate()
            _wait(device)
            seconds = time.perf_counter() - began
            with profile(activities=activities) as seen:
                generate()
        counts = {event.key: event.count for event in seen.key_averages()}
        per_token = {
            "kernels": sum(counts.get(key, 0) for key in ("cudaLaunchKernel", "cuLaunchKernel", "cudaLaunchKernelExC")),
            "waits": sum(counts.get(key, 0) for key in ("cudaStreamSynchronize", "cudaDeviceSynchronize")),
            "values read": counts.get("aten::_local_scalar_dense", 0),
        }
        shares = {key: round(count / tokens, 2) for key, count in per_token.items()}
        found[name] = {"ms per token": round(1000 * seconds / tokens, 3), **shares}
    return found


def log_probs(out: Path, device: str, tiny: bool) -> Numbers:
    """Peak memory and time of log-probabilities with a large vocabulary."""
    from benchmarks.logprob import VARIANTS, one_pass

    length, hidden, vocabulary = (64, 32, 8_000) if tiny else (8_192, 1_536, 152_000)
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    found: Numbers = {"sizes": {"tokens": length, "hidden": hidden, "vocabulary": vocabulary}}
    for name, variant in VARIANTS.items():
        torch.manual_seed(0)
        hidden_ND = torch.randn(length, hidden, device=device, dtype=dtype).requires_grad_()
        weight_VD = (torch.randn(vocabulary, hidden, device=device, dtype=dtype) * hidden**-0.5).requires_grad_()
        targets_N = torch.randint(vocabulary, (length,), device=device)
        one_pass(variant, hidden_ND, weight_VD, targets_N)
        _wait(device)
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated() if device == "cuda" else 0
        began = time.perf_counter()
        one_pass(variant, hidden_ND, weight_VD, targets_N)
        _wait(device)
        found[name] = {"ms": round(1000 * (time.perf_counter() - began), 2)}
        if device == "cuda":
            found[name]["peak GiB"] = round((torch.cuda.max_memory_allocated() - held) / GIB, 3)
        del hidden_ND, weight_VD, targets_N
        gc.collect()
    return found


def fsdp2(out: Path, device: str, tiny: bool) -> Numbers:
    """Two steps of the smoke recipe, sharded over one process."""
    if device == "cpu":
        return {"skipped": "accelerate shards on GPUs alone; tests/recipes/test_scale_recipes.py shards on a CPU"}
    run = out / "fsdp2"
    _launched(
        ["accelerate.commands.launch", "--num_processes", "1", "--use_fsdp", "--fsdp_version", "2",
         "--fsdp_auto_wrap_policy", "TRANSFORMER_BASED_WRAP", "--mixed_precision", "bf16", "-m", "oger.cli.main"],
        "train", "smoke", "test={}", "validation=null", f"output_dir={run}", fresh=run,
    )  # fmt: skip
    return _speed(run)


def word_problems(out: Path, device: str, tiny: bool) -> Numbers:
    """The first steps on SmolLM2-135M."""
    from oger.worlds import load_world

    try:
        load_world("word_problems").base_policy()
    except ValueError as error:
        return {"skipped": str(error)}
    run = out / "word-problems"
    small = ["num_generations=4", "per_device_train_batch_size=8", "gradient_accumulation_steps=1"] if tiny else []
    cpu = ["use_cpu=true", "bf16=false"] if device == "cpu" else []
    steps = ["max_steps=2", "max_completion_length=32"] if tiny else ["max_steps=6"]
    _oger(
        "train", "word_problems", *small, *cpu, *steps, "test={}", "validation=null", "probe_prompts=0",
        f"output_dir={run}", fresh=run,
    )  # fmt: skip
    return _speed(run)


def _speed(run: Path) -> Numbers:
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    seconds = [row["time/step"] for row in metrics if "time/step" in row]
    return {
        "steps": len(seconds),
        "seconds of the last step": round(seconds[-1], 2),
        "reward of the last step": round(metrics[-1].get("reward/outcome", float("nan")), 4),
        "gradient norm of the last step": float(f"{metrics[-1]['grad_norm']:.4g}"),
    }


def _oger(*arguments: str, fresh: Path) -> None:
    _launched(["oger"], *arguments, fresh=fresh)


def _launched(module: list[str], *arguments: str, fresh: Path) -> None:
    """Runs a module with a run folder of its own, which an ended try may have left behind."""
    if fresh.is_dir():
        import shutil

        shutil.rmtree(fresh)
    done = subprocess.run([sys.executable, "-m", *module, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join([*module, *arguments])}: {(done.stderr or done.stdout).strip()[-400:]}")


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


_ITEMS: dict[str, Callable[[Path, str, bool], Numbers]] = {
    "versions": versions,
    "equality": equality,
    "embedded-128": raced("embedded-128"),
    "llama-135m": raced("llama-135m"),
    "qwen-0.5b": alone("qwen-0.5b"),
    "generation": generation,
    "log-probs": log_probs,
    "qwen-1.5b": alone("qwen-1.5b"),
    "qwen-1.5b-lora": alone("qwen-1.5b-lora"),
    "fsdp2": fsdp2,
    "word-problems": word_problems,
}
