"""`oger merge`: an adapter and its base as one model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oger.cli.options import CheckpointOption, TargetArgument, can_be_written
from oger.terminal.errors import UserError
from oger.terminal.plain import say


def merge(
    target: TargetArgument,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="FOLDER",
            help="A folder that does not exist; default: RUN/merged.",
            callback=can_be_written,
        ),
    ] = None,
    checkpoint: CheckpointOption = "last",
) -> None:
    """Write a LoRA run's policy as a whole model, which needs neither its base nor peft."""
    from oger.io.pretrained import is_adapter
    from oger.io.whole import check_place, whole_folder
    from oger.runs.card import write_card
    from oger.runs.paths import MERGED
    from oger.runs.policy import load_policy, locate_target

    location = locate_target(target, checkpoint)
    if not is_adapter(location.source):
        raise UserError(f"{location.label} is no adapter: {location.source} holds whole weights already")
    folder = Path(target) if Path(target).is_dir() else Path(target.rpartition("@")[0])  # without @best
    out = out or folder / MERGED
    if out.exists():
        raise UserError(f"{out} exists already; name another folder with --out")
    check_place(out, makes_folders=True)
    policy, tokenizer = load_policy(location)
    merged = policy.merge_and_unload()
    with whole_folder(out) as beside:
        merged.save_pretrained(beside)
        tokenizer.save_pretrained(beside)
        if location.recipe is not None:
            write_card(folder, beside, MERGED)
    say(f"{out}: {location.label} merged into {location.base}")
