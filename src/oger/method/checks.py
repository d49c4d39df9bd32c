"""What the equations demand of their arguments, said in one clear line each.

`require_finite` reads values back from the device, so the training loss (`objective`, `aggregation`) asks about shapes
only.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def at_least_float32(tensor: Tensor) -> Tensor:
    """Widen integers, booleans and half precision to float32; float32 and float64 pass unchanged.

    Args:
        tensor: Any real tensor.

    Returns:
        The tensor in float32 or float64, same shape.

    >>> at_least_float32(torch.tensor([True, False]))
    tensor([1., 0.])
    """
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def require_rank(name: str, tensor: Tensor, rank: int) -> None:
    """Refuse a tensor that has not exactly `rank` dimensions.

    Args:
        name: The argument's name, for the message.
        tensor: The argument.
        rank: Number of dimensions it must have.

    Raises:
        ValueError: The rank differs.

    >>> require_rank("teacher_ME", torch.zeros(3), 2)
    Traceback (most recent call last):
    ValueError: teacher_ME must have 2 dimension(s), got shape (3,)
    """
    if tensor.ndim != rank:
        raise ValueError(f"{name} must have {rank} dimension(s), got shape {tuple(tensor.shape)}")


def require_shape(name: str, tensor: Tensor, shape: Sequence[int]) -> None:
    """Refuse a tensor of another shape.

    Args:
        name: The argument's name, for the message.
        tensor: The argument.
        shape: The shape it must have.

    Raises:
        ValueError: The shape differs.

    >>> require_shape("mask_BT", torch.zeros(2, 3), (2, 4))
    Traceback (most recent call last):
    ValueError: mask_BT must have shape (2, 4), got (2, 3)
    """
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"{name} must have shape {tuple(shape)}, got {tuple(tensor.shape)}")


def require_group(name: str, tensor: Tensor) -> None:
    """Refuse a tensor whose last dimension, the rows of a group, is missing or empty.

    Args:
        name: The argument's name, for the message.
        tensor: The argument, shape (..., G).

    Raises:
        ValueError: The tensor is a scalar or G is 0.

    >>> require_group("reward_G", torch.zeros(0))
    Traceback (most recent call last):
    ValueError: reward_G needs a group of at least one row, got shape (0,)
    """
    if tensor.ndim == 0 or tensor.shape[-1] == 0:
        raise ValueError(f"{name} needs a group of at least one row, got shape {tuple(tensor.shape)}")


def all_finite(tensor: Tensor) -> bool:
    """Whether no value is NaN or infinite.

    >>> all_finite(torch.tensor([0.1, 3e38, 3e38])), all_finite(torch.tensor([float("inf"), float("-inf")]))
    (True, False)
    """
    # A finite sum has finite terms only, and is many times faster to make on a CPU than a mask; it may overflow.
    return bool(tensor.sum().isfinite()) or bool(tensor.isfinite().all())


def require_finite(name: str, tensor: Tensor) -> None:
    """Refuse NaN and infinities.

    Args:
        name: What the values are, for the message.
        tensor: The values.

    Raises:
        ValueError: One value or more is not finite; the message counts them.

    >>> require_finite("divergence_G", torch.tensor([0.1, float("nan")]))
    Traceback (most recent call last):
    ValueError: divergence_G holds 1 value(s) that are not finite
    """
    if not all_finite(tensor):
        num_bad = int((~torch.isfinite(tensor)).sum())
        raise ValueError(f"{name} holds {num_bad} value(s) that are not finite")
