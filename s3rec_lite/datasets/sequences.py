"""From a table of interactions to sequences: filter, sort, and number what has names."""

import warnings
from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch

from s3rec_lite.data import MIN_SEQUENCE, SequenceData
from s3rec_lite.datasets.selection import k_core
from s3rec_lite.datasets.textfiles import shown
from s3rec_lite.support.errors import DataError


def build_sequences(
    name: str,
    interactions: pd.DataFrame,
    tags: pd.DataFrame | None,
    titles: dict[str, str] | None,
    k: int | None,
    *,
    by_appearance: bool = False,
    catalogue: pd.Series | None = None,
) -> SequenceData:
    """Filter, sort and number a table of interactions.

    Rows are sorted by user and time; rows of equal time keep their order. Users, items and attributes are
    numbered in the order of their names (see `_order_tokens`), after the filter.

    Args:
        name: name of the data set.
        interactions: columns "user", "item" (str) and, if known, "time".
        tags: columns "item", "attribute" (str), one row for each tag; None means no attributes.
        titles: title of each item name.
        k: iterated k-core filter; None, 0 or 1 keep everything.
        by_appearance: number users, items and attributes as they come in the tables, as RecBole does.
        catalogue: names of items that are numbered after the others even if nobody took them.
    """
    remaining = k_core(interactions, k or 0)
    if remaining.empty:
        problem = f"nothing is left of {len(interactions)} interactions after the {k}-core filter"
        raise DataError(f"{name}: {problem}; ask for a smaller k_core (--k-core) or give more interactions")
    users, user_tokens = _number(remaining["user"], by_appearance)
    taken = remaining["item"] if catalogue is None else pd.concat([remaining["item"], catalogue])
    items, item_tokens = _number(taken, by_appearance)
    items = items[: len(remaining)]
    lengths = np.bincount(users)  # [num_users]
    if lengths.min() < MIN_SEQUENCE:
        user = shown(user_tokens[int(np.argmin(lengths))])
        problem = f"user {user} has {lengths.min()} interactions, fewer than {MIN_SEQUENCE}"
        raise DataError(f"{name}: {problem}; use a k_core (--k-core) of {MIN_SEQUENCE} or more, or remove short users")
    rows = np.arange(len(users))
    order = np.argsort(remaining["time"].to_numpy(), kind="stable") if "time" in remaining else rows
    # By user, ties by their place in that order: a sort of integers, several times faster than np.lexsort.
    order = order[np.sort(users[order] * len(rows) + rows) % len(rows)]

    # Attributes: of the items that remain; nothing else is numbered.
    attributes, attribute_names, listed = torch.zeros(len(item_tokens) + 2, 1, dtype=torch.bool), None, None
    if tags is not None:
        owners = pd.Index(item_tokens).get_indexer(pd.Index(tags["item"])) + 1  # [num_tags], 0: filtered out
        columns, attribute_names = _number(tags["attribute"][owners > 0], by_appearance)
        owners, listed = owners[owners > 0], len(columns)
        attributes = torch.zeros(len(item_tokens) + 2, len(attribute_names) + 1, dtype=torch.bool)
        attributes.numpy()[owners, columns + 1] = True
        without = len(item_tokens) - len(np.unique(owners))
        if without:
            warnings.warn(f"{name}: {without} of {len(item_tokens)} items have no attributes", stacklevel=3)
    return SequenceData(
        name=name,
        items=items[order] + 1,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        attributes=attributes,
        item_tokens=item_tokens,
        user_tokens=user_tokens,
        item_titles=tuple(titles.get(token, "") for token in item_tokens) if titles else None,
        attribute_names=attribute_names,
        attribute_tags_listed=listed,
    )


def _number(names: pd.Series, by_appearance: bool) -> tuple[np.ndarray, tuple[str, ...]]:
    """Index of each name among the ordered distinct names, int64 [N], and those names."""
    codes, distinct = pd.factorize(names)
    ordered = list(distinct) if by_appearance else _order_tokens(distinct)
    return pd.Index(ordered).get_indexer(pd.Index(distinct))[codes].astype(np.int64), tuple(ordered)


def _order_tokens(tokens: Iterable[str]) -> list[str]:
    """Whole numbers first, by value, then everything else by character.

    The order depends on the names alone. Numbering items in their order of appearance would let ids of
    neighbours in a sequence be neighbours as well, and a model could read the held-out item off its id.
    """
    numbers: list[str] = []
    words: list[str] = []
    for token in tokens:
        (numbers if token.isascii() and token.isdigit() else words).append(token)
    # From the least important key to the most: each sort keeps the order of the one before.
    numbers.sort()
    numbers.sort(key=_digits)
    numbers.sort(key=lambda token: len(_digits(token)))
    return numbers + sorted(words)


def _digits(token: str) -> str:
    return token.lstrip("0")
