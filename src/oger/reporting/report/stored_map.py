"""The map of a run without probes: its stored groups, with vectors that the run's encoder makes again.

A prompt is seldom stored at two steps, so "All prompts" shows other problems at every step.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from oger.reporting.report.plane import Problem, Rollout, Teacher, short_prompt, view
from oger.reporting.report.run_folder import RunFolder
from oger.reporting.report.stored import GroupKey, Rows, load_groups, sample_groups, spread_evenly
from oger.runs.rollouts import prompt_text
from oger.terminal.errors import one_line

if TYPE_CHECKING:
    from oger.encoders.base import Encoder

MAX_GROUPS = 48
"""Groups in the map of all prompts."""
MAX_PROMPTS = 6
"""Prompts with a map of their own: those that were stored at the most steps."""
MAX_STEPS = 12
"""Stored steps of a map of one prompt."""

Table = Sequence[Mapping[str, Any]]
_OWN_ENCODERS = ("ngram", "static", "sentence-transformers", "policy-init")
_FALLBACK = "ngram"


def stored_map(run: RunFolder, groups: Sequence[GroupKey], tables: dict[str, Table]) -> dict[str, Any]:
    """`{"about", "views"}` as the page reads it.

    `tables` keeps what was read of each source, for the other runs of the report.
    """
    pooled = sample_groups(groups, MAX_GROUPS)
    single = _recurring(groups)
    wanted = {(key.step, key.group): key for key in [*pooled, *(key for keys in single for key in keys)]}
    ordered = [wanted[place] for place in sorted(wanted)]
    loaded = {(key.step, key.group): rows for key, rows in load_groups(run, ordered)}
    if not loaded:
        return {"about": "", "views": []}
    stored = _stored_teachers(loaded.values())
    listed = _listed_teachers(run, stored, tables)
    teachers = stored | listed
    encoder, said = _encoder(run)
    said += "; every teacher of the training table" if listed else "; the teachers that were stored in these groups"
    texts = dict.fromkeys(row["text"] for rows in loaded.values() for row in rows if row["origin"] != "teacher")
    texts |= dict.fromkeys(text for entries in teachers.values() for _, text in entries)
    vectors = dict(zip(texts, encoder.encode(list(texts)).double().numpy(), strict=True))

    def problems(keys: Iterable[GroupKey]) -> list[Problem]:
        by_prompt: dict[str, list[Rollout]] = {}
        for key in keys:
            rows = loaded.get((key.step, key.group), [])
            for row in rows:
                if row["origin"] != "teacher":
                    rollout = Rollout(row=row, vector_E=vectors[row["text"]])
                    by_prompt.setdefault(row["prompt"], []).append(rollout)
        return [
            Problem(
                prompt=prompt,
                teachers=[Teacher(name=name, text=text, vector_E=vectors[text]) for name, text in teachers[prompt]],
                rollouts=rollouts,
            )
            for prompt, rollouts in by_prompt.items()
        ]

    views = [view("All prompts, each relative to the mean of its teachers", problems(pooled), relative=True)]
    for keys in single:
        for problem in problems(keys):
            steps = len({rollout.row["step"] for rollout in problem.rollouts})
            title = f"{short_prompt(problem.prompt)} ({steps} stored step{'s' * (steps > 1)})"
            views.append(view(title, [problem], relative=False))
    about = f"No probes are stored: these are groups of the training, other prompts at other steps; {said}"
    return {"about": about, "views": [each for each in views if each]}


def _recurring(groups: Sequence[GroupKey]) -> list[list[GroupKey]]:
    """The groups of each of the MAX_PROMPTS prompts that were stored at the most steps."""
    by_prompt: dict[str, list[GroupKey]] = {}
    for key in groups:
        by_prompt.setdefault(key.prompt, []).append(key)
    most = sorted(by_prompt.values(), key=lambda keys: -len({key.step for key in keys}))[:MAX_PROMPTS]
    return [spread_evenly(keys, MAX_STEPS) for keys in most]


def _stored_teachers(groups: Iterable[Rows]) -> dict[str, list[tuple[str, str]]]:
    """Prompt -> (teacher, text) of the teacher rows in these groups."""
    found: dict[str, list[tuple[str, str]]] = {}
    for rows in groups:
        entries = found.setdefault(rows[0]["prompt"], [])
        for row in rows:
            entry = (row["teacher"] or "teacher", row["text"])
            if row["origin"] == "teacher" and entry not in entries:
                entries.append(entry)
    return found


def _listed_teachers(
    run: RunFolder, prompts: Mapping[str, Any], tables: dict[str, Table]
) -> dict[str, list[tuple[str, str]]]:
    """Prompt -> every (teacher, text) of the training table, where that is at hand; it may have moved or changed."""
    source = run.config.get("train")
    if not isinstance(source, str) or not (source.startswith("world:") or os.path.exists(source)):
        return {}
    from oger.io.rows import load_rows
    from oger.teachers.table.column import COLUMN, parse_cell

    with run.reading(f"map: the teachers of {source}"):
        found = {}
        if source not in tables:
            tables[source] = load_rows(source)
        for row in tables[source]:
            text = prompt_text(row.get("prompt"))
            entries = parse_cell(row.get(COLUMN)) if text in prompts else []
            if entries:
                found[text] = [(entry["teacher"], entry["text"]) for entry in entries]
        return found
    return {}


def _encoder(run: RunFolder) -> tuple[Encoder, str]:
    """The run's encoder if it can be made without a network and without running code that the run names."""
    from oger.encoders import create_encoder, resolve_spec
    from oger.encoders.identity import check_identity

    spec = run.config.get("encoder")
    if spec is None:
        return create_encoder(_FALLBACK), f"vectors of {_FALLBACK}; the run's own encoder is not known"
    name, _, argument = str(spec).partition(":")
    options = run.config.get("encoder_options")
    reason = ""
    if name not in _OWN_ENCODERS:
        reason = "it is not one of OGER's own, and a report runs no code that a run names"
    elif isinstance(options, Mapping) and options.get("trust_remote_code"):
        reason = "its model brings code of its own, and a report runs no code that a run names"
    elif name != "ngram" and argument and not os.path.isdir(argument) and not _offline():
        reason = "its model is in no folder"
    else:
        try:  # fault boundary: models move and libraries go missing
            full = resolve_spec(str(spec), _policy_source(run))
            part = str(run.config.get("encoder_part", "full"))
            encoder = create_encoder(full, part=part, **(options if isinstance(options, Mapping) else {}))
            if run.encoder:
                check_identity(run.encoder, encoder)
            return encoder, f"vectors of the run's own encoder, {spec}" + ("" if part == "full" else f" ({part})")
        except (ValueError, OSError, ImportError, TypeError) as error:
            reason = one_line(error)
    run.add_problem(f"map: made with {_FALLBACK}, since the run's encoder {spec} cannot be had: {reason}")
    return create_encoder(_FALLBACK), f"vectors of {_FALLBACK}, not of the run's encoder {spec}"


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")


def _policy_source(run: RunFolder) -> str | None:
    model = run.config.get("model")
    if not isinstance(model, str):
        return None
    if model.startswith("world:"):
        from oger.worlds import load_world

        return str(load_world(model.removeprefix("world:")).base_policy())
    return model if os.path.isdir(model) or _offline() else None
