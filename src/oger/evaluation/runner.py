"""From policies and problems to numbers: plan, generate what is missing, grade, summarise.

Every response of a job with a folder is stored before it counts, so a killed evaluation goes on where it ended. Batches
are cut from the whole plan, whatever is stored already: a batch is drawn again only if it was not stored, and then from
the same seed.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing

from oger.evaluation.backends.base import Generated, Request, SamplingSettings
from oger.evaluation.backends.processes import GeneratorProcesses
from oger.evaluation.grading import graded_rows, rewarded, settled
from oger.evaluation.job import Job, Policy, Result
from oger.evaluation.store import (
    SUMMARY,
    Key,
    Responses,
    ResponseStore,
    StoredResponse,
    graded_row,
    prompt_hash,
)
from oger.io.whole import write_json

Progress = Callable[[int], None]
"""Called with the number of new responses."""

Draw = Callable[[Sequence[Sequence[Request]], SamplingSettings], Generator[list[Generated]]]
"""Batches -> their responses, in any order, as they come."""


def run_job(job: Job, progress: Callable[[int, int], None] | None = None) -> Result:
    """`run_jobs` of one job; `progress` is called with the responses drawn so far and those to draw."""
    drawn = 0

    def start(_: Job, missing: int) -> Progress:
        def advance(count: int) -> None:
            nonlocal drawn
            drawn += count
            if progress is not None:
                progress(drawn, missing)

        return advance

    [result] = run_jobs([job], start)
    return result


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
                with Responses() if job.folder is None else ResponseStore(job.folder, job.settings) as store:
                    job.check_prompts(store.responses)
                    batches = missing_batches(job, store.responses, store.last_line)
                    if batches and draw is None:
                        draw = _load(job.policy, loaded)
                    advance = progress(job, sum(not _is_stored(one, store) for batch in batches for one in batch))
                    if draw is not None:
                        _generate(job, batches, draw, store, advance)
                    yield _finish(job, store)


def missing_batches(
    job: Job, stored: Mapping[Key, StoredResponse], last_line: Key | None = None
) -> list[list[Request]]:
    """The batches of the whole plan, without what is stored and without empty ones.

    Args:
        last_line: a response of the batch that was stored last. If a kill has stored that batch in part, all of it is
            drawn again where a generator takes batches, since the seed of one is of everything in it.
    """
    requests = job.requests()
    size = job.policy.batch_size or max(1, len(requests))
    batches = [requests[start : start + size] for start in range(0, len(requests), size)]
    missing = [[request for request in batch if _key(request) not in stored] for batch in batches]
    cut = [job.policy.batch_size is not None and any(_key(one) == last_line for one in batch) for batch in batches]
    return [batch if part else left for batch, left, part in zip(batches, missing, cut, strict=True) if left]


def _key(one: Request | Generated) -> Key:
    return one.problem, one.sample


def _is_stored(one: Request | Generated, store: Responses) -> bool:
    return _key(one) in store.responses


def _load(policy: Policy, loaded: ExitStack) -> Draw:
    """The policy in this process, or in several that `loaded` ends."""
    if policy.processes > 1:
        return loaded.enter_context(GeneratorProcesses(policy.make_generator, policy.processes)).draw
    generator = policy.make_generator()
    return lambda batches, settings: (
        generated for batch in batches for generated in generator.generate(batch, settings)
    )


def _generate(job: Job, batches: Sequence[Sequence[Request]], draw: Draw, store: Responses, advance: Progress) -> None:
    asked = {problem.id: prompt_hash(job.policy.form.prompt(problem)) for problem in job.problems}
    with closing(draw(batches, job.sampling)) as drawn:
        for generated in drawn:
            new = [one for one in generated if not _is_stored(one, store)]
            store.add(new, asked)
            advance(len(new))


def _finish(job: Job, store: Responses) -> Result:
    """Grade; of a job with a folder, store the table and the numbers."""
    planned = {(problem.id, sample) for problem in job.problems for sample in range(job.num_samples)}
    responses = [store.responses[key] for key in sorted(planned)]
    if job.reward is not None:
        return Result(job, rewarded(job.reward, job.problems, [response.generated for response in responses]))
    rows = graded_rows(job, responses)
    result = Result(job, tuple(graded_row(row, job.unfinished) for row in rows))
    if isinstance(store, ResponseStore):
        others = [
            settled(other.graded, job.unfinished)
            for key, other in store.responses.items()
            if key not in planned and other.graded
        ]
        store.close_table([*rows, *others])
        write_json(store.folder / SUMMARY, {**result.summary, "settings": store.settings})
    return result
