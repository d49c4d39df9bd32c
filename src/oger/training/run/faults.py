"""The fault boundary of a run: what the machine or a server refuses, as one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from accelerate.utils.memory import should_reduce_batch_size

from oger.faults import RunFaultError, broken_policies_named
from oger.io.disk import disk_fault
from oger.terminal.errors import one_line
from oger.training.run.shared_evaluation import rows_at_once
from oger.training.trainer import OGERTrainer

EVALUATION = "evaluation"
"""Stage in which test sets are solved."""


@contextmanager
def one_line_faults(trainer: OGERTrainer, stage: str | None = None) -> Iterator[None]:
    """Turns running out of memory or disk, or a vLLM server that is gone, into a RunFaultError; the rest passes.

    Args:
        stage: what the run is at; None = what the trainer says.
    """
    try:
        with broken_policies_named():
            yield
    except Exception as error:
        said = _said(trainer, stage or _stage(trainer), error)
        if said is None:
            raise
        raise RunFaultError(said) from error


def _said(trainer: OGERTrainer, stage: str, error: Exception) -> str | None:
    """What to do about an error of the machine or of a vLLM server; None for any other."""
    if isinstance(error, MemoryError) or should_reduce_batch_size(error):
        return memory_advice(trainer, stage)
    if isinstance(error, OSError) and disk_fault(error) is not None:
        return (
            f"cannot write into the run folder ({one_line(error, 200)}): make room, or make it writable, and go on "
            "with --resume."
        )
    args = trainer.args
    asks = args.use_vllm and args.vllm_mode == "server" and stage in ("generate", "validation", EVALUATION)
    # TRL's client raises no class of its own where the server refuses a request.
    if asks and (isinstance(error, OSError) or type(error) is Exception):
        return server_advice(trainer, stage, error)
    return None


def _stage(trainer: OGERTrainer) -> str:
    return trainer.stage_in_progress if trainer.model.training else "validation"


def _where(trainer: OGERTrainer, stage: str) -> str:
    return "the evaluation" if stage == EVALUATION else f"step {trainer.state.global_step + 1}"


def server_advice(trainer: OGERTrainer, stage: str, error: Exception) -> str:
    """What the server did, and how to go on."""
    args, where = trainer.args, _where(trainer, stage)
    url = args.vllm_server_base_url or f"http://{args.vllm_server_host}:{args.vllm_server_port}"
    gone = isinstance(error, OSError)
    did = f"does not answer in {where}" if gone else f"refused a request of {where}"
    advice = "start it again" if gone else "start it again with what it asks for"
    return f"the vLLM server at {url} {did} ({one_line(error, 300)}): {advice}, and go on with --resume."


def memory_advice(trainer: OGERTrainer, stage: str) -> str:
    """What to lower where a stage did not fit."""
    args = trainer.args
    rows, chunks, length = args.per_device_train_batch_size, args.length_chunks, args.max_completion_length
    generated = f"steps_per_generation (now {args.steps_per_generation}) or max_completion_length (now {length})"
    advice = {
        "generate": f"lower {generated}: {rows * (args.steps_per_generation or 1)} rollouts are generated at once",
        "validation": f"lower per_device_eval_batch_size (now {args.per_device_eval_batch_size})",
        EVALUATION: f"lower max_completion_length (now {length}), or eval_limit times eval_samples: as many responses, "
        f"{rows_at_once(trainer)} at most, are generated at once",
        "score": f"choose a smaller encoder or reward model, or lower {generated}",
    }.get(
        stage,
        f"raise length_chunks (now {chunks}) or set gradient_checkpointing=true and go on with --resume; or lower "
        f"per_device_train_batch_size (now {rows}) and raise gradient_accumulation_steps by the same factor, lower "
        f"max_completion_length (now {length}), or train an adapter (peft)",
    )
    where = _where(trainer, stage) + ("" if stage == EVALUATION else f" ({stage})")
    return (
        f"out of memory in {where}: {advice}. What is saved is whole; a new run goes on from it with "
        "model=CHECKPOINT. oger plan estimates the memory."
    )
