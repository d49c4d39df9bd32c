r"""TRL-style reward functions: lists in, one number per completion out; None = undecided.

They work in a stock `trl.GRPOTrainer`: extra columns of the data set arrive as keyword arguments, repeated per rollout.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from oger.io.answers import answer_texts
from oger.verification.formats import DEFAULT_RULES, extract_answer
from oger.verification.kinds import check_kinds_of_rows
from oger.verification.question import with_question
from oger.verification.verdict import Verdict
from oger.verification.verifier import DEFAULT_KIND, DEFAULT_TIMEOUT_S
from oger.verification.verify import verify_many

Completion = str | Sequence[dict[str, Any]]  # plain text, or the chat messages of the assistant's turn


def completion_text(completion: Completion) -> str:
    """The text of a completion: itself, or the contents of its messages."""
    if isinstance(completion, str):
        return completion
    return "".join(_content_text(message.get("content")) for message in completion)


def _content_text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)  # multi-part content


def accuracy_verdicts(
    completions: Sequence[Completion],
    answer: Sequence[Any],
    kind: Sequence[str | None] | None = None,
    metadata: Sequence[Any] | None = None,
    *,
    rules: Sequence[str] = DEFAULT_RULES,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    kinds: Collection[str] = (),
    prompts: Sequence[Any] | None = None,
) -> list[Verdict]:
    """The verdicts behind `accuracy_reward`, all completions at once; `prompts` say what is counted.

    Gold answers may be numbers: a stream, or a trainer that is not ours, hands them over as the data hold them.

    Raises:
        ValueError: as `verify_many`; an answer is neither a text nor a number; or a row's kind is code that is not
            among `kinds`.
    """
    names = [name or DEFAULT_KIND for name in kind] if kind is not None else [DEFAULT_KIND] * len(completions)
    check_kinds_of_rows(set(names), kinds)
    entries = [None] * len(names) if metadata is None else metadata
    if prompts is not None and len(prompts) == len(entries) == len(names):  # else `verify_many` says what differs
        metadata = [with_question(*row) for row in zip(names, entries, prompts, strict=True)]
    return verify_many(
        answer_texts(answer, "the batch"),
        [completion_text(completion) for completion in completions],
        kind=names,
        metadata=metadata,
        rules=rules,
        timeout_s=timeout_s,
    )


def accuracy_with(
    rules: Sequence[str],
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    name: str | None = None,
    kinds: Collection[str] = (),
) -> Callable[..., list[float | None]]:
    """`accuracy_reward` with other rules of where the answer stands.

    Args:
        rules: Names of answer rules, applied from left to right.
        timeout_s: Deadline of each answer, seconds.
        name: What the trainer's logs call the reward; None = "accuracy_" and the rules.
        kinds: Kinds of the user's own, as "package.module:function", that rows may name.

    Raises:
        ValueError: an unknown rule.

    >>> accuracy_with(["after_think", "hash_answer"]).__name__
    'accuracy_after_think_hash_answer'
    """
    extract_answer("", rules)  # an unknown rule is an error now, not at the first step

    def accuracy(
        prompts: Sequence[Any],
        completions: Sequence[Completion],
        answer: Sequence[Any],
        kind: Sequence[str | None] | None = None,
        metadata: Sequence[Any] | None = None,
        log_metric: Callable[[str, float], Any] | None = None,
        **kwargs: Any,
    ) -> list[float | None]:
        """Outcome reward R^m: 1.0 correct, 0.0 wrong, None undecided. Without a `kind`, answers are graded as "math".

        `log_metric` is TRL's: the shares of undecided and of overruled verdicts go into the run's metrics.
        """
        verdicts = accuracy_verdicts(
            completions, answer, kind, metadata, rules=rules, timeout_s=timeout_s, kinds=kinds, prompts=prompts
        )
        if log_metric is not None and verdicts:
            undecided = sum(verdict.outcome is None for verdict in verdicts)
            log_metric("verification/undecided_share", undecided / len(verdicts))
            log_metric("verification/overruled_share", sum(v.overruled for v in verdicts) / len(verdicts))
        return [verdict.outcome for verdict in verdicts]

    accuracy.__name__ = accuracy.__qualname__ = name or "_".join(("accuracy", *rules))
    accuracy.needed_columns = ("answer",)  # type: ignore[attr-defined]
    accuracy.answer_rules = tuple(rules)  # type: ignore[attr-defined]
    return accuracy


accuracy_reward = accuracy_with(DEFAULT_RULES, name="accuracy_reward")


def format_reward(completions: Sequence[Completion], **kwargs: Any) -> list[float]:
    r"""1.0 if the completion holds a complete \boxed{...}, else 0.0."""
    return [float(extract_answer(completion_text(completion)) is not None) for completion in completions]
