"""Sequences of items in one flat array, their attributes, and the leave-one-out split."""

from __future__ import annotations

import difflib
import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from s3rec_lite.support.errors import DataError, SettingError

SPLITS = ("train", "valid", "test")
MIN_SEQUENCE = 3  # one item to learn from, one to validate and one to test on


@dataclass(frozen=True, eq=False)
class SequenceData:
    """Every user's items in time order, and what is known about the items.

    Users are numbered 0..num_users-1, items 1..num_items and attributes 1..num_attributes. Item 0 is padding
    and item num_items+1 the mask token. The last item of a user is the test target, the one before it the
    validation target, and the rest is training data.

    Attributes:
        name: what to call the data in tables and records.
        items: int64 [num_interactions], item ids in time order, user after user.
        offsets: int64 [num_users + 1], user u owns `items[offsets[u]:offsets[u + 1]]`.
        attributes: bool tensor [num_items + 2, num_attributes + 1]; row 0 (padding), the last row (mask
            token) and column 0 (unused) are False throughout.
        item_tokens: original name of item i at index i-1; None means that the ids are the names.
        user_tokens: original name of user u at index u; None means "1", "2", ...
        item_titles: title of item i at index i-1.
        attribute_names: name of attribute a at index a-1.
        sampled_negatives: int64 [num_users, 99], ready-made negatives for the sampled protocol.
        attribute_tags_listed: number of attribute tags in the source, duplicates counted.

    Raises:
        DataError: if the arrays do not fit each other or a user has fewer than 3 interactions.
    """

    name: str
    items: np.ndarray
    offsets: np.ndarray
    attributes: torch.Tensor
    item_tokens: tuple[str, ...] | None = None
    user_tokens: tuple[str, ...] | None = None
    item_titles: tuple[str, ...] | None = None
    attribute_names: tuple[str, ...] | None = None
    sampled_negatives: np.ndarray | None = None
    attribute_tags_listed: int | None = None

    def __post_init__(self) -> None:
        check_sequences(self)
        check_attributes(self)
        check_names(self)

    @property
    def num_items(self) -> int:
        return self.attributes.shape[0] - 2

    @property
    def num_attributes(self) -> int:
        return self.attributes.shape[1] - 1

    @property
    def num_users(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_interactions(self) -> int:
        return len(self.items)

    @property
    def mask_token(self) -> int:
        """Id that stands for a hidden item: num_items + 1."""
        return self.num_items + 1

    @property
    def lengths(self) -> np.ndarray:
        """Number of interactions of each user, int64 [num_users]."""
        return np.diff(self.offsets)

    def sequence(self, user: int) -> np.ndarray:
        """All items of user index `user` (from 0), held-out ones included."""
        self._check_user(user)
        return self.items[self.offsets[user] : self.offsets[user + 1]]

    def history_ends(self, split: str) -> np.ndarray:
        """Where the history that the model may see ends, int64 [num_users], an index into `items`.

        "train" and "valid": all but the last two items; "test": all but the last.
        """
        _check_split(split, SPLITS)
        return self.offsets[1:] - (1 if split == "test" else 2)

    def targets(self, split: str) -> np.ndarray:
        """The held-out item of each user, int64 [num_users]; `split` is "valid" or "test"."""
        _check_split(split, SPLITS[1:])
        return self.items[self.history_ends(split)]

    def history(self, user: int, split: str) -> np.ndarray:
        """Items that the model may see of user index `user` when it is tested on `split`."""
        self._check_user(user)
        return self.items[self.offsets[user] : self.history_ends(split)[user]]

    def seen_in_training(self) -> np.ndarray:
        """Which ids occur in the training part of any user, bool [num_items + 2]."""
        seen = np.zeros(self.num_items + 2, dtype=bool)
        seen[self.items[training_mask(self)]] = True
        return seen

    @cached_property
    def _ids_by_token(self) -> dict[str, int]:
        return {token: item for item, token in enumerate(self.item_tokens or (), start=1)}

    def item_id(self, token: str | int) -> int:
        """Internal id of an item's original name. Raises DataError if there is no such item."""
        token = str(token)
        if self.item_tokens is not None:
            if token in self._ids_by_token:
                return self._ids_by_token[token]
            near = difflib.get_close_matches(token, self.item_tokens, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"the first is {self.item_tokens[0]!r}"
            raise DataError(f"{self.name}: no item {token!r}; {hint}")
        if token.isascii() and token.isdigit() and len(token) < 19 and 1 <= int(token) <= self.num_items:
            return int(token)
        raise DataError(f"{self.name}: no item {token!r}; item ids are 1 to {self.num_items}")

    def title(self, item: int) -> str:
        """Title of an item; its original name if it has no title, and its id if it has neither."""
        if not 1 <= item <= self.num_items:
            raise DataError(f"{self.name}: no item {item}; item ids are 1 to {self.num_items}")
        for names in (self.item_titles, self.item_tokens):
            if names is not None and names[item - 1]:
                return names[item - 1]
        return str(item)

    def _check_user(self, user: int) -> None:
        if not 0 <= user < self.num_users:
            raise DataError(f"{self.name}: no user {user}; user indices are 0 to {self.num_users - 1}")


def _check_split(split: str, allowed: tuple[str, ...]) -> None:
    if split not in allowed:
        raise SettingError(f"split {split!r} is not one of {', '.join(allowed)}")


def check_sequences(data: SequenceData) -> None:
    """Raise DataError unless items and offsets are well formed."""
    items, offsets, name = data.items, data.offsets, data.name
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


def check_attributes(data: SequenceData) -> None:
    """Raise DataError unless the attribute table fits the item ids."""
    name, table = data.name, data.attributes
    if not isinstance(table, torch.Tensor) or table.dtype != torch.bool or table.ndim != 2:
        raise DataError(f"{name}: attributes must be a bool tensor [num_items + 2, num_attributes + 1]")
    if table.shape[0] < 3 or table.shape[1] < 1:
        raise DataError(f"{name}: attributes has shape {tuple(table.shape)}; it needs 3 rows and 1 column or more")
    low, high = int(data.items.min()), int(data.items.max())
    if low < 1 or high > data.num_items:
        raise DataError(
            f"{name}: item ids run from {low} to {high}, but the attribute table has room for 1 to {data.num_items}"
        )
    if table[0].any() or table[-1].any() or table[:, 0].any():
        raise DataError(f"{name}: row 0, the last row and column 0 of attributes must be False throughout")


def check_names(data: SequenceData) -> None:
    """Raise DataError unless names and sampled negatives have one entry for each thing they describe."""
    for label, count in (
        ("item_tokens", data.num_items),
        ("item_titles", data.num_items),
        ("user_tokens", data.num_users),
        ("attribute_names", data.num_attributes),
    ):
        names = getattr(data, label)
        if names is not None and len(names) != count:
            raise DataError(f"{data.name}: {label} has {len(names)} entries, but {count} are needed")
        if names is not None and label.endswith("tokens") and len(set(names)) != count:
            raise DataError(f"{data.name}: {label} holds a name twice; names must be unique")
    negatives = data.sampled_negatives
    if negatives is None:
        return
    if negatives.dtype != np.int64 or negatives.shape != (data.num_users, 99):
        raise DataError(f"{data.name}: sampled_negatives must be int64 of shape ({data.num_users}, 99)")
    if negatives.min() < 1 or negatives.max() > data.num_items:
        raise DataError(f"{data.name}: sampled_negatives holds ids outside 1 to {data.num_items}")


def pad_left(items: np.ndarray, starts: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
    """The last `length` items of each range `items[start:end]`, filled up with 0 on the left.

    Args:
        items: int64 [N].
        starts, ends: int64 [B], with 0 <= start <= end <= N.
        length: number of columns wanted, at least 1.

    Returns:
        int64 [B, length]; the last item of each range is always in the last column.
    """
    starts, ends = np.asarray(starts, dtype=np.int64), np.asarray(ends, dtype=np.int64)
    index = ends[:, None] + np.arange(-length, 0)  # [B, length]
    inside = index >= starts[:, None]  # [B, length]
    return np.where(inside, items[np.where(inside, index, 0)], 0) if len(items) else np.zeros_like(index)


def user_of_interaction(data: SequenceData) -> np.ndarray:
    """User index of every interaction, int64 [num_interactions]."""
    return np.repeat(np.arange(data.num_users), data.lengths)


def training_mask(data: SequenceData) -> np.ndarray:
    """Which interactions are training data, bool [num_interactions]: all but the last two of each user."""
    mask = np.ones(data.num_interactions, dtype=bool)
    mask[data.offsets[1:] - 1] = False
    mask[data.offsets[1:] - 2] = False
    return mask


def fingerprint(data: SequenceData) -> str:
    """16 hex digits that change when items, offsets or attributes change (names do not count)."""
    digest = hashlib.sha256()
    for array in (data.offsets, data.items):
        digest.update(array.astype("<i8", copy=False).tobytes())
    digest.update(repr(tuple(data.attributes.shape)).encode())
    digest.update(np.packbits(data.attributes.cpu().numpy()).tobytes())
    return digest.hexdigest()[:16]
