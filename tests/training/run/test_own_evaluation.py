"""A run's own evaluation: by the loop that samples its rollouts, and the responses of transformers' own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from oger.evaluation.problems import Problem
from oger.faults import RunFaultError
from oger.recipes import load_recipe
from oger.training.rollouts import shrinking_generation
from oger.training.run.build import run_options
from oger.training.run.evaluate import evaluate, evaluate_now
from oger.training.run.shared_evaluation import share
from oger.worlds import load_world
from tests.support.tiny import toy_rows
from tests.support.trainers import make_trainer


def test_lean_evaluation_gives_the_responses_of_stock_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = load_world("arithmetic").base_policy()
    policy = AutoModelForCausalLM.from_pretrained(base), AutoTokenizer.from_pretrained(base)
    rows = load_world("arithmetic").rows("test", limit=6)
    loops: list[int] = []
    loop = shrinking_generation._shrinking_loop

    def counted(*arguments: Any, **options: Any) -> Any:
        loops.append(len(arguments[1]))
        return loop(*arguments, **options)

    monkeypatch.setattr(shrinking_generation, "_shrinking_loop", counted)
    found = []
    for lean in ("true", "false"):
        recipe = load_recipe("smoke", [f"lean_generation={lean}", f"output_dir={tmp_path}", "max_completion_length=48"])
        result = evaluate(recipe, run_options(recipe), policy, rows, num_samples=4, seed=3)
        found.append([(response.problem, response.sample, response.text) for response in result.responses])
    assert found[0] == found[1]
    assert len({text for _, _, text in found[0]}) > 4
    assert loops == [24]


def test_the_engine_that_generates_a_run_evaluates_it_too(tmp_path: Path) -> None:
    from tests.training.rollouts.test_vllm_engine import Engine

    class Seen(Engine):
        def generate(self, **arguments: Any) -> Any:
            self.asked = {name: vars(self)[name] for name in of_training}
            return super().generate(**arguments)

    trainer = make_trainer(tmp_path, max_steps=1)
    engine = Seen(trainer)
    of_training = {
        "temperature": 0.5, "top_p": 0.9, "top_k": 7, "min_p": 0.1, "repetition_penalty": 1.3,
        "max_completion_length": 5, "generation_kwargs": {"presence_penalty": 1.0}, "structured_outputs_regex": "a+",
    }  # fmt: skip
    vars(engine).update(of_training)
    trainer.use_vllm = trainer.args.use_vllm = True
    trainer.vllm_generation, trainer._last_loaded_step = engine, -1
    recipe = load_recipe("smoke", [f"output_dir={tmp_path / 'run'}", "eval_samples=2", "rewards=format"])
    results = evaluate_now(recipe, trainer, {"id": toy_rows(3)}, "before", Console())
    assert engine.calls == [(0, 6, 1)], "every sample in one call"
    assert engine.syncs == [0], "with the weights of now"
    assert [(response.problem, response.sample) for response in results["id"].responses] == [
        (f"{problem:08d}", sample) for problem in range(3) for sample in range(2)
    ]
    asked = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
    assert engine.asked == {
        **asked,
        "max_completion_length": 12,
        "generation_kwargs": {},
        "structured_outputs_regex": None,
    }
    assert {name: vars(engine)[name] for name in of_training} == of_training


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionError("refused"), r"the vLLM server at http://gpu:1 does not answer in the evaluation \(refused\)"),
        (MemoryError(), r"out of memory in the evaluation: lower max_completion_length \(now 8\), or eval_limit times"),
        (KeyError("a defect"), None),
    ],
)
def test_an_evaluation_that_server_or_memory_end_is_one_line(
    tmp_path: Path, error: Exception, said: str | None
) -> None:
    from tests.training.rollouts.test_vllm_engine import Engine

    class Gone(Engine):
        def generate(self, **arguments: Any) -> Any:
            raise error

    trainer = make_trainer(tmp_path, max_steps=1, max_completion_length=8)
    trainer.use_vllm = trainer.args.use_vllm = True
    trainer.args.vllm_mode, trainer.args.vllm_server_base_url = "server", "http://gpu:1"
    trainer.vllm_generation, trainer._last_loaded_step = Gone(trainer), -1
    sampling = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "generation_kwargs",
                "structured_outputs_regex", "max_completion_length")  # fmt: skip
    vars(trainer.vllm_generation).update(dict.fromkeys(sampling))
    recipe = load_recipe("smoke", [f"output_dir={tmp_path / 'run'}", "rewards=format"])
    with pytest.raises(type(error) if said is None else RunFaultError, match=said):
        evaluate_now(recipe, trainer, {"id": toy_rows(3)}, "after", Console())


@pytest.mark.parametrize(("problems", "processes"), [(3, 2), (8, 4), (1, 3), (7, 3)])
def test_every_process_asks_as_often_and_every_problem_is_asked_once(problems: int, processes: int) -> None:
    first = Problem("0", "1+1=", verbatim=True, answer="", kind="", groups={}, row={})
    every = tuple(dataclasses.replace(first, id=str(number)) for number in range(problems))
    shares = [share(every, rank, processes) for rank in range(processes)]
    assert {len(part) for part in shares} == {-(-problems // processes)}
    asked = [problem.id for part in shares for problem in part if not problem.id.startswith("filler")]
    assert sorted(asked) == [problem.id for problem in every]
