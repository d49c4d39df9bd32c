"""The model card that a run puts beside its policies: README.md with a head that the hub reads.

It is made of the files of the run folder alone, so that it can be made again at any time, and says only what they hold.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from oger.io import yaml as yaml_dialect
from oger.io.whole import write_text
from oger.recipes.methods import Method, all_methods
from oger.runs import paths
from oger.terminal.grid import render
from oger.terminal.numbers import with_interval

CARD = "README.md"
CITATION = """\
@article{oger2026,
  title  = {OGER: A Robust Offline-Guided Exploration Reward for Hybrid Reinforcement Learning},
  author = {Ma, Xinyu and Xu, Mingzhou and Liu, Xuebo and Jin, Chang and Wang, Qiang and Wong, Derek F. and Zhang, Min},
  year   = {2026},
  eprint = {arXiv:2604.18530},
}"""

SET_TITLES = {"id": "in distribution", "ood": "out of distribution"}
_PACKAGES = ("torch", "transformers", "trl", "peft")
_POLICIES = {
    paths.MODEL: "the policy after the last step",
    paths.BEST: "the policy with the highest validation accuracy",
    paths.MERGED: "the policy, its adapter merged into its base",
}


def write_card(run: Path, folder: Path, policy: str, *, summary: Mapping[str, Any] | None = None) -> None:
    """Put the card of a run's policy beside its weights.

    Args:
        folder: where the policy lies.
        policy: which one it is, `MODEL`, `BEST` or `MERGED` of oger.runs.paths.
        summary: of a run that does not say yet that it has finished.
    """
    write_text(folder / CARD, run_card(run, policy, summary=summary))


def run_card(
    run: Path,
    policy: str = paths.MODEL,
    *,
    validation: Mapping[str, Any] | None = None,
    summary: Mapping[str, Any] | None = None,
) -> str:
    """The card of a run's policy, as far as the run has come; a file that is missing leaves its lines out.

    Args:
        policy: as of `write_card`.
        validation: of a best policy that is not in its place yet.
        summary: as of `write_card`.
    """
    config, environment, data = (_read(run / name) for name in (paths.CONFIG, paths.ENVIRONMENT, paths.DATA))
    summary = summary or _read(run / paths.SUMMARY)
    validation = validation or _read(run / paths.BEST / paths.VALIDATION)
    lines = [*_head(config), f"# {run.name}: {_POLICIES[policy]}", "", *_made(config, policy, validation), ""]
    lines += [*_method(config), *_data(config, data), *_training(config, summary, environment)]
    lines += _accuracy(summary, policy, validation)
    lines += ["## Licence", "", *_licence(config), ""]
    lines += ["## Citation", "", "```bibtex", CITATION, "```", ""]
    return "\n".join(lines)


def _head(config: Mapping[str, Any]) -> list[str]:
    """What the hub reads. The base is named where it is one of the hub's."""
    head: dict[str, Any] = {"library_name": "peft" if config.get("peft") else "transformers"}
    if _is_hub_id(base := str(config.get("model", ""))):
        head["base_model"] = base
    head |= {"tags": ["oger", "trl", "reinforcement-learning"], "pipeline_tag": "text-generation"}
    return ["---", yaml_dialect.dump(head).rstrip(), "---", ""]


def _made(config: Mapping[str, Any], policy: str, validation: Mapping[str, Any]) -> Iterator[str]:
    what = "LoRA adapter" if config.get("peft") and policy != paths.MERGED else "Model"
    yield f"{what} trained with [OGER](https://arxiv.org/abs/2604.18530) from `{_shown(config.get('model'))}`."
    if policy == paths.BEST and validation:
        accuracy = 100 * validation.get("eval/outcome", float("nan"))
        yield f"Chosen at step {validation.get('step')} by a validation accuracy of {accuracy:.1f} %."


def _method(config: Mapping[str, Any]) -> list[str]:
    method = all_methods().get(str(config.get("method"))) or _method_of(config)
    if method is None and not config.get("preset"):
        return []
    if method is None:
        return ["## Method", "", f"Preset `{config.get('preset')}` with options of its own.", ""]
    return ["## Method", "", f"`{method.name}`: {method.line}. {method.source}.", "", "```text",
            method.equation.rstrip(), "```", ""]  # fmt: skip


def _method_of(config: Mapping[str, Any]) -> Method | None:
    """The method whose options a configuration has, where it names none: of several the one that says most."""
    fitting = [
        method
        for method in all_methods().values()
        if method.options and all(config.get(key) == value for key, value in method.options.items())
    ]
    return max(fitting, key=lambda method: len(method.options), default=None)


def _shown(source: Any) -> str:
    """A source as a stranger may read it: of a path its last part alone."""
    text = str(source or "unknown")
    return Path(text).name if Path(text).is_absolute() else text


def _data(config: Mapping[str, Any], data: Mapping[str, Any]) -> list[str]:
    lines = ["## Data", "", f"Trained on `{_shown(config.get('train'))}`"]
    if data:
        lines[-1] += f": {data['prompts']} prompts, {data['without_teachers']} of them without a teacher"
    lines[-1] += f"; validated on `{_shown(config['validation'])}`." if config.get("validation") else "."
    if teachers := data.get("teachers"):
        grid = [("teacher", "trajectories"), *((name, str(count)) for name, count in teachers.items())]
        lines += ["", render(grid, "markdown").rstrip()]
    return [*lines, ""]


def _training(config: Mapping[str, Any], summary: Mapping[str, Any], environment: Mapping[str, Any]) -> Iterator[str]:
    yield from ("## Training", "")
    facts = {
        "seed": config.get("seed"),
        "steps": summary.get("steps"),
        "generated tokens": summary.get("generated_tokens"),
        "seconds of training": summary.get("train_seconds"),
        "learning rate": config.get("learning_rate"),
        "rollouts of a prompt": config.get("num_generations"),
    }
    for name, value in facts.items():
        if value is not None:
            yield f"- {name}: {value}"
    packages = environment.get("packages")
    packages = packages if isinstance(packages, Mapping) else {}
    versions = {"oger": environment.get("oger"), "python": environment.get("python")}
    versions |= {name: packages.get(name) for name in _PACKAGES}
    if any(versions.values()):
        yield f"- versions: {', '.join(f'{name} {version}' for name, version in versions.items() if version)}"
    if command := environment.get("command"):
        yield from ("", "```bash", str(command), "```")
    yield ""


def _accuracy(summary: Mapping[str, Any], policy: str, validation: Mapping[str, Any]) -> Iterator[str]:
    before, after, change = (summary.get(key) or {} for key in ("before", "after", "change"))
    if not after:
        return
    grid = [("test set", "pass@1 before", "pass@1 after", "change in points", "problems x samples")]
    for name, numbers in after.items():
        moved = (change.get(name) or {}).get("pass@1")
        both = (with_interval(found.get("pass@1"), found.get("ci95")) for found in (before.get(name) or {}, numbers))
        difference = "-" if moved is None else with_interval(moved[0], moved[1:], "+.1f")
        size = f"{numbers.get('problems')} x {numbers.get('samples')}"
        grid.append((SET_TITLES.get(name, name), *both, difference, size))
    yield from ("## Accuracy", "")
    yield "In %, with 95 % bootstrap intervals over problems; the change is paired by problem. One seed."
    if policy == paths.BEST and (validation or {}).get("step") != summary.get("steps"):
        yield "These are the numbers of the run's last policy, not of this one, which was chosen by validation alone."
    yield from ("", render(grid, "markdown").rstrip(), "")


def _licence(config: Mapping[str, Any]) -> Iterator[str]:
    base = _shown(config.get("model"))
    yield f"The weights stand under the licence of the base model, `{base}`, and of the data they were trained on."
    yield "OGER, the program, is Apache-2.0."


def _is_hub_id(model: str) -> bool:
    return model.count("/") == 1 and ":" not in model and not model.startswith((".", "/", "~", "runs/"))


def _read(path: Path) -> dict[str, Any]:
    """A mapping of a run folder; nothing where it is not there yet or was damaged since."""
    try:
        text = path.read_text(encoding="utf-8")
        content = yaml_dialect.load(text) if path.suffix == ".yaml" else json.loads(text)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
