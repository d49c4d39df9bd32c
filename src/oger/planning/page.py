"""A plan as text: memory, tokens, time, verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from oger.planning.memory import GIB
from oger.planning.plan import Plan
from oger.planning.scaling import same_batch_plans
from oger.planning.timing import Stage

_WHEN = {"always": "", "train": "; training only", "generate": "; generation only"}


def print_plan(plan: Plan, console: Console, *, arithmetic: bool = False) -> None:
    """Print a plan; `arithmetic` is that of the other numbers of GPUs, too."""
    for block in _blocks(plan, arithmetic):
        console.print(block, soft_wrap=isinstance(block, Text), highlight=False)


def _blocks(plan: Plan, arithmetic: bool) -> Iterator[RenderableType]:
    setting, shape, device = plan.setting, plan.setting.shape, plan.setting.device
    yield Text(
        f"{setting.name}: {shape.num_parameters:,} parameters ({shape.source}), {setting.trained:,} trained, "
        f"on {setting.num_gpus} x {device.name} ({device.memory_gib:g} GiB, {device.peak_flops / 1e12:g} TFLOP/s, "
        f"{device.bandwidth / 1e12:g} TB/s), sharding {setting.sharding}"
        + (f", and {setting.server_gpus} more that generate" if setting.server_gpus else ""),
    )
    others = same_batch_plans(setting)
    blocks: list[RenderableType] = [_memory(plan), _tokens(plan), _time(plan), _scaling(others)]
    for block in (*blocks, *(_whys(others) if arithmetic else ()), _verdict(plan)):
        yield ""
        yield block
    for warning in plan.warnings:
        yield Text(f"warning: {warning}", style="yellow")
    for advice in plan.advice:
        verdict = "fits" if advice.fits else "not enough alone"
        yield Text(f"  {advice.change}: {advice.peak_gib:.1f} GiB, {verdict}")


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, show_edge=False)
    last = len(headers) - 1
    for index, header in enumerate(headers):
        number = 0 < index < max(last, 2)
        table.add_column(header, justify="right" if number else "left", no_wrap=index < max(last, 2), overflow="fold")
    return table


def _memory(plan: Plan) -> Table:
    table = _table("memory per GPU", "GiB", "arithmetic")
    for part in plan.parts:
        digits = 2 if part.bytes >= GIB else 3
        table.add_row(part.name, f"{part.bytes / GIB:.{digits}f}", part.why + _WHEN[part.when])
    for phase, label in (("train", "training"), ("generate", "generation")):
        if phase == "train" or plan.setting.engine != "none":
            table.add_row(f"together in {label}", f"{plan.peaks[phase] / GIB:.2f}", "")
    return table


def _tokens(plan: Plan) -> Table:
    setting, tokens = plan.setting, plan.tokens
    rows = setting.rows * setting.accumulation * setting.num_gpus
    table = _table("tokens per optimiser step", "number", "arithmetic")
    shape = f"{rows / setting.group:g} prompts x {setting.group} rows"
    if tokens.generated:
        table.add_row("generated", f"{tokens.generated:,.0f}", f"{shape} x {setting.mean_tokens:,} (--mean-tokens)")
    if tokens.teacher:
        teachers = rows / setting.group * setting.teacher_rows
        why = f"{teachers:g} teacher rows x {setting.teacher_tokens:,} (--teacher-tokens)"
        table.add_row("of teachers in groups", f"{tokens.teacher:,.0f}", why)
    if tokens.imitated:
        trajectories = rows / setting.group * setting.imitated
        why = f"{trajectories:g} trajectories x {setting.teacher_tokens:,} (--teacher-tokens)"
        table.add_row("imitated beside groups", f"{tokens.imitated:,.0f}", why)
    table.add_row("trained on", f"{tokens.trained:,.0f}", "online rows that stayed, and teachers")
    why = "of forwards with gradient: prompts, responses, padding"
    table.add_row("positions computed", f"{tokens.padded:,.0f}", why)
    return table


def _time(plan: Plan) -> Table:
    table = _table("time per optimiser step", "seconds", "share", "arithmetic")
    for stage in plan.stages:
        table.add_row(stage.name, f"{stage.seconds:.1f}", _share(stage, plan), stage.why)
    why = "transfer of weights and exchange of gradients not counted"
    table.add_row("together", f"{plan.seconds_per_step:.1f}", "100 %", why)
    setting = plan.setting
    if plan.hours is None:
        table.add_row("run", "?", "", f"{setting.epochs:g} epochs: set max_steps to see hours")
        return table
    why = f"{setting.max_steps:,} steps x {_seconds(plan.seconds_per_step)} s"
    if plan.validation_seconds:
        why += f" + {setting.validation_rows:,} rollouts of validation, {plan.validation_seconds:,.0f} s"
    table.add_row("run", f"{plan.hours * 3600:,.0f}", "", f"{plan.hours:,.1f} hours = {why}")
    return table


def _share(stage: Stage, plan: Plan) -> str:
    return f"{100 * stage.seconds / plan.seconds_per_step:.1f} %"


def _scaling(plans: Mapping[int, Plan | None]) -> Table:
    table = _table("the same batch on", *(f"{number} GPU{'s' * (number > 1)}" for number in plans), "")

    def add(name: str, cell: Callable[[Plan], str], without: str = "") -> None:
        table.add_row(name, *(without if plan is None else cell(plan) for plan in plans.values()), "")

    def timed(place: int, plan: Plan) -> str:
        stage = plan.stages[place]
        return f"{_seconds(stage.seconds)} s {_share(stage, plan):>6}"

    known = next(plan for plan in plans.values() if plan is not None)
    for place, stage in enumerate(known.stages):
        add(stage.name, partial(timed, place))
    add("together", lambda plan: f"{_seconds(plan.seconds_per_step)} s  100 %", "rows do not divide")
    add("GiB per GPU", lambda plan: f"{max(plan.peaks.values()) / GIB:.1f}, {'fits' if plan.fits else 'too much'}")
    return table


def _whys(plans: Mapping[int, Plan | None]) -> Iterator[Table]:
    """The arithmetic of every number of GPUs."""
    for number, plan in plans.items():
        if plan is None:
            continue
        setting = plan.setting
        rows = f"{setting.accumulation} x {setting.rows} rows of each GPU, sharding {setting.sharding}"
        table = _table(f"on {number} GPU{'s' * (number > 1)}", "seconds", rows)
        for stage in plan.stages:
            table.add_row(stage.name, _seconds(stage.seconds), stage.why)
        yield table


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 10 else f"{seconds:.3f}"


def _verdict(plan: Plan) -> Text:
    setting = plan.setting
    peak, room = max(plan.peaks.values()) / GIB, setting.device.memory_gib
    if plan.fits:
        return Text(f"fits: {peak:.1f} of {room:g} GiB per GPU", style="green")
    return Text(f"does not fit: {peak:.1f} of {room:g} GiB per GPU; single changes:", style="bold red")
