"""The problems of a run's own evaluation, dealt out over its processes: each solves its part, and all get every result.

Every process asks as often as every other, since the parts of a sharded policy only work together: where problems do
not come out even, the last ones are filled up with a problem whose responses are dropped.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from accelerate.utils import gather_object
from trl import GRPOTrainer
from trl.models.utils import unwrap_model_for_generation

from oger.evaluation.backends.base import DEFAULT_BATCH_SIZE, Generated, Request, SamplingSettings
from oger.evaluation.backends.transformers import as_response, encode_prompt
from oger.evaluation.job import Job, Result
from oger.evaluation.problems import Problem
from oger.evaluation.runner import run_job
from oger.seeds import derived_seed
from oger.training.config import OGERConfig
from oger.training.rollouts.shrinking_generation import shrinking_generation
from oger.training.trainer import OGERTrainer

_FILLER = "filler"


@contextmanager
def whole_policy(trainer: OGERTrainer) -> Iterator[Any]:
    """The policy as `generate` can use it on every process, gathered where an engine sharded it, as TRL does it."""
    accelerator, args = trainer.accelerator, trainer.args
    if accelerator.num_processes == 1:
        yield accelerator.unwrap_model(trainer.model)
        return
    wrapped = trainer.model_wrapped
    with (
        unwrap_model_for_generation(
            wrapped, accelerator, gather_deepspeed3_params=args.ds3_gather_for_generation,
            gradient_checkpointing_kwargs=args.gradient_checkpointing_kwargs,
        ) as policy,
        trainer._dist.summon_full_params(wrapped, recurse=False),
    ):  # fmt: skip
        yield policy


def leanly(model: Any, args: OGERConfig) -> AbstractContextManager[None]:
    """The generation of the training, with the random numbers of stock `generate`: the same responses, sooner."""
    return shrinking_generation(model, stock_draws=True) if args.lean_generation else nullcontext()


def rows_at_once(trainer: OGERTrainer) -> int:
    """Responses that one process generates at once; several keep to what training generates on each, known to fit."""
    if trainer.accelerator.num_processes == 1:
        return DEFAULT_BATCH_SIZE
    return min(DEFAULT_BATCH_SIZE, trainer.args.per_device_train_batch_size * trainer.args.steps_per_generation)


def run_shared(job: Job, trainer: OGERTrainer) -> Result:
    """`run_job` by all processes of a run; each must call it with the same job."""
    rank, number = trainer.accelerator.process_index, trainer.accelerator.num_processes
    if trainer.use_vllm:
        policy = dataclasses.replace(job.policy, make_generator=lambda: EngineGenerator(trainer), batch_size=None)
        job = dataclasses.replace(job, policy=policy)
    if number == 1:
        return run_job(job)
    sampling = dataclasses.replace(job.sampling, seed=derived_seed(job.sampling.seed, "rank", rank))
    part = run_job(dataclasses.replace(job, problems=share(job.problems, rank, number), sampling=sampling))
    mine = [response for response in part.responses if not response.problem.startswith(_FILLER)]
    return Result(job, tuple(sorted(gather_object(mine), key=lambda response: (response.problem, response.sample))))


def share(problems: Sequence[Problem], rank: int, number: int) -> tuple[Problem, ...]:
    """The problems of one of `number` processes: as many for each, the last ones filled up."""
    own = list(problems[rank::number])
    missing = -(-len(problems) // number) - len(own)
    return (*own, *(dataclasses.replace(problems[0], id=f"{_FILLER} {index}") for index in range(missing)))


class EngineGenerator:
    """The vLLM engine that generates a trainer's rollouts, asked for the responses of an evaluation."""

    def __init__(self, trainer: OGERTrainer) -> None:
        self._trainer = trainer

    def generate(self, requests: Sequence[Request], settings: SamplingSettings) -> Iterator[list[Generated]]:
        """All requests in one call, with temperature and top-p alone; the engine gets the policy's weights before."""
        trainer, tokenizer = self._trainer, self._trainer._tokenizer
        ids = [
            encode_prompt(tokenizer, request.prompt, trainer.args.chat_template_kwargs, index)
            for index, request in enumerate(requests)
        ]
        with _sampling_as(trainer.vllm_generation, settings), torch.no_grad():
            # TRL's own, since OGER's puts what rollouts are given behind their prompts.
            drawn, _ = GRPOTrainer._generate_single_turn(trainer, ids, None, {}, 1)
        ends = trainer.eos_token_ids
        yield [
            as_response(tokenizer, request.problem, request.sample, list(completion), ends)
            for request, completion in zip(requests, drawn, strict=True)
        ]


@contextmanager
def _sampling_as(engine: Any, settings: SamplingSettings) -> Iterator[None]:
    wanted: dict[str, Any] = {
        "temperature": settings.temperature, "top_p": settings.top_p, "top_k": 0, "min_p": None,
        "repetition_penalty": 1.0, "max_completion_length": settings.max_tokens, "generation_kwargs": {},
        "structured_outputs_regex": None,
    }  # fmt: skip
    had = {name: getattr(engine, name) for name in wanted}
    for name, value in wanted.items():
        setattr(engine, name, value)
    try:
        yield
    finally:
        for name, value in had.items():
            setattr(engine, name, value)
