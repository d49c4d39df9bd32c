"""`oger plan`: what it prints, what it refuses, its exit codes."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import typer

from oger.cli.main import app
from oger.cli.plan import plan

if "plan" not in [command.name for command in app.registered_commands]:
    app.command("plan")(plan)


def test_the_papers_run_fits_eight_gpus_and_every_number_shows_its_arithmetic(oger) -> None:
    done = oger("plan", "paper_7b", "--gpus", "8x80")
    assert done.code == 0, done.err
    for expected in (
        "7,615,616,512 parameters",
        "7.62 G x 4 B / 8",
        "keys and values of",
        "64 prompts x 8 rows",
        "1,000 steps x",
        "fits: ",
    ):
        assert expected in done.out


def test_the_total_is_the_sum_of_its_lines(oger) -> None:
    out = oger("plan", "single_80gb", "--gpus", "1x80").out
    memory = out[out.index("memory per GPU") : out.index("tokens per optimiser step")]
    lines = [line for line in memory.splitlines()[1:] if line.strip()]
    amounts = {line.split("  ")[0]: float(re.search(r"  ([\d.]+)(?:  |$)", line)[1]) for line in lines}
    training = sum(v for name, v in amounts.items() if not name.startswith("together"))
    assert amounts["together in training"] == pytest.approx(training, abs=0.06)


def test_what_does_not_fit_is_said_with_changes_that_fit(oger) -> None:
    done = oger("plan", "paper_7b", "--gpus", "1x80")
    assert done.code == 1
    assert "does not fit: " in done.out
    assert re.search(r"peft='\{r: 64.*fits", done.out)


def test_a_change_that_is_advised_does_what_it_says(oger) -> None:
    done = oger("plan", "single_80gb", "--gpus", "1x48")
    assert done.code == 1
    [change, peak] = re.search(r"  (vllm_enable_sleep_mode=true): ([\d.]+) GiB, fits", done.out).groups()
    again = oger("plan", "single_80gb", change, "--gpus", "1x48")
    assert again.code == 0
    assert f"fits: {peak} of 48 GiB" in again.out


def test_a_measured_rate_changes_the_hours(oger) -> None:
    slow, fast = (oger("plan", "quickstart", "--tokens-per-s", rate).out for rate in (100, 1000))
    hours = [float(re.search(r"run +([\d,]+)", out)[1].replace(",", "")) for out in (slow, fast)]
    assert hours[0] > 5 * hours[1]


def test_both_stages_of_a_recipe_with_a_first_one_are_planned(oger) -> None:
    out = oger("plan", "quickstart", "method=sft_then_rl").out
    assert out.count("memory per GPU") == 2
    assert "first stage" in out


def test_a_server_needs_its_own_gpus(oger) -> None:
    assert "--server-gpus N" in oger("plan", "multi_node", "vllm_mode=server", "--gpus", "32x80").err
    assert "divides" in oger("plan", "multi_node", "vllm_mode=server", "--gpus", "32x80", "--server-gpus", 8).err
    done = oger("plan", "multi_node", "vllm_mode=server", "--gpus", "32x80", "--server-gpus", 4)
    assert done.code == 0
    assert "4 more that generate" in done.out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["quickstart", "--gpus", "eight"], "8x80 or 8xa100"),
        (["quickstart", "--gpus", "8x81"], "no GPU with 81 GiB"),
        (["quickstart", "--gpus", "8xh10"], "did you mean 'h100'"),
        (["quickstart", "--sharding", "zero4"], "unknown sharding 'zero4'"),
        (["quickstart", "--params", "many"], "such as 1.5B"),
        (["quickstart", "--params", "0.4"], "at least 1, such as 0.5B"),
        (["quickstart", "per_device_train_batch_size=12"], "num_generations"),
        (["quickstart", "model=someone/else"], "--params 1.5B"),
        (["quickstart", "optim=lomo"], "oger plan knows the memory of"),
    ],
)
def test_bad_input_is_one_line(oger, arguments: list[str], expected: str) -> None:
    done = oger("plan", *arguments)
    assert done.code == 2
    assert expected in done.err
    assert done.err.count("\n") == 1


def test_the_command_has_help() -> None:
    assert isinstance(typer.main.get_command(app).commands["plan"].help, str)


def test_no_warning_of_a_library_is_shown() -> None:
    command = [sys.executable, "-m", "oger", "plan", "quickstart", "--gpus", "8x80"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
