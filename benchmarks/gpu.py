"""What a GPU changes, in one command and nine minutes: same numbers, time, memory, and what generation waits for.

    python -m benchmarks.gpu --out DIR                       # on a machine with one GPU
    python -m benchmarks.gpu --out DIR --device cpu --tiny   # the same items with small sizes, to see that they run

Items run in order of value, each in a process of its own that is ended when its time is up; DIR/items.jsonl holds a
line for each, and the next call runs only what is missing, failed or was ended. Prints each line as it comes and, last,
a table in Markdown.

- versions: packages, device, memory;
- equality: three recorded rollout batches trained on the CPU in float32, on the device in float32 and in bfloat16: loss
  and gradient norm of each step, differences relative to the CPU's, within TOLERANCES or not;
- embedded-128, llama-135m: a step beside stock TRL's (`benchmarks.step_time`), transformers generation on both sides;
- qwen-0.5b, qwen-1.5b, qwen-1.5b-lora: one step of a random Qwen2 of that size, 1,024 prompt and 2,048 response tokens,
  OGER and stock each in a process of its own: seconds by stage, peak memory;
- generation: 64 tokens of 64 rows with `lean_generation` on and off, seconds, kernels launched, copies to the host and
  waits for the device per token, as torch's profiler counts them;
- log-probs: peak memory and time of log-probabilities and entropies with 152,000 words, with gradient, at once, by
  TRL's head and by OGER's;
- fsdp2: `oger train smoke` sharded by FSDP2 over one process;
- word-problems: the first steps of `oger train word_problems`, where its packages are installed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ITEMS = (
    "versions", "equality", "embedded-128", "llama-135m", "qwen-0.5b", "generation", "log-probs", "qwen-1.5b",
    "qwen-1.5b-lora", "fsdp2", "word-problems",
)  # fmt: skip
LINES = "items.jsonl"
SHORTEST_S = 20
"""An item is not begun with less time left."""


def main() -> None:
    """Run what is missing and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small sizes: does everything run?")
    parser.add_argument("--minutes", type=float, default=9.0, help="for all items")
    parser.add_argument("--only", action="append", choices=ITEMS, metavar="ITEM", help=", ".join(ITEMS))
    parser.add_argument("--item", choices=ITEMS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.item:
        from benchmarks.gpu_items import run_item

        print(json.dumps(run_item(arguments.item, arguments.out, arguments.device, tiny=arguments.tiny)))
        return
    arguments.out.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + 60 * arguments.minutes
    lines = read_lines(arguments.out / LINES)
    for item in arguments.only or ITEMS:
        if "result" in lines.get(item, {}):
            continue
        left = ends - time.monotonic()
        if left < SHORTEST_S:
            break
        lines[item] = in_time(item, arguments, left)
        with open(arguments.out / LINES, "a", encoding="utf-8") as file:
            file.write(json.dumps(lines[item]) + "\n")
        print(json.dumps(lines[item]), flush=True)
    print(table(lines))


def read_lines(path: Path) -> dict[str, dict[str, Any]]:
    """Item -> its newest line; a line that a kill cut off is none."""
    lines = {}
    for text in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        lines[line["item"]] = line
    return lines


def in_time(item: str, arguments: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """The line of an item: its result, or what its process said last."""
    command = [sys.executable, "-m", "benchmarks.gpu", "--item", item, "--out", str(arguments.out)]
    command += ["--device", arguments.device, *(["--tiny"] if arguments.tiny else [])]
    settings = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore"}
    if arguments.device == "cpu":
        settings["CUDA_VISIBLE_DEVICES"] = ""
    began = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # with all that it starts
        env={**os.environ, **settings},
    )
    try:
        out, err = process.communicate(timeout=seconds)
        failed = f"exit status {process.returncode}: {_last(err or out)}" if process.returncode else None
    except subprocess.TimeoutExpired:
        failed = f"ended after {seconds:.0f} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    line: dict[str, Any] = {"item": item, "device": arguments.device, "tiny": arguments.tiny}
    line["seconds"] = round(time.monotonic() - began, 1)
    return {**line, "error": failed} if failed else {**line, "result": json.loads(_last(out))}


def table(lines: dict[str, dict[str, Any]]) -> str:
    """Markdown: a row for each number of each item that ran."""
    rows = ["| item | what | value |", "|---|---|---|"]
    for item in (name for name in ITEMS if name in lines):
        found = lines[item].get("result")
        entries = {"failed": lines[item]["error"]} if found is None else found
        rows += [f"| {item} | {name} | {_shown(value)} |" for name, value in entries.items()]
    return "\n".join(rows)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(entry)}" for name, entry in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _last(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


if __name__ == "__main__":
    main()
