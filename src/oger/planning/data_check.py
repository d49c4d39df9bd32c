"""What a run of a recipe would find out about its data before it loads the policy: `oger doctor --data`."""

from __future__ import annotations

from collections.abc import Iterator

from oger.io.pretrained import positions
from oger.planning.doctor import Finding
from oger.recipes import Recipe
from oger.training.run.rows import WARNING, RunData, look_at_answers, read_data, reward_functions

_ROWS_LOOKED_AT = 500  # by the tokenizer, spread over the set; twice as many at most


def data_findings(recipe: Recipe) -> Iterator[Finding]:
    """Each thing as it is found; all rows are read, no weights are.

    Raises:
        ValueError, FileNotFoundError: what the run would end with, in one line.
    """
    data = read_data(recipe)
    yield _finding("prompts", f"{len(data.train):,} in {recipe.train}")
    notes = look_at_answers(recipe, data.train)
    for note in notes:
        yield _finding("answers", note.removeprefix(f"{recipe.train}: "))
    yield from _with_options(recipe, data, notes)


def _with_options(recipe: Recipe, data: RunData, notes: tuple[str, ...]) -> Iterator[Finding]:
    """What depends on the run's options and on the policy's tokenizer; their libraries take seconds to load."""
    from oger.runs.policy import base_of
    from oger.training.loop import data as checks
    from oger.training.run.build import check_start
    from oger.training.run.options import check_training
    from oger.training.run.show import quiet_libraries

    quiet_libraries()
    start = check_start(check_training(recipe), data, notes)
    args, rows = start.args, start.train
    if args.needs_own_objective:
        checks.check_whole_groups(args)
        if args.requires_teachers:
            checks.check_guidance(rows, {})
    checks.check_batch(rows, args)
    groups = args.generation_batch_size // args.num_generations
    yield _finding("batch", f"{groups} prompts with {args.num_generations} rollouts each")
    config = checks.context_config(base_of(start.model) or start.model)
    too_long: list[str] = []
    checks.check_prompts(rows, start.tokenizer, args, config, too_long.append)
    fits = f"{args.max_completion_length} tokens of response behind each prompt, of {positions(config)} positions"
    yield _finding("lengths", WARNING + too_long[0] if too_long else fits)
    some = rows.select(range(0, len(rows), max(1, len(rows) // _ROWS_LOOKED_AT)))
    rules = checks.outcome_rules(reward_functions(recipe), args.outcome_reward)
    turn = checks.policy_turn(some, start.tokenizer, args, checks.stop_ids(start.model), rules)
    _, counts = checks.read_teachers(some, turn, args, required=args.requires_teachers)
    yield _finding("teachers", f"{counts.describe()}; {len(some):,} rows looked at")
    if (open_texts := counts.warning()) is not None:
        yield _finding("teachers", WARNING + open_texts)


def _finding(name: str, said: str) -> Finding:
    status = "warning" if said.startswith(WARNING) else "ok"
    return Finding(name=name, status=status, detail=said.removeprefix(WARNING))
