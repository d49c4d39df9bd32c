"""What a run gives to the Hugging Face hub: the last policy with its card, where a recipe says `push_to_hub`."""

from __future__ import annotations

from httpx2 import HTTPError

from oger.terminal.errors import UserError, one_line
from oger.training.trainer import OGERTrainer

_LONGEST = 200


def push(trainer: OGERTrainer) -> None:
    """Push the policy and its card, where the options ask for it; every rank takes part.

    Raises:
        UserError: the hub does not take it; the run folder is whole by then.
    """
    if not trainer.args.push_to_hub:
        return
    try:
        trainer.push_to_hub(commit_message="End of training")
    except (OSError, HTTPError) as error:
        run = trainer.args.record_dir
        raise UserError(f"{hub_line(error)} The run is whole: hf upload OWNER/NAME {run}/model pushes it.") from error


def hub_line(error: BaseException) -> str:
    """What to do where the hub cannot be reached or says no."""
    return (
        f"push_to_hub: the hub cannot be used ({one_line(error, _LONGEST)}): check the network, HF_TOKEN and "
        "hub_model_id, or set push_to_hub=false."
    )
