"""What the runner does: one policy on one set of problems, and what comes of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from oger.evaluation.backends.base import DEFAULT_BATCH_SIZE, Generator, PromptForm, Request, SamplingSettings
from oger.evaluation.benchmark import Benchmark
from oger.evaluation.problems import Problem, Problems
from oger.evaluation.store import Key, StoredResponse, StoreError, check_settings, prompt_hash, stored_responses
from oger.evaluation.summary import Graded, summarize_accuracy, summarize_groups, summarize_responses
from oger.io.answers import readable_rows
from oger.verification.formats import extract_answer
from oger.words import choose

UNFINISHED = {
    "wrong": "it has no answer, whatever its text holds",
    "graded": "its text is graded as that of any other",
}
"""What becomes of a response that did not end by itself: cut by a limit, filtered, refused, or nobody says."""

OutcomeReward = Callable[..., Sequence[float | None]]
"""Called as a TRL reward function: prompts, completions and one list per column; 1.0, 0.0 or None per row."""


@dataclass(frozen=True)
class Policy:
    """What is evaluated, before it is loaded."""

    label: str
    """As the user named it, such as "runs/a@best"; also names its folder of responses."""
    identity: Mapping[str, Any]
    """JSON-ready; responses of another identity are not mixed with its own."""
    form: PromptForm
    max_tokens: int
    """For benchmarks that name no limit."""
    make_generator: Callable[[], Generator]
    """Loads the policy; called once, and only if responses are missing."""
    batch_size: int | None
    """Requests of one `generate` call; None = as many as there are."""
    note: str = ""
    """What a table should say about it, such as the step and split of a best checkpoint."""
    processes: int = 1
    """Processes that share its batches, each with a generator of its own; `make_generator` is pickled for several."""


@dataclass(frozen=True)
class Job:
    """One policy on one set of problems."""

    policy: Policy
    name: str
    source: str
    problems: tuple[Problem, ...]
    num_samples: int
    sampling: SamplingSettings
    rules: tuple[str, ...] = ()
    unfinished: str = "wrong"
    """One of UNFINISHED; a `reward` sees the text alone."""
    shuffle_seed: int = 0
    folder: Path | None = None
    """Of the responses; None = they are kept in memory, and nobody goes on with them."""
    reward: OutcomeReward | None = None
    """Grades in the place of each problem's kind and the rules."""
    in_order: bool = False
    """Requests go to the generator in the order of the problems, for one that draws them with one stream of random
    numbers; else long prompts first."""

    @property
    def settings(self) -> dict[str, Any]:
        """What the stored responses must agree on; JSON-ready."""
        return {
            "policy": dict(self.policy.identity),
            "benchmark": self.name,
            "source": self.source,
            "prompt_form": asdict(self.policy.form),
            "shuffle_seed": self.shuffle_seed,
            **asdict(self.sampling),
        }

    def requests(self) -> list[Request]:
        """Every sample of every problem; long prompts first: too large a batch fails at once instead of at the end."""
        prompts = {problem.id: self.policy.form.prompt(problem) for problem in self.problems}
        order = list(prompts) if self.in_order else sorted(prompts, key=lambda name: -len(json.dumps(prompts[name])))
        return [Request(name, sample, prompts[name]) for name in order for sample in range(self.num_samples)]

    def check(self) -> int:
        """Number of responses that are stored already; changes nothing.

        Raises:
            StoreError: the folder holds responses to something else.
        """
        if self.folder is None:
            return 0
        check_settings(self.folder, self.settings)
        stored = stored_responses(self.folder)
        self.check_prompts(stored)
        return sum((request.problem, request.sample) in stored for request in self.requests())

    def check_prompts(self, stored: Mapping[Key, StoredResponse]) -> None:
        """Raises StoreError if a stored response answers another prompt than the one asked now."""
        for problem in self.problems:
            asked = prompt_hash(self.policy.form.prompt(problem))
            for sample in range(self.num_samples):
                response = stored.get((problem.id, sample))
                if response is not None and response.asked != asked:
                    raise StoreError(
                        f"{self.folder} holds a response to another prompt of problem {problem.id}: the data or the "
                        "prompt changed; name another --out"
                    )


@dataclass(frozen=True)
class Result:
    """The graded responses of one job, by problem and sample, and their numbers."""

    job: Job
    responses: tuple[Graded, ...]

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The numbers of a benchmark, as in its summary.json."""
        groups = {problem.id: problem.groups for problem in self.job.problems}
        return {
            "policy": self.job.policy.label,
            "rules": list(self.job.rules),
            "unfinished": self.job.unfinished,
            **summarize_responses(self.responses),
            "by": summarize_groups(self.responses, groups),
        }

    @cached_property
    def accuracy(self) -> dict[str, Any]:
        """The numbers of a run's own test set, as in the run's summary.json."""
        return summarize_accuracy(self.responses)

    def accuracy_by_family(self) -> dict[str, dict[str, Any]]:
        """`accuracy` of each family of a run's own problems, in alphabetical order."""
        groups = {problem.id: problem.groups for problem in self.job.problems}
        return summarize_groups(self.responses, groups, summarize_accuracy)["family"]


def make_job(
    policy: Policy,
    benchmark: Benchmark,
    problems: Problems,
    out: Path,
    *,
    seed: int,
    shuffle_seed: int = 0,
    samples: int | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    max_tokens: int | None = None,
    rules: Sequence[str] | None = None,
    unfinished: str = "wrong",
) -> Job:
    """A job with the benchmark's protocol, where the arguments do not say otherwise; its responses are stored.

    Raises:
        ValueError: an unknown rule or a value out of range: said before anything is drawn.
    """
    extract_answer("", rules or ())
    choose(UNFINISHED, unfinished, "word for --unfinished")
    sampling = SamplingSettings(
        temperature=benchmark.temperature if temperature is None else temperature,
        top_p=benchmark.top_p if top_p is None else top_p,
        max_tokens=max_tokens or benchmark.max_tokens or policy.max_tokens,
        seed=seed,
    )
    return Job(
        policy,
        benchmark.name,
        benchmark.source,
        problems.problems,
        samples or benchmark.samples,
        sampling,
        rules=tuple(rules or benchmark.rules),
        unfinished=unfinished,
        shuffle_seed=shuffle_seed,
        folder=out / folder_name(policy.label) / benchmark.name,
    )


def own_job(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    model: Any,
    tokenizer: Any,
    *,
    reward: OutcomeReward,
    num_samples: int,
    sampling: SamplingSettings,
    batch_size: int = DEFAULT_BATCH_SIZE,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> Job:
    """A loaded policy on a run's own rows: asked as they stand, graded by the run's reward, kept in memory.

    Args:
        rows: mappings with "prompt" and the columns that the reward reads, and where known "family".
        batch_size: responses generated at once; another one draws other responses.
        chat_template_kwargs: as in training.

    Raises:
        ValueError: what `checked_rows` refuses.
    """
    from oger.evaluation.backends.transformers import TransformersGenerator

    rows = checked_rows(rows, reward)
    generator = TransformersGenerator(
        model, tokenizer, batch_size=batch_size, one_stream=True, chat_template_kwargs=chat_template_kwargs
    )
    policy = Policy(name, {}, PromptForm(chat=False), sampling.max_tokens, lambda: generator, batch_size=None)
    problems = tuple(
        Problem(
            f"{index:08d}",  # results are sorted by it
            row["prompt"],
            verbatim=True,
            answer="",  # the reward reads the row
            kind="",
            groups={"family": str(row.get("family") or "")},
            row=row,
        )
        for index, row in enumerate(rows)
    )
    return Job(policy, name, name, problems, num_samples, sampling, reward=reward, in_order=True)


def checked_rows(
    rows: Sequence[Mapping[str, Any]], reward: OutcomeReward, source: str = "the data set"
) -> Sequence[Mapping[str, Any]]:
    """The rows with what the reward reads in them as it reads it: gold answers as text.

    Raises:
        ValueError: there are no rows, or what `readable_rows` refuses.
    """
    if not rows:
        raise ValueError(f"nothing to evaluate: {source} is empty")
    return readable_rows(rows, ("prompt", *getattr(reward, "needed_columns", ())), source)


def folder_name(label: str) -> str:
    """A label as the name of a folder.

    >>> folder_name("runs/a@best")
    'runs-a@best'
    """
    return re.sub(r"[^\w.@=+-]+", "-", label).strip("-.") or "policy"
