"""Sequences of items in one flat array, their attributes, and the leave-one-out split."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import numpy as np
import torch

from s3rec_lite.support.checks import MIN_SEQUENCE as MIN_SEQUENCE
from s3rec_lite.support.checks import check_data
from s3rec_lite.support.checks import fingerprint as fingerprint
from s3rec_lite.support.errors import DataError
from s3rec_lite.support.text import one_of

SPLITS = ("train", "valid", "test")


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
        check_data(self)

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
        one_of(split, SPLITS, "split")
        return self.offsets[1:] - (1 if split == "test" else 2)

    def targets(self, split: str) -> np.ndarray:
        """The held-out item of each user, int64 [num_users]; `split` is "valid" or "test"."""
        one_of(split, SPLITS[1:], "split")
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

    def item_id(self, token: str | int) -> int:
        """Internal id of an item's original name. Raises DataError if there is no such item."""
        token = str(token)
        if self.item_tokens is not None:
            if token in self.item_tokens:
                return self.item_tokens.index(token) + 1
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


def distinct_items(data: SequenceData, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct items of each range ``data.items[start:end]`` [B]: range numbers and items, sorted, [N] each."""
    lengths = ends - starts
    rows = np.repeat(np.arange(len(starts)), lengths)
    positions = np.arange(len(rows)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    stride = data.num_items + 2
    keys = np.sort(rows * stride + data.items[positions])  # np.unique takes fifty times as long for ten million
    return np.divmod(keys[np.diff(keys, prepend=-1) > 0], stride)


def user_of_interaction(data: SequenceData) -> np.ndarray:
    """User index of every interaction, int64 [num_interactions]."""
    return np.repeat(np.arange(data.num_users), data.lengths)


def training_mask(data: SequenceData) -> np.ndarray:
    """Which interactions are training data, bool [num_interactions]: all but the last two of each user."""
    mask = np.ones(data.num_interactions, dtype=bool)
    mask[data.offsets[1:] - 1] = False
    mask[data.offsets[1:] - 2] = False
    return mask
