"""Exact values of tables and of items with their attributes, and the plug-in estimate from samples.

A table holds probabilities or counts of any scale, as numpy array, torch tensor or nested lists, and is divided by its
sum. DataError is raised for one that is empty, or that holds a negative, infinite or missing number.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from s3rec_lite.data import SequenceData, training_mask
from s3rec_lite.support.errors import DataError, SettingError

__all__ = [
    "conditional_entropy", "entropy", "item_attribute_entropies", "item_attribute_joint",
    "item_attribute_mutual_information", "log_ratio", "miller_madow", "mutual_information", "plug_in", "plug_in_bias",
    "sample_table", "training_popularity",
]  # fmt: skip

_Table = np.ndarray | Tensor | Sequence


# Tables


def _array(values: _Table) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _probabilities(table: _Table, name: str, dimensions: int | None = None) -> np.ndarray:
    """The table as float64 that sums to 1."""
    array = _array(table).astype(np.float64)
    if dimensions is not None and array.ndim != dimensions:
        raise DataError(f"{name} has {array.ndim} dimensions; give a table of {dimensions}")
    if not np.isfinite(array).all() or (array < 0).any():
        raise DataError(f"{name} holds a negative, infinite or missing number; give probabilities or counts")
    total = array.sum()
    if not total > 0:
        raise DataError(f"{name} is empty or zero throughout; give at least one positive number")
    return array / total


def _entropy(probabilities: np.ndarray) -> float:
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum()) + 0.0  # + 0.0: no minus zero


def entropy(p: _Table) -> float:
    """H = -sum p log p, with 0 log 0 = 0. A table of more dimensions is read as a joint distribution."""
    return _entropy(_probabilities(p, "p"))


def mutual_information(joint: _Table) -> float:
    """Equation (1) of a table [X, Y]: I = sum p(x, y) log(p(x, y) / (p(x) p(y))), never below 0."""
    joint = _probabilities(joint, "joint", dimensions=2)
    rows, columns = np.nonzero(joint)
    p = joint[rows, columns]
    terms = np.log(p) - np.log(joint.sum(axis=1)[rows]) - np.log(joint.sum(axis=0)[columns])
    return max(float((p * terms).sum()), 0.0)  # rounding may leave -1e-17


def conditional_entropy(joint: _Table, given: int = 0) -> float:
    """H(Y|X) = H(X, Y) - H(X) of a table [X, Y] with ``given=0``; H(X|Y) with ``given=1``."""
    if given not in (0, 1):
        raise SettingError(f"given {given} is not an axis of the table; 0 conditions on the rows, 1 on the columns")
    joint = _probabilities(joint, "joint", dimensions=2)
    return max(_entropy(joint) - _entropy(joint.sum(axis=1 - given)), 0.0)


def log_ratio(joint: _Table) -> Tensor:
    """log p(x, y) / (p(x) p(y)) of every cell, float64 [X, Y]: the optimal critic; -inf where p(x, y) is 0.

    ``log_ratio(joint)[x][:, y]`` is the score matrix of samples x and y [K].
    """
    joint = torch.from_numpy(_probabilities(joint, "joint", dimensions=2))
    independent = joint.sum(dim=1, keepdim=True) * joint.sum(dim=0)
    return torch.where(joint > 0, joint / independent, 0).log()


# Samples


def sample_table(joint: _Table, num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """``num`` independent pairs drawn from a table [X, Y]: row and column numbers, int64 [num] each."""
    joint = _probabilities(joint, "joint", dimensions=2)
    cells = np.flatnonzero(joint)  # only these, so that rounding never draws an impossible pair
    ends = torch.from_numpy(np.cumsum(joint.ravel()[cells]))
    draws = torch.rand(num, generator=generator, dtype=torch.float64) * ends[-1]
    chosen = torch.searchsorted(ends, draws, right=True).clamp(max=len(cells) - 1)
    cell = torch.from_numpy(cells)[chosen]
    return cell // joint.shape[1], cell % joint.shape[1]


def _sample_counts(x: _Table, y: _Table) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How often each x, each y and each pair occurs; only what occurs is counted, so ids may be large."""
    x, y = _array(x), _array(y)
    if x.ndim != 1 or x.shape != y.shape or not len(x):
        raise DataError(f"x has shape {x.shape} and y {y.shape}; give two lists of the same length, one id a sample")
    if not all(np.issubdtype(values.dtype, np.integer) or values.dtype == bool for values in (x, y)):
        raise DataError("x and y must be integer ids; for continuous variables use the bounds")
    _, x_codes, x_counts = np.unique(x, return_inverse=True, return_counts=True)
    _, y_codes, y_counts = np.unique(y, return_inverse=True, return_counts=True)
    _, pair_counts = np.unique(x_codes * len(y_counts) + y_codes, return_counts=True)
    return x_counts, y_counts, pair_counts


def plug_in(x: _Table, y: _Table) -> float:
    """Mutual information of the table that samples make, integer ids x and y [N]: H(X) + H(Y) - H(X, Y) (E.1).

    Not a bound: off by about `plug_in_bias` on average, in either direction. Independent samples give more than 0; if
    x and y are the same variable, the value is too low, and it never exceeds log N.
    """
    x_counts, y_counts, pair_counts = _sample_counts(x, y)
    value = _entropy(x_counts / len(x)) + _entropy(y_counts / len(x)) - _entropy(pair_counts / len(x))
    return max(value, 0.0)


def plug_in_bias(num_x: int, num_y: int, num_samples: int, num_pairs: int | None = None) -> float:
    """(num_pairs - num_x - num_y + 1) / (2 N): mean of `plug_in` minus the truth, to first order (E.8; Roulston 1999).

    Negative if few pairs are possible: x = y has no more pairs than values.

    Args:
        num_x: how many values x can take; ``num_y`` likewise.
        num_samples: N; the formula needs many samples a pair.
        num_pairs: how many pairs are possible; None for all, which makes it (num_x - 1)(num_y - 1) / (2 N).
    """
    if min(num_x, num_y, num_samples) < 1:
        raise SettingError("num_x, num_y and num_samples must be 1 or more")
    num_pairs = num_x * num_y if num_pairs is None else num_pairs
    if not max(num_x, num_y) <= num_pairs <= num_x * num_y:
        raise SettingError(f"num_pairs {num_pairs}: give {max(num_x, num_y)} to {num_x * num_y}")
    return (num_pairs - num_x - num_y + 1) / (2 * num_samples)


def miller_madow(x: _Table, y: _Table) -> float:
    """`plug_in` with (number of values seen - 1) / (2 N) added to each entropy (Miller 1955).

    Takes `plug_in_bias` off, with the values and pairs that were seen. Still no bound; it may come out below 0.
    """
    seen_x, seen_y, seen_pairs = map(len, _sample_counts(x, y))
    return plug_in(x, y) + (seen_x + seen_y - seen_pairs - 1) / (2 * len(x))


# Items and attributes


def _item_attributes(
    attributes: _Table, weights: _Table | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows and columns of the entries [P]; number of attributes, 1 or more, and probability of each row [R]."""
    table = _array(attributes).astype(bool)
    if table.ndim != 2:
        raise DataError(f"attributes has {table.ndim} dimensions; give a table [items, attributes]")
    counts = table.sum(axis=1)
    weights = np.ones(len(table)) if weights is None else _array(weights).astype(np.float64)
    if weights.shape != (len(table),):
        raise DataError(
            f"weights has shape {weights.shape}, but attributes has {len(table)} rows; give one weight a row"
        )
    shares = _probabilities(np.where(counts > 0, weights, 0), "weights of the items with attributes")
    rows, columns = np.nonzero(table)
    return rows, columns, np.maximum(counts, 1), shares


def item_attribute_joint(attributes: _Table, weights: _Table | None = None) -> np.ndarray:
    """The joint distribution of an item and one of its distinct attributes, drawn uniformly (E.6).

    Args:
        attributes: bool [items, attributes]. ``data.attributes`` can be given as it is: rows without attributes
            (padding and mask token too) and columns without items (column 0) do not count.
        weights: how likely each item is [items], any scale, such as `training_popularity`; by default all items that
            have attributes are equally likely.

    Returns float64 [items, attributes]; large data make a large table. Raises DataError if the shapes do not fit or no
    item that counts has an attribute.
    """
    rows, columns, counts, shares = _item_attributes(attributes, weights)
    joint = np.zeros(_array(attributes).shape)
    joint[rows, columns] = (shares / counts)[rows]
    return joint


def item_attribute_entropies(attributes: _Table, weights: _Table | None = None) -> tuple[float, float]:
    """H(A) and H(A|X) of `item_attribute_joint`, X the item and A its attribute, without that table."""
    rows, columns, counts, shares = _item_attributes(attributes, weights)
    marginal = np.bincount(columns, weights=(shares / counts)[rows])
    return _entropy(marginal), float(shares @ np.log(counts))


def item_attribute_mutual_information(attributes: _Table, weights: _Table | None = None) -> float:
    """I(X; A) = H(A) - H(A|X) of `item_attribute_joint`, never below 0.

    The truth to hold against what the AAP objective, equation (10), certifies.
    """
    marginal, given_item = item_attribute_entropies(attributes, weights)
    return max(marginal - given_item, 0.0)


def training_popularity(data: SequenceData) -> np.ndarray:
    """How often each id occurs in the training parts, int64 [num_items + 2]: weights for the items."""
    return np.bincount(data.items[training_mask(data)], minlength=data.num_items + 2)
