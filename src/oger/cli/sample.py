"""`oger sample`: a few solutions to one problem."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from oger.cli.options import CheckpointOption, SeedOption, TargetArgument, finite
from oger.terminal.errors import UserError
from oger.terminal.plain import say


def sample(
    target: TargetArgument,
    problem: Annotated[str, typer.Argument(metavar="PROBLEM", help="The problem, as the training prompts state it.")],
    samples: Annotated[int, typer.Option("--samples", min=1, help="How many solutions.")] = 4,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, help="0 is greedy.", callback=finite)] = 1.0,
    checkpoint: CheckpointOption = "last",
    seed: SeedOption = 0,
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1, help="Length limit of a response.")] = None,
) -> None:
    """Print a few solutions of a policy to one problem."""
    if not problem.strip():
        raise UserError("the problem is empty")
    from oger.runs.policy import load_policy, locate_target, max_new_tokens

    location = locate_target(target, checkpoint)
    model, tokenizer = load_policy(location)
    from oger.evaluation.backends.base import SamplingSettings
    from oger.evaluation.backends.transformers import sample_responses

    prompt = _prompt(problem, tokenizer, world=location.world)
    settings = SamplingSettings(temperature, 1.0, max_tokens or max_new_tokens(location), seed)
    [responses] = sample_responses(model, tokenizer, [prompt], samples, settings)
    for number, response in enumerate(responses, start=1):
        cut = ", cut by the length limit" if response.truncated else ""
        say(f"--- {number} ({response.num_tokens} tokens{cut})")
        say(response.text.strip())


def _prompt(problem: str, tokenizer: Any, *, world: str | None) -> str | list[dict[str, str]]:
    """A chat where the tokenizer has a template; the prompts of a world end with a line break."""
    if getattr(tokenizer, "chat_template", None):
        return [{"role": "user", "content": problem}]
    return problem.rstrip("\n") + "\n" if world is not None else problem
