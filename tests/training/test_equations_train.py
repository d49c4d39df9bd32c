"""docs/method.md maps equations to functions, and each function that it names is called by a training step."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from oger.method.reward import total_reward
from tests.support.tiny import tiny_policy, tiny_tokenizer
from tests.support.trainers import make_trainer

PAGE = Path(__file__).parents[2] / "docs" / "method.md"


def named_functions() -> set[str]:
    return set(re.findall(r"`(oger\.method\.\w+\.\w+)`", PAGE.read_text(encoding="utf-8")))


@contextmanager
def called_functions() -> Iterator[set[str]]:
    """Names of the functions of `oger.method` that run, in this thread, while the context lasts."""
    called: set[str] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event == "call" and module.startswith("oger.method."):
            called.add(f"{module}.{frame.f_code.co_name}")

    sys.setprofile(note)
    try:
        yield called
    finally:
        sys.setprofile(None)


def test_every_equation_of_the_page_is_called_by_a_training_step(tmp_path: Path) -> None:
    tiny_policy().save_pretrained(tmp_path / "policy")  # the reference is loaded from where the policy came from
    with called_functions() as called:
        make_trainer(
            tmp_path / "guided", model=str(tmp_path / "policy"), max_steps=1, beta=0.1,
            failed_groups="spare", imitation_weight=0.1, imitation_schedule="linear", gradient_accumulation_steps=1,
        ).train()  # fmt: skip
        make_trainer(tmp_path / "continued", max_steps=1, guided_prompts="always").train()
        trainer = make_trainer(tmp_path / "engine", max_steps=1)
        tokenizer = tiny_tokenizer()

        def engine(prompt_ids: Any, *_: Any, **__: Any) -> Any:
            ids = [[*tokenizer("abc"[index % 3])["input_ids"], 1] for index in range(len(prompt_ids))]
            return ids, [[-3.0] * len(row) for row in ids]

        trainer._generate_single_turn = engine  # type: ignore[method-assign]
        trainer.use_vllm = trainer.args.use_vllm = True
        trainer.model.train()
        trainer._generate_and_score_completions(next(iter(trainer.get_train_dataloader())))
    assert len(named_functions()) >= 19
    assert named_functions() - called == set()


def test_a_function_that_nothing_calls_is_missed() -> None:
    with called_functions() as called:
        pass
    assert f"oger.method.reward.{total_reward.__name__}" in named_functions() - called
