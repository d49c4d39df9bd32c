"""Accuracy of a policy on a set of problems, with its uncertainty.

Outcomes are a matrix of problems x samples: 1 correct, 0 wrong, NaN (or None) undecided, that is: the verifier could
not say. An undecided sample counts as wrong in every accuracy and its share is always reported beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oger.evaluation.statistics.intervals import bootstrap_interval


def pass_at_k(num_samples: int, num_correct: int, k: int) -> float:
    """Unbiased estimate of the chance that at least one of k samples is correct.

        pass@k = 1 - C(n - c, k) / C(n, k) = 1 - prod_{i=n-c+1..n} (1 - k / i)

    with n samples of which c are correct; the product form neither overflows nor cancels. Chen et al. 2021,
    "Evaluating Large Language Models Trained on Code", arXiv 2107.03374, equation 1.

    >>> pass_at_k(4, 1, 2)  # 3 of the 6 pairs hold the correct one
    0.5
    """
    if num_samples < 1 or not 0 <= num_correct <= num_samples:
        raise ValueError(f"need 0 <= num_correct <= num_samples and one sample, got {num_correct} of {num_samples}")
    if not 1 <= k <= num_samples:
        raise ValueError(f"pass@{k} needs 1 <= k <= {num_samples}, the number of samples per problem")
    if num_samples - num_correct < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(num_samples - num_correct + 1, num_samples + 1)))


def outcome_matrix(outcomes: ArrayLike | Sequence[Sequence[float | None]]) -> NDArray[np.float64]:
    """Checked matrix (problems, samples) of 1.0, 0.0 and NaN; None becomes NaN."""
    try:
        matrix_PS = np.asarray(outcomes, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"outcomes are not a matrix of problems x samples: {error}") from error
    if matrix_PS.ndim != 2 or matrix_PS.size == 0:
        raise ValueError(f"outcomes need the shape (problems, samples), neither of them 0; got {matrix_PS.shape}")
    if not np.isin(matrix_PS[~np.isnan(matrix_PS)], (0.0, 1.0)).all():
        raise ValueError("outcomes must be 1 (correct), 0 (wrong) or None/NaN (undecided)")
    return matrix_PS


def summarize(outcomes: ArrayLike | Sequence[Sequence[float | None]], *, ks: Sequence[int] = (8, 32)) -> dict[str, Any]:
    """Accuracy of one evaluation as a JSON-ready mapping.

    Returns:
        "pass@1": mean over problems of the share of correct samples; "ci95": its bootstrap interval over problems;
        "pass@k" with "pass@k_ci95": of each k, unbiased; where fewer than k samples were drawn None for the first k and
        missing for the others; "undecided": share of samples without a verdict, counted as wrong above; "problems" and
        "samples" (per problem).
    """
    matrix_PS = outcome_matrix(outcomes)
    num_problems, num_samples = matrix_PS.shape
    correct_P = (matrix_PS == 1.0).sum(axis=1)
    share_P = correct_P / num_samples
    at = {k: at_P for k in ks if (at_P := _at_k(correct_P, num_samples, k)) is not None}
    unknown = [] if ks[0] in at else [ks[0]]
    return {
        "pass@1": float(share_P.mean()),
        "ci95": list(bootstrap_interval(share_P)),
        **{f"pass@{k}": float(at_P.mean()) for k, at_P in at.items()},
        **{f"pass@{k}_ci95": list(bootstrap_interval(at_P)) for k, at_P in at.items()},
        **{name: None for k in unknown for name in (f"pass@{k}", f"pass@{k}_ci95")},
        "undecided": float(np.isnan(matrix_PS).mean()),
        "problems": num_problems,
        "samples": num_samples,
    }


def change(before: ArrayLike, after: ArrayLike, num_samples: int, *, k: int = 8) -> dict[str, list[float] | None]:
    """How far pass@1 and pass@k moved on the same problems: {"pass@1": [difference, low, high], "pass@k": ... or None}.

    The intervals are paired: problems are resampled together with both of their results, 95 %, bootstrap.

    Args:
        before: correct samples of each problem; (problems,).
        after: the same of the later policy, of as many samples.
        num_samples: samples of each problem.
        k: pass@k is None where fewer samples were drawn.

    >>> change([0, 1], [1, 2], 2)["pass@1"]  # each problem gained one of its two samples
    [0.5, 0.5, 0.5]
    """
    before_P, after_P = np.asarray(before), np.asarray(after)
    if before_P.shape != after_P.shape or before_P.ndim != 1 or before_P.size == 0:
        raise ValueError(f"a change needs the same problems twice; got {before_P.shape} and {after_P.shape}")
    at_k = _at_k(before_P, num_samples, k), _at_k(after_P, num_samples, k)
    return {
        "pass@1": _paired(before_P / num_samples, after_P / num_samples),
        f"pass@{k}": None if at_k[0] is None or at_k[1] is None else _paired(at_k[0], at_k[1]),
    }


def _at_k(correct_P: NDArray[Any], num_samples: int, k: int) -> NDArray[np.float64] | None:
    if k > num_samples:
        return None
    return np.array([pass_at_k(num_samples, int(count), k) for count in correct_P])


def _paired(before_P: NDArray[np.float64], after_P: NDArray[np.float64]) -> list[float]:
    difference_P = after_P - before_P
    return [float(difference_P.mean()), *bootstrap_interval(difference_P)]


def powers_of_two(num_samples: int) -> list[int]:
    """1, 2, 4, ... below `num_samples`, and `num_samples` itself: the k of a curve.

    >>> powers_of_two(12)
    [1, 2, 4, 8, 12]
    """
    if num_samples < 1:
        raise ValueError(f"a curve needs at least one sample, got {num_samples}")
    return [*(2**power for power in range((num_samples - 1).bit_length())), num_samples]


def pass_curve(outcomes: ArrayLike | Sequence[Sequence[float | None]]) -> dict[int, float]:
    """Unbiased pass@k, mean over problems, for k = 1, 2, 4, ... and all samples; undecided counts as wrong."""
    matrix_PS = outcome_matrix(outcomes)
    num_samples = matrix_PS.shape[1]
    correct_P = (matrix_PS == 1.0).sum(axis=1)
    return {
        k: float(np.mean([pass_at_k(num_samples, int(count), k) for count in correct_P]))
        for k in powers_of_two(num_samples)
    }
