"""What a run of a recipe would find out about its data before it loads the policy: `oger doctor --data`."""

from __future__ import annotations

from collections.abc import Iterator

from oger.io.pretrained import positions
from oger.planning.doctor import Finding
from oger.recipes import Recipe
from oger.runs.policy import base_of
from oger.training.loop import data
from oger.training.run.build import WARNING, check_start
from oger.training.run.options import check_training

_ROWS_LOOKED_AT = 500  # by the tokenizer, spread over the set; twice as many at most


def data_findings(recipe: Recipe) -> Iterator[Finding]:
    """Each thing as it is found; all rows are read, no weights are.

    Raises:
        ValueError, FileNotFoundError: what the run would end with, in one line.
    """
    start = check_start(check_training(recipe))
    args, rows = start.args, start.train
    yield _finding("prompts", f"{len(rows):,} in {recipe.train}")
    for note in start.notes:
        yield _finding("answers", note.removeprefix(f"{recipe.train}: "))
    if args.needs_own_objective:
        data.check_whole_groups(args)
        if args.requires_teachers:
            data.check_guidance(rows, {})
    data.check_batch(rows, args)
    groups = args.generation_batch_size // args.num_generations
    yield _finding("batch", f"{groups} prompts with {args.num_generations} rollouts each")
    config = data.context_config(base_of(start.model) or start.model)
    too_long: list[str] = []
    data.check_prompts(rows, start.tokenizer, args, config, too_long.append)
    fits = f"{args.max_completion_length} tokens of response behind each prompt, of {positions(config)} positions"
    yield _finding("lengths", WARNING + too_long[0] if too_long else fits)
    some = rows.select(range(0, len(rows), max(1, len(rows) // _ROWS_LOOKED_AT)))
    turn = data.policy_turn(some, start.tokenizer, args, data.stop_ids(start.model))
    _, counts = data.read_teachers(some, turn, args, required=args.requires_teachers)
    yield _finding("teachers", f"{counts.describe()}; {len(some):,} rows looked at")


def _finding(name: str, said: str) -> Finding:
    status = "warning" if said.startswith(WARNING) else "ok"
    return Finding(name=name, status=status, detail=said.removeprefix(WARNING))
