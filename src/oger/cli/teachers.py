"""`oger teachers ...`: from what teachers wrote to one verified training table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from oger.cli.collect import collect
from oger.cli.options import can_be_written, finite
from oger.terminal.plain import ends, say

if TYPE_CHECKING:
    from oger.teachers.curate.counts import CurateReport

app = typer.Typer(help="Curate, look at and export verified tables of teacher trajectories.", no_args_is_help=True)
app.command("collect")(collect)

TableArgument = Annotated[Path, typer.Argument(metavar="TABLE", help="A curated folder, or its table.parquet.")]

_EXCERPT = 300


@app.command()
def curate(
    source: Annotated[
        list[str],
        typer.Option(
            "--source",
            metavar="NAME=LAYOUT:PATH",
            help="Layouts: openr1, luffy, plain, table, world, champ. PATH: a file, a folder, or hub:OWNER/NAME.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="A folder that does not exist.", callback=can_be_written)
    ],
    tokenizer: Annotated[
        str, typer.Option("--tokenizer", metavar="MODEL", help="The policy's: folder or hub id; or words, characters.")
    ],
    map_: Annotated[
        list[str] | None, typer.Option("--map", metavar="NAME.FIELD=COLUMN", help="Read a field from another column.")
    ] = None,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Longest trajectory, EOS included.")] = 8192,
    kind: Annotated[str, typer.Option("--kind", help="Kind of answer, for rows that state none.")] = "math",
    rules: Annotated[
        str, typer.Option("--rules", metavar="RULE[,RULE]", help="How the answer is found, such as last_boxed.")
    ] = "last_boxed",
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to verify one answer.", callback=finite)] = 5.0,
    trust_claims: Annotated[
        bool, typer.Option("--trust-claims", help="Believe a source's own verdicts where it has them.")
    ] = False,
    duplicates: Annotated[
        str, typer.Option("--duplicates", metavar="anywhere|prompt", help="Where a repeated text is dropped.")
    ] = "anywhere",
    near_duplicates: Annotated[
        float,
        typer.Option(
            "--near-duplicates", help="Similarity under one prompt, 0 to 1; 1 = equal texts only.", callback=finite
        ),
    ] = 0.95,
    decontaminate: Annotated[
        list[str] | None, typer.Option("--decontaminate", metavar="SOURCE", help="Evaluation problems to keep out.")
    ] = None,
    ngram: Annotated[int, typer.Option("--ngram", help="Words in a row shared with an evaluation problem.")] = 13,
    per_teacher: Annotated[int, typer.Option("--per-teacher", help="Trajectories per prompt and teacher.")] = 1,
    order: Annotated[
        str, typer.Option("--order", metavar="first|shortest|random", help="Which of a teacher's are chosen.")
    ] = "first",
    seed: Annotated[int, typer.Option("--seed", help="Of --order random.")] = 0,
    workers: Annotated[int | None, typer.Option("--workers", help="Processes; default: one per core.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue a curation that was killed.")] = False,
) -> None:
    """Turn any number of sources into one verified table, with a card and a list of what was dropped and why."""
    from oger.teachers.curate.options import CurateOptions, parse_maps, parse_source
    from oger.teachers.curate.run import curate as run

    options = CurateOptions(
        sources=parse_maps([parse_source(text) for text in source], map_ or []),
        tokenizer=tokenizer,
        max_tokens=max_tokens,
        kind=kind,
        rules=tuple(rules.split(",")),
        timeout_s=timeout,
        trust_claims=trust_claims,
        duplicates=duplicates,
        near_duplicates=near_duplicates,
        decontaminate=tuple(decontaminate or ()),
        ngram=ngram,
        per_teacher=per_teacher,
        order=order,
        seed=seed,
        workers=workers,
    )
    report = run(options, out, resume=resume, progress=True)
    _print_report(report)
    say(f"{out}: {report.prompts_kept:,} prompts, {sum(t.kept for t in report.teachers.values()):,} trajectories")


@app.command()
def show(
    table: TableArgument,
    rows: Annotated[int, typer.Option("--rows", min=0, help="How many rows.")] = 3,
) -> None:
    """Print the card of a table and its first rows."""
    from itertools import islice

    from rich.markdown import Markdown
    from rich.text import Text

    from oger.teachers.curate.card import CARD_MARKDOWN
    from oger.teachers.table.schema import iterate_table, messages_of, validate_table
    from oger.terminal.console import Terminal

    path = _table_file(table)
    summary = validate_table(path)
    console = Terminal()
    card = path.with_name(CARD_MARKDOWN)
    if card.is_file():
        console.print(Markdown(card.read_text(encoding="utf-8"), hyperlinks=False))
    else:
        console.print(f"{summary.rows} prompts, {summary.trajectories} trajectories; no card beside the table")
    for row in islice(iterate_table(path), rows):
        console.rule()
        for message in messages_of(row["prompt"]):
            console.print(Text.assemble((f"{message['role']}: ", "bold"), ends(message["content"], _EXCERPT)))
        console.print(Text.assemble(("gold: ", "bold"), f"{row['answer']} ({row['kind']})"))
        for trajectory in row["teachers"]:
            label = f"{trajectory['teacher']}, {trajectory['num_tokens']} tokens, from {trajectory['source']}: "
            console.print(Text.assemble((label, "cyan"), ends(trajectory["text"], _EXCERPT)))
        if not row["teachers"]:
            console.print(Text("no teacher", style="dim"))


@app.command()
def validate(table: TableArgument) -> None:
    """Check every row of a table against the schema."""
    from oger.teachers.table.schema import validate_table

    path = _table_file(table)
    summary = validate_table(path)
    prompts = "chat" if summary.chat else "text"
    say(f"{path}: a valid table, {summary.rows:,} {prompts} prompts, {summary.trajectories:,} trajectories")


@app.command()
def export(
    table: TableArgument,
    to: Annotated[str, typer.Option("--to", metavar="luffy|trl|sft", help="Form of the export.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE.parquet", help="A file that does not exist.", callback=can_be_written)
    ],
) -> None:
    """Write a table as LUFFY's Parquet, as a data set for TRL's GRPO, or as prompts and completions for SFT."""
    from oger.teachers.table.export import export_table

    number = export_table(_table_file(table), to, out)
    say(f"{out}: {number:,} rows")


def _table_file(table: Path) -> Path:
    from oger.teachers.table.output import TABLE_FILE

    return table / TABLE_FILE if table.is_dir() else table


def _print_report(report: CurateReport) -> None:
    from rich.text import Text

    from oger.teachers.curate.card import TEACHER_COLUMNS, counts_line, teacher_cells, teachers_line
    from oger.terminal.console import Terminal, plain_table

    table = plain_table()
    for position, column in enumerate(TEACHER_COLUMNS[:-1]):
        table.add_column(column, justify="right" if position else "left", overflow="fold")
    for name, teacher in report.teachers.items():
        table.add_row(*(Text(cell) for cell in teacher_cells(name, teacher)[:-1]))
    Terminal().print(table)
    for name, teacher in report.teachers.items():
        say(f"{name} dropped: {counts_line(teacher.dropped)}")
    for name, line in report.golds.items():
        say(f"{name}: {line}")
    say(f"source rows set aside: {counts_line(report.rejected_rows)}")
    say(f"prompts dropped: {counts_line(report.rejected_prompts)}")
    say(f"prompts by number of teachers: {teachers_line(report)}")
