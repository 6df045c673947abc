"""Checks of data sets, histories and candidates, each with one line that says what to change."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from s3rec_lite.support.errors import DataError, SettingError
from s3rec_lite.support.text import digest

MIN_SEQUENCE = 3  # one item to learn from, one to validate and one to test on


def check_data(data: Any) -> None:
    """Raise DataError unless the arrays of a `s3rec_lite.data.SequenceData` fit each other."""
    check_sequences(data.name, data.items, data.offsets)
    check_attributes(data.name, data.attributes, data.items)
    for label, count in (
        ("item_tokens", data.num_items),
        ("item_titles", data.num_items),
        ("user_tokens", data.num_users),
        ("attribute_names", data.num_attributes),
    ):
        check_names(data.name, label, getattr(data, label), count)
    check_given_negatives(data.name, data.sampled_negatives, data.num_users, data.num_items)


def check_sequences(name: str, items: np.ndarray, offsets: np.ndarray) -> None:
    """Raise DataError unless items and offsets are well formed."""
    for label, array in (("items", items), ("offsets", offsets)):
        if not isinstance(array, np.ndarray) or array.dtype != np.int64 or array.ndim != 1:
            raise DataError(f"{name}: {label} must be a one-dimensional int64 array; convert it with astype")
    if len(offsets) < 2:
        raise DataError(f"{name}: there is no user; at least one sequence is needed")
    if offsets[0] != 0 or offsets[-1] != len(items):
        raise DataError(f"{name}: offsets must run from 0 to {len(items)}, the number of interactions")
    lengths = np.diff(offsets)
    if (lengths < MIN_SEQUENCE).any():
        user = int(np.argmax(lengths < MIN_SEQUENCE))
        if lengths[user] < 0:
            raise DataError(f"{name}: offsets fall after user index {user}; they must never decrease")
        raise DataError(
            f"{name}: user index {user} has {lengths[user]} interactions; every user needs {MIN_SEQUENCE}, "
            "so remove the shorter ones"
        )


def check_attributes(name: str, table: torch.Tensor, items: np.ndarray) -> None:
    """Raise DataError unless the attribute table fits the item ids."""
    if not isinstance(table, torch.Tensor) or table.dtype != torch.bool or table.ndim != 2:
        raise DataError(f"{name}: attributes must be a bool tensor [num_items + 2, num_attributes + 1]")
    if table.shape[0] < 3 or table.shape[1] < 1:
        raise DataError(f"{name}: attributes has shape {tuple(table.shape)}; it needs 3 rows and 1 column or more")
    low, high = int(items.min()), int(items.max())
    if low < 1 or high > table.shape[0] - 2:
        raise DataError(
            f"{name}: item ids run from {low} to {high}, but the attribute table has room for 1 to {table.shape[0] - 2}"
        )
    if table[0].any() or table[-1].any() or table[:, 0].any():
        raise DataError(f"{name}: row 0, the last row and column 0 of attributes must be False throughout")


def check_names(name: str, label: str, entries: Sequence[str] | None, count: int) -> None:
    """Raise DataError unless a column of names has as many entries as it needs, and tokens are unique."""
    if entries is not None and len(entries) != count:
        raise DataError(f"{name}: {label} has {len(entries)} entries, but {count} are needed")
    if entries is not None and label.endswith("tokens") and len(set(entries)) != count:
        raise DataError(f"{name}: {label} holds a name twice; names must be unique")


def check_given_negatives(name: str, negatives: np.ndarray | None, num_users: int, num_items: int) -> None:
    """Raise DataError unless the ready-made negatives are item ids, 99 for each user; None is fine."""
    if negatives is None:
        return
    if negatives.dtype != np.int64 or negatives.shape != (num_users, 99):
        raise DataError(f"{name}: sampled_negatives must be int64 of shape ({num_users}, 99)")
    if negatives.min() < 1 or negatives.max() > num_items:
        raise DataError(f"{name}: sampled_negatives holds ids outside 1 to {num_items}")


def checked_negatives(negatives: np.ndarray, data: Any, split: str) -> np.ndarray:
    """Candidates of the sampled protocol as int64. Raises DataError unless they are ids [U, C] without the targets."""
    negatives = np.asarray(negatives)
    if negatives.ndim != 2 or len(negatives) != data.num_users or negatives.shape[1] < 1:
        raise DataError(f"negatives must be [{data.num_users} users, at least 1 item], got {negatives.shape}")
    if not np.issubdtype(negatives.dtype, np.integer):
        raise DataError(f"negatives must be integer item ids, got {negatives.dtype}")
    if negatives.min() < 1 or negatives.max() > data.num_items:
        raise DataError(f"negatives must be item ids 1 to {data.num_items}, got {negatives.min()} to {negatives.max()}")
    holds_target = (negatives == data.targets(split)[:, None]).any(axis=1)
    if holds_target.any():
        raise DataError(
            f"{int(holds_target.sum()):,} of {data.num_users:,} users have their {split} target among their "
            f"negatives, the first is user {int(holds_target.argmax())}: remove it there"
        )
    return negatives.astype(np.int64)


def checked_history(history: Sequence[int], num_items: int) -> list[int]:
    """A history as a list of item ids. Raises SettingError when it is empty or holds anything else."""
    try:
        items = [int(item) for item in history]
    except (TypeError, ValueError):
        raise SettingError(f"the history {list(history)!r} holds something that is not an item id") from None
    if not items:
        raise SettingError("the history is empty; give at least one item id")
    wrong = [item for item in items if not 1 <= item <= num_items]
    if wrong:
        raise SettingError(f"item {wrong[0]} is not between 1 and {num_items}")
    return items


def check_fits(model: Any, data: Any) -> None:
    """Raise SettingError when the model was made for other data."""
    if (model.num_items, model.num_attributes) != (data.num_items, data.num_attributes):
        raise SettingError(
            f"the model has {model.num_items} items and {model.num_attributes} attributes, {data.name} has "
            f"{data.num_items} and {data.num_attributes}; make the model from this data"
        )


def fingerprint(data: Any) -> str:
    """16 hex digits that change when items, offsets or attributes change (names do not count)."""
    sequences = [array.astype("<i8", copy=False).tobytes() for array in (data.offsets, data.items)]
    attributes = [repr(tuple(data.attributes.shape)).encode(), np.packbits(data.attributes.cpu().numpy()).tobytes()]
    return digest(b"".join(sequences + attributes))
