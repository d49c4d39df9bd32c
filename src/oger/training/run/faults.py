"""The fault boundary of a run: what the machine or a server refuses, as one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from accelerate.utils.memory import should_reduce_batch_size

from oger.faults import RunFaultError, broken_policies_named
from oger.io.disk import disk_fault
from oger.terminal.errors import one_line

if TYPE_CHECKING:
    from oger.training.trainer import OGERTrainer


@contextmanager
def one_line_faults(trainer: OGERTrainer) -> Iterator[None]:
    """Turns running out of memory or disk, or a vLLM server that is gone, into a RunFaultError; the rest passes."""
    try:
        with broken_policies_named():
            yield
    except (MemoryError, RuntimeError) as error:
        if not (isinstance(error, MemoryError) or should_reduce_batch_size(error)):
            raise
        raise RunFaultError(memory_advice(trainer)) from error
    except OSError as error:
        if disk_fault(error) is None:
            if not _of_server(trainer):
                raise
            raise RunFaultError(server_advice(trainer, error)) from error
        raise RunFaultError(
            f"cannot write into the run folder ({one_line(error, 200)}): make room, or make it writable, and go on "
            "with --resume."
        ) from error
    except Exception as error:
        # TRL's client raises no class of its own where the server refuses a request.
        if type(error) is not Exception or not _of_server(trainer):
            raise
        raise RunFaultError(server_advice(trainer, error)) from error


def _of_server(trainer: OGERTrainer) -> bool:
    """Whether an error that no disk raised may come from a vLLM server."""
    args = trainer.args
    asks = trainer.stage_in_progress == "generate" or not trainer.model.training
    return args.use_vllm and args.vllm_mode == "server" and asks


def server_advice(trainer: OGERTrainer, error: Exception) -> str:
    """What the server did, and how to go on."""
    args, step = trainer.args, trainer.state.global_step + 1
    url = args.vllm_server_base_url or f"http://{args.vllm_server_host}:{args.vllm_server_port}"
    gone = isinstance(error, OSError)
    did = f"does not answer in step {step}" if gone else f"refused a request of step {step}"
    advice = "start it again" if gone else "start it again with what it asks for"
    return f"the vLLM server at {url} {did} ({one_line(error, 300)}): {advice}, and go on with --resume."


def memory_advice(trainer: OGERTrainer) -> str:
    """What to lower where the stage in progress did not fit."""
    args = trainer.args
    stage = trainer.stage_in_progress if trainer.model.training else "validation"
    rows, chunks, length = args.per_device_train_batch_size, args.length_chunks, args.max_completion_length
    generated = f"steps_per_generation (now {args.steps_per_generation}) or max_completion_length (now {length})"
    advice = {
        "generate": f"lower {generated}: {rows * (args.steps_per_generation or 1)} rollouts are generated at once",
        "validation": f"lower per_device_eval_batch_size (now {args.per_device_eval_batch_size})",
        "score": f"choose a smaller encoder or reward model, or lower {generated}",
    }.get(
        stage,
        f"raise length_chunks (now {chunks}) or set gradient_checkpointing=true and go on with --resume; or lower "
        f"per_device_train_batch_size (now {rows}) and raise gradient_accumulation_steps by the same factor, lower "
        f"max_completion_length (now {length}), or train an adapter (peft)",
    )
    return (
        f"out of memory in step {trainer.state.global_step + 1} ({stage}): {advice}. What is saved is whole; a new run "
        "goes on from it with model=CHECKPOINT. oger plan estimates the memory."
    )
