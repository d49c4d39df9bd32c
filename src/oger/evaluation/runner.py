"""From policies and benchmarks to numbers: plan, generate what is missing, grade, summarise.

Every response is stored before it counts, so a killed evaluation goes on where it ended. Batches are cut from the whole
plan, whatever is stored already: a batch is drawn again only if it was not stored, and then from the same seed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from oger.evaluation.backends.base import Generated, PromptForm, Request, SamplingSettings
from oger.evaluation.backends.base import Generator as ResponseGenerator
from oger.evaluation.backends.processes import GeneratorProcesses
from oger.evaluation.benchmark import Benchmark
from oger.evaluation.grading import graded_rows
from oger.evaluation.problems import Problem, Problems
from oger.evaluation.store import (
    SUMMARY,
    Key,
    ResponseStore,
    StoredResponse,
    StoreError,
    check_settings,
    graded_row,
    prompt_hash,
    stored_responses,
    write_json,
)
from oger.evaluation.summary import Graded, summarize_groups, summarize_responses
from oger.verification import extract_answer

Progress = Callable[[int], None]
"""Called with the number of new responses."""

Draw = Callable[[Sequence[Sequence[Request]], SamplingSettings], Generator[list[Generated]]]
"""Batches -> their responses, in any order, as they come."""


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
    make_generator: Callable[[], ResponseGenerator]
    """Loads the policy; called once, and only if responses are missing."""
    batch_size: int | None
    """Of its generator, needed before it is loaded."""
    note: str = ""
    """What a table should say about it, such as the step and split of a best checkpoint."""
    processes: int = 1
    """Processes that share its batches, each with a generator of its own; `make_generator` is pickled for several."""


@dataclass(frozen=True)
class Job:
    """One policy on one benchmark."""

    policy: Policy
    benchmark: Benchmark
    problems: tuple[Problem, ...]
    num_samples: int
    sampling: SamplingSettings
    shuffle_seed: int
    rules: tuple[str, ...]
    folder: Path

    @property
    def settings(self) -> dict[str, Any]:
        """What the stored responses must agree on; JSON-ready."""
        return {
            "policy": dict(self.policy.identity),
            "benchmark": self.benchmark.name,
            "source": self.benchmark.source,
            "prompt_form": asdict(self.policy.form),
            "shuffle_seed": self.shuffle_seed,
            **asdict(self.sampling),
        }

    def requests(self) -> list[Request]:
        """Every sample of every problem, long prompts first: too large a batch fails at once instead of at the end."""
        prompts = {problem.id: self.policy.form.prompt(problem) for problem in self.problems}
        order = sorted(prompts, key=lambda name: -len(json.dumps(prompts[name])))
        return [Request(name, sample, prompts[name]) for name in order for sample in range(self.num_samples)]

    def check(self) -> int:
        """Number of responses that are stored already; changes nothing.

        Raises:
            StoreError: the folder holds responses to something else.
        """
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
    """The numbers of one job and the accuracy of each problem."""

    job: Job
    responses: tuple[Graded, ...]
    summary: Mapping[str, Any]


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
) -> Job:
    """A job with the benchmark's protocol, where the arguments do not say otherwise.

    Raises:
        ValueError: an unknown rule or a value out of range: said before anything is drawn.
    """
    extract_answer("", rules or ())
    if top_p is not None and not 0.0 < top_p <= 1.0:
        raise ValueError(f"top_p must lie in (0, 1], got {top_p}")
    sampling = SamplingSettings(
        temperature=benchmark.temperature if temperature is None else temperature,
        top_p=benchmark.top_p if top_p is None else top_p,
        max_tokens=max_tokens or benchmark.max_tokens or policy.max_tokens,
        seed=seed,
    )
    folder = out / folder_name(policy.label) / benchmark.name
    count = samples or benchmark.samples
    return Job(
        policy, benchmark, problems.problems, count, sampling, shuffle_seed, tuple(rules or benchmark.rules), folder
    )


def folder_name(label: str) -> str:
    """A label as the name of a folder.

    >>> folder_name("runs/a@best")
    'runs-a@best'
    """
    return re.sub(r"[^\w.@=+-]+", "-", label).strip("-.") or "policy"


def run_jobs(jobs: Sequence[Job], progress: Callable[[Job, int], Progress]) -> Iterator[Result]:
    """Do the jobs of one policy after another; a policy is loaded once, and only if it has something to do.

    Args:
        progress: called with each job and the number of its missing responses before it starts.

    Raises:
        ValueError: what a backend, the store or the verifier raises; everything drawn until then is stored.
    """
    for policy in dict.fromkeys(job.policy.label for job in jobs):
        draw: Draw | None = None
        with ExitStack() as loaded:  # closed before the next policy is loaded beside it
            for job in (job for job in jobs if job.policy.label == policy):
                with ResponseStore(job.folder, job.settings) as store:
                    job.check_prompts(store.responses)
                    batches = missing_batches(job, store.responses)
                    if batches and draw is None:
                        draw = _load(job.policy, loaded)
                    advance = progress(job, sum(map(len, batches)))
                    if draw is not None:
                        _generate(job, batches, draw, store, advance)
                    yield _finish(job, store)


def missing_batches(job: Job, stored: Mapping[Key, StoredResponse]) -> list[list[Request]]:
    """The batches of the whole plan, without what is stored and without empty ones."""
    requests = job.requests()
    size = job.policy.batch_size or max(1, len(requests))
    batches = [requests[start : start + size] for start in range(0, len(requests), size)]
    missing = [[request for request in batch if (request.problem, request.sample) not in stored] for batch in batches]
    return [batch for batch in missing if batch]


def _load(policy: Policy, loaded: ExitStack) -> Draw:
    """The policy in this process, or in several that `loaded` ends."""
    if policy.processes > 1:
        return loaded.enter_context(GeneratorProcesses(policy.make_generator, policy.processes)).draw
    generator = policy.make_generator()
    return lambda batches, settings: (
        generated for batch in batches for generated in generator.generate(batch, settings)
    )


def _generate(
    job: Job, batches: Sequence[Sequence[Request]], draw: Draw, store: ResponseStore, advance: Progress
) -> None:
    asked = {problem.id: prompt_hash(job.policy.form.prompt(problem)) for problem in job.problems}
    with closing(draw(batches, job.sampling)) as drawn:
        for generated in drawn:
            store.add(generated, asked)
            advance(len(generated))


def _finish(job: Job, store: ResponseStore) -> Result:
    """Grade, store the table and the numbers."""
    planned = {(problem.id, sample) for problem in job.problems for sample in range(job.num_samples)}
    rows = graded_rows(job, [store.responses[key] for key in sorted(planned)])
    others = [dict(other.graded) for key, other in store.responses.items() if key not in planned and other.graded]
    store.close_table([*rows, *others])
    responses = tuple(graded_row(row) for row in rows)
    summary = {
        "policy": job.policy.label,
        "rules": list(job.rules),
        **summarize_responses(responses),
        "by": summarize_groups(responses, {problem.id: problem.groups for problem in job.problems}),
    }
    write_json(job.folder / SUMMARY, {**summary, "settings": store.settings})
    return Result(job, responses, summary)
