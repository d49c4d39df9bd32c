"""`oger teachers collect`: answers of a teacher, sampled through an OpenAI-compatible endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oger.cli.errors import EXIT_INTERRUPTED
from oger.cli.options import BodyOption, SeedOption, can_be_written, finite, parsed_body
from oger.io.secrets import api_key
from oger.terminal.errors import UserError
from oger.terminal.plain import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from oger.endpoint.client import Endpoint
    from oger.teachers.collect.ledger import Answered, Ledger
    from oger.teachers.collect.plan import Messages, Plan, Prompts
    from oger.teachers.collect.progress import Tally


def collect(
    prompts: Annotated[str, typer.Option("--prompts", metavar="SOURCE", help="Rows with prompt, answer, kind.")],
    endpoint: Annotated[str, typer.Option("--endpoint", metavar="URL", help="Such as http://localhost:8000/v1.")],
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="The model's name at the endpoint.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE.jsonl", help="Answers; an existing file is continued.", callback=can_be_written
        ),
    ],
    teacher: Annotated[str | None, typer.Option("--teacher", help="Name of the teacher; default: the model's.")] = None,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Answers per prompt.")] = 1,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Rows of the source.")] = None,
    temperature: Annotated[float, typer.Option("--temperature", min=0.0, callback=finite)] = 0.6,
    top_p: Annotated[float, typer.Option("--top-p", min=0.0, max=1.0, callback=finite)] = 0.95,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Length limit of an answer.")] = 8192,
    system: Annotated[str | None, typer.Option("--system", metavar="TEXT", help="A system message.")] = None,
    seed: SeedOption = 0,
    body: BodyOption = "{}",
    completions: Annotated[
        bool, typer.Option("--completions", help="Ask /completions with raw text, not /chat/completions.")
    ] = False,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Requests at once.")] = 16,
    deadline: Annotated[
        float, typer.Option("--deadline", min=0.001, help="Seconds for one whole reply.", callback=finite)
    ] = 600.0,
    retries: Annotated[int, typer.Option("--retries", min=0, help="After a fault that may pass.")] = 6,
    retry_wait: Annotated[
        float,
        typer.Option("--retry-wait", min=0.001, help="Seconds before the first retry, then doubled.", callback=finite),
    ] = 1.0,
    api_key_env: Annotated[
        str | None, typer.Option("--api-key-env", metavar="VARIABLE", help="Environment variable with the API key.")
    ] = None,
    price_in: Annotated[
        float | None, typer.Option("--price-in", min=0.0, help="USD per million tokens.", callback=finite)
    ] = None,
    price_out: Annotated[
        float | None, typer.Option("--price-out", min=0.0, help="USD per million tokens.", callback=finite)
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be asked and its cost, ask nothing.")
    ] = False,
    tokenizer: Annotated[
        str | None, typer.Option("--tokenizer", metavar="MODEL", help="Counts prompt tokens in a dry run.")
    ] = None,
) -> None:
    """Sample a teacher through an OpenAI-compatible endpoint into a JSONL file; run it again to continue."""
    from oger.endpoint.client import Endpoint, EndpointOptions
    from oger.io.rows import load_rows
    from oger.teachers.collect.ledger import Ledger, read_answers
    from oger.teachers.collect.plan import Plan, Settings, read_prompts

    if (price_in is None) != (price_out is None):
        raise UserError("a cost needs both --price-in and --price-out")
    if tokenizer is not None and not dry_run:
        raise UserError("--tokenizer counts prompt tokens for --dry-run; leave it out of a real run")
    if out.suffix != ".jsonl" or not out.parent.is_dir():
        raise UserError(f"--out must be a .jsonl file in a folder that exists, got {out}")
    settings = Settings(
        model=model,
        teacher=teacher or model,
        api="completions" if completions else "chat",
        temperature=temperature,
        top_p=top_p,
        max_tokens=max_tokens,
        seed=seed,
        system=system,
        body=parsed_body(body),
    )
    options = EndpointOptions(endpoint, model, completions, deadline, retries, retry_wait)
    client = Endpoint(options, api_key(api_key_env))
    read = read_prompts(load_rows(prompts, limit), settings, prompts)
    plan = Plan(read.rows, samples, settings)
    prices = (price_in, price_out) if price_in is not None and price_out is not None else None
    if dry_run:
        _describe(plan, read, read_answers(out, settings), prices, tokenizer)
        return
    with Ledger(out, settings) as ledger:
        if ledger.repaired:
            say(ledger.repaired, err=True)
        tally = _run(client, plan, ledger, concurrency)
        _report(plan, read, ledger, tally, prices)


def _run(client: Endpoint, plan: Plan, ledger: Ledger, concurrency: int) -> Tally:
    import asyncio

    from oger.teachers.collect.progress import Progress, Tally
    from oger.teachers.collect.run import collect as collect_answers

    answered = frozenset(ledger.answered.ids)
    tally = Tally(total=sum(1 for _ in plan.requests(answered)))
    if tally.total:
        with Progress(f"collect {plan.settings.teacher}", tally.total) as progress:
            asyncio.run(collect_answers(client, plan.requests(answered), ledger, tally, progress, concurrency))
    return tally


def _report(plan: Plan, read: Prompts, ledger: Ledger, tally: Tally, prices: tuple[float, float] | None) -> None:
    """Say what the run did; exit 130 if it was interrupted, with one line on standard error if answers are missing."""
    from oger.teachers.collect.ledger import failures_path

    answered = ledger.answered
    say(
        f"{ledger.path}: {plan.size - tally.remaining} of {plan.size} answers ({tally.answers} new), "
        f"{answered.truncated} of the file's {len(answered.ids)} cut by the length limit or refused"
    )
    if answered.unsaid:
        say(
            f"{answered.unsaid} answers came without a finish reason: whether they were cut is not known, so they "
            "count as cut and no table takes them. Look for a setting of the server, or collect through another one."
        )
    if read.repeated:
        say(_repeated(read))
    if tally.answers and prices is not None:
        cost = (tally.prompt_tokens * prices[0] + tally.num_tokens * prices[1]) / 1e6
        say(
            f"this run: {tally.prompt_tokens} prompt tokens, {tally.num_tokens} answer tokens, {_usd(cost)} "
            "by the server's count of the answers received"
        )
    again = "run the same command again to ask them"
    if tally.fatal is not None:
        raise UserError(f"{tally.fatal} ({tally.remaining} answers missing; what came is kept: {again})")
    if tally.interrupted and tally.remaining:
        say(f"{tally.remaining} answers missing: {again}", err=True)
        raise typer.Exit(EXIT_INTERRUPTED)
    if tally.failures:
        raise UserError(
            f"{tally.failures} of {tally.total} requests failed (the last: {tally.last_reason}); reasons in "
            f"{failures_path(ledger.path)}: {again}"
        )
    say(
        f"next: oger teachers curate --source {plan.settings.teacher}=plain:{ledger.path} --out TABLE --tokenizer MODEL"
    )


def _describe(
    plan: Plan, read: Prompts, answered: Answered, prices: tuple[float, float] | None, tokenizer: str | None
) -> None:
    """Print the size and cost of what is still to be asked."""
    from oger.teachers.collect.plan import about_tokens, estimate

    size = estimate(plan, answered.ids, _counter(tokenizer) if tokenizer is not None else about_tokens)
    how = f"by {tokenizer}" if tokenizer is not None else "guessed as characters / 4"
    say(f"{size.requests} requests to make; {plan.size - size.requests} of {plan.size} are answered")
    if read.repeated:
        say(_repeated(read))
    say(f"prompt tokens: {size.prompt_tokens} ({how})")
    most = size.answer_tokens_most
    say(f"answer tokens: {'no limit' if most is None else f'at most {most}'}")
    mean = answered.mean_tokens
    if mean is not None:
        say(f"answer tokens, if as long as the {answered.counted} so far: {size.requests * mean:.0f}")
    if prices is None:
        say("cost: add --price-in and --price-out")
        return
    upper = "no upper limit" if most is None else f"at most {_usd(size.cost(*prices, most))} without retries"
    say(f"cost: at least {_usd(size.cost(*prices, 0))}, {upper}")
    if mean is not None:
        say(f"cost, if as long as so far: {_usd(size.cost(*prices, size.requests * mean))}")


def _usd(amount: float) -> str:
    return f"USD {amount:.2f}" if amount >= 1 else f"USD {amount:.4f}"


def _repeated(read: Prompts) -> str:
    return (
        f"{read.repeated} rows repeat an earlier prompt and are not asked again; {read.conflicting} of them give "
        "another answer than the first"
    )


def _counter(name: str) -> Callable[[str | Messages], int]:
    """Counts the tokens of a prompt, with the chat template where there is one."""
    from oger.io.pretrained import load_tokenizer

    tokenizer = load_tokenizer(name)

    def count(prompt: str | Messages) -> int:
        if isinstance(prompt, str):
            return len(tokenizer(prompt)["input_ids"])
        if tokenizer.chat_template:
            return len(tokenizer.apply_chat_template(prompt, add_generation_prompt=True, return_dict=True)["input_ids"])
        return sum(len(tokenizer(message["content"])["input_ids"]) for message in prompt)

    return count
