"""Interactions from a CSV file or a DataFrame, with columns of any names."""

from pathlib import Path
from typing import TypeAlias

import pandas as pd

from s3rec_lite.data import SequenceData
from s3rec_lite.datasets.sequences import build_sequences
from s3rec_lite.datasets.tables import Table, read_csv
from s3rec_lite.datasets.textfiles import listing

Tabular: TypeAlias = pd.DataFrame | str | Path


def read_interactions(
    table: Tabular,
    user: str = "user",
    item: str = "item",
    time: str | None = "time",
    *,
    item_attributes: Tabular | None = None,
    titles: Tabular | None = None,
    k_core: int | None = 5,
    name: str | None = None,
) -> SequenceData:
    """Read one row for each interaction from a CSV file (with a header line) or a DataFrame.

    Args:
        table: the interactions. Repeated rows are kept.
        user, item, time: names of the columns. Times are numbers or dates; rows of equal time keep their
            order, and time=None keeps the order of the table throughout.
        item_attributes: columns "item" (or as `item`) and "attribute", one row for each tag. A row with an
            empty attribute adds none.
        titles: columns "item" (or as `item`) and "title".
        k_core: smallest number of interactions of a user and of an item; None, 0 or 1 keep everything.
        name: name of the data set; the file's stem, or "interactions" for a DataFrame, if not given.

    Raises:
        DataError: one line that names the file, the line (for a DataFrame the row, from 0) and the fix.
    """
    source = _open(table)
    source.require(user, item)
    if time is not None:
        source.require(time, hint=" (or time=None to keep the order of the table)")
    source.refuse_missing(user, item)
    interactions = pd.DataFrame({"user": source.names(user), "item": source.names(item)})
    if time is not None:
        interactions["time"] = source.times(time)
    stem = source.path.stem if source.path else "interactions"
    del source  # and with it the text of a large file
    tags = None if item_attributes is None else _read_pairs(item_attributes, item, "attribute")
    labels = None if titles is None else dict(_read_pairs(titles, item, "title").to_numpy())
    return build_sequences(name or stem, interactions, tags, labels, k_core)


def _open(table: Tabular) -> Table:
    return Table(table) if isinstance(table, pd.DataFrame) else read_csv(Path(table))


def _read_pairs(table: Tabular, item: str, value: str) -> pd.DataFrame:
    """Columns "item" and `value`, rows with an empty value left out."""
    source = _open(table)
    key = item if item in source.frame else "item"
    for column in (key, value):
        if column not in source.frame:
            fix = f"rename the right one of {listing(source.frame.columns)} to {column!r}"
            raise source.error(None, f"no column {column!r}", fix)
    source.require(key, value)
    source.refuse_missing(key)
    pairs = pd.DataFrame({"item": source.names(key), value: source.names(value)})
    return pairs[~source.missing(value)]
