"""Parts of a data set: the k-core of a table of interactions, and some of the users."""

import dataclasses

import numpy as np
import pandas as pd

from s3rec_lite.data import SequenceData
from s3rec_lite.support.errors import DataError


def k_core(frame: pd.DataFrame, k: int) -> pd.DataFrame:
    """Rows that stay when users and items with fewer than `k` interactions are removed again and again.

    Args:
        frame: columns "user" and "item" (others are kept as they are); repeated rows count each time.
        k: smallest number of interactions of a user and of an item; 0 or 1 keeps everything.

    Returns:
        A new DataFrame with the remaining rows in their old order and with their old index; it may be empty.
    """
    users, _ = pd.factorize(frame["user"], use_na_sentinel=False)
    items, _ = pd.factorize(frame["item"], use_na_sentinel=False)
    rows = np.arange(len(frame))
    while len(rows):
        enough = (np.bincount(users)[users] >= k) & (np.bincount(items)[items] >= k)
        if enough.all():
            break
        rows, users, items = rows[enough], users[enough], items[enough]
    return frame.iloc[rows]


def take_users(data: SequenceData, users: np.ndarray | int, seed: int = 0) -> SequenceData:
    """The same items and attributes with some of the users only, for quick experiments and data-share curves.

    Args:
        data: the whole.
        users: indices of the users to keep, in the order wanted; or how many, drawn at random.
        seed: of the drawing.

    Raises:
        DataError: if there are fewer users than asked for.
    """
    if np.ndim(users) == 0:
        if not 1 <= int(users) <= data.num_users:
            raise DataError(f"{data.name} has {data.num_users} users; {int(users)} cannot be taken from it")
        users = np.sort(np.random.default_rng(seed).permutation(data.num_users)[: int(users)])
    users = np.asarray(users, dtype=np.int64)
    lengths = data.lengths[users]
    tokens, negatives = data.user_tokens, data.sampled_negatives
    return dataclasses.replace(
        data,
        items=np.concatenate([np.zeros(0, dtype=np.int64), *(data.sequence(user) for user in users)]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        user_tokens=None if tokens is None else tuple(tokens[user] for user in users),
        sampled_negatives=None if negatives is None else negatives[users],
    )
