"""`oger plan`: memory, tokens and hours of a recipe before anything is loaded."""

from __future__ import annotations

from typing import Annotated

import typer

from oger.cli.options import OverridesArgument, RecipeArgument, finite, look_at_model, read_recipe
from oger.terminal.errors import UserError

EXIT_DOES_NOT_FIT = 1

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9}


def plan(
    recipe: RecipeArgument,
    overrides: OverridesArgument = None,
    gpus: Annotated[str, typer.Option("--gpus", metavar="NxGIB|NxNAME", help="As in 8x80 or 8xa100.")] = "1x80",
    sharding: Annotated[
        str | None, typer.Option("--sharding", help="none | fsdp2 | zero2 | zero3; default: fsdp2 on several GPUs.")
    ] = None,
    server_gpus: Annotated[int, typer.Option("--server-gpus", min=0, help="More GPUs, for vllm_mode=server.")] = 0,
    params: Annotated[
        str | None, typer.Option("--params", metavar="N", help="Size of a model that is not here, as in 1.5B.")
    ] = None,
    prompt_tokens: Annotated[int | None, typer.Option("--prompt-tokens", min=1, help="Per prompt.")] = None,
    mean_tokens: Annotated[
        int | None, typer.Option("--mean-tokens", min=1, help="Of a rollout; default: half of the limit.")
    ] = None,
    teacher_tokens: Annotated[
        int | None, typer.Option("--teacher-tokens", min=1, help="Of a teacher trajectory; default: as a rollout.")
    ] = None,
    trajectories: Annotated[
        float,
        typer.Option("--trajectories", min=0, help="Of teachers per prompt, where all are imitated.", callback=finite),
    ] = 2.0,
    mfu: Annotated[
        float, typer.Option("--mfu", min=0.001, max=1, help="Part of the peak that training reaches.", callback=finite)
    ] = 0.35,
    bandwidth_share: Annotated[
        float,
        typer.Option(
            "--bandwidth-share", min=0.001, max=1, help="Part of the bandwidth that decoding reaches.", callback=finite
        ),
    ] = 0.5,
    tokens_per_s: Annotated[
        float | None,
        typer.Option(
            "--tokens-per-s", min=0.001, help="Generated per GPU; default: from the bandwidth.", callback=finite
        ),
    ] = None,
    verify_ms: Annotated[
        float, typer.Option("--verify-ms", min=0, help="Of one worker of the verifier per answer.", callback=finite)
    ] = 16.0,
    verify_workers: Annotated[int, typer.Option("--verify-workers", min=1, help="Of the verifier, per GPU.")] = 8,
    scaling: Annotated[
        bool, typer.Option("--scaling", help="The arithmetic of the same batch on 1, 8 and 64 GPUs, too.")
    ] = False,
    overhead: Annotated[
        float, typer.Option("--overhead", min=0, help="GiB per GPU that nothing here counts.", callback=finite)
    ] = 2.0,
) -> None:
    """Show what a recipe needs on some GPUs: memory, tokens per step, hours. Exit code 1 where it does not fit."""
    from oger.planning.devices import parse_gpus

    num_gpus, device = parse_gpus(gpus)
    size = None if params is None else _number(params)
    loaded = read_recipe(recipe, overrides)
    if size is None:
        look_at_model(loaded)

    from oger.planning.from_recipe import make_setting
    from oger.planning.page import print_plan
    from oger.planning.plan import make_plan
    from oger.planning.setting import Assumptions
    from oger.terminal.console import Terminal
    from oger.training.run.show import quiet_libraries
    from oger.training.run.warm_start import first_recipe

    quiet_libraries()

    assumptions = Assumptions(
        prompt_tokens=prompt_tokens,
        mean_tokens=mean_tokens,
        teacher_tokens=teacher_tokens,
        trajectories=trajectories,
        mfu=mfu,
        bandwidth_share=bandwidth_share,
        tokens_per_s=tokens_per_s,
        verify_ms=verify_ms,
        verify_workers=verify_workers,
        overhead_gib=overhead,
    )
    stages = [loaded] if loaded.first is None else [first_recipe(loaded), loaded]
    console, fits = Terminal(), True
    for number, stage in enumerate(stages):
        setting = make_setting(
            stage,
            num_gpus,
            device,
            sharding=sharding,
            server_gpus=server_gpus,
            num_parameters=size,
            assumptions=assumptions,
        )
        made = make_plan(setting)
        if number:
            console.print()
        print_plan(made, console, arithmetic=scaling)
        fits = fits and made.fits
    if not fits:
        raise typer.Exit(EXIT_DOES_NOT_FIT)


def _number(text: str) -> int:
    """1.5B -> 1500000000."""
    digits, unit = (text[:-1], text[-1].lower()) if text[-1:].isalpha() else (text, "")
    try:
        number = float(digits) * _UNITS[unit]
    except (ValueError, KeyError) as error:
        raise UserError(f"--params must be a number such as 1.5B or 135M, got {text!r}") from error
    if not 1 <= number < float("inf"):
        raise UserError(f"--params must be a finite number of at least 1, such as 0.5B, got {text!r}")
    return int(number)
