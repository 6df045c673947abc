"""Interactions as tables: RecBole's atomic files, CSV files and DataFrames."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from s3rec_lite.data import MIN_SEQUENCE, SequenceData
from s3rec_lite.datasets.selection import k_core
from s3rec_lite.datasets.textfiles import (
    TAB,
    line_error,
    listing,
    newline_positions,
    order_tokens,
    read_text,
    shown,
)
from s3rec_lite.support.errors import DataError
from s3rec_lite.support.files import write_bytes

TITLE_COLUMNS = ("movie_title", "title", "name", "item_name")
RECBOLE_TYPES = ("token", "token_seq", "float", "float_seq")


# --- from tables to sequences -----------------------------------------------------------------------------


def build_sequences(
    name: str,
    interactions: pd.DataFrame,
    tags: pd.DataFrame | None,
    titles: dict[str, str] | None,
    k: int | None,
) -> SequenceData:
    """Filter, sort and number a table of interactions.

    Rows are sorted by user and time; rows of equal time keep their order. Users, items and attributes are
    numbered in the order of their names (see `order_tokens`), after the filter.

    Args:
        name: name of the data set.
        interactions: columns "user", "item" (str) and, if known, "time".
        tags: columns "item", "attribute" (str), one row for each tag; None means no attributes.
        titles: title of each item name.
        k: iterated k-core filter; None, 0 or 1 keep everything.
    """
    kept = k_core(interactions, k or 0)
    if kept.empty:
        mend = "ask for a smaller k_core (--k-core) or give more interactions"
        raise DataError(
            f"{name}: nothing is left of {len(interactions)} interactions after the {k}-core filter; {mend}"
        )
    users, user_tokens = number(kept["user"])
    items, item_tokens = number(kept["item"])
    keys = [users] if "time" not in kept else [kept["time"].to_numpy(), users]
    order = np.lexsort(keys)  # stable, so ties keep the order of the file
    lengths = np.bincount(users)
    if lengths.min() < MIN_SEQUENCE:
        user = user_tokens[int(np.argmin(lengths))]
        mend = f"use a k_core (--k-core) of {MIN_SEQUENCE} or more, or remove short users"
        raise DataError(
            f"{name}: user {shown(user)} has {lengths.min()} interactions, fewer than {MIN_SEQUENCE}; {mend}"
        )
    table, attribute_names, listed = _attribute_table(name, item_tokens, tags)
    return SequenceData(
        name=name,
        items=items[order] + 1,
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        attributes=table,
        item_tokens=item_tokens,
        user_tokens=user_tokens,
        item_titles=tuple(titles.get(token, "") for token in item_tokens) if titles else None,
        attribute_names=attribute_names,
        attribute_tags_listed=listed,
    )


def number(names: pd.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Index of each name among the ordered distinct names, int64 [N], and those names."""
    codes, distinct = pd.factorize(names)
    ordered = order_tokens(distinct)
    place = pd.Series(np.arange(len(ordered)), index=ordered)
    return place.loc[list(distinct)].to_numpy(dtype=np.int64)[codes], tuple(ordered)


def _attribute_table(
    name: str, item_tokens: tuple[str, ...], tags: pd.DataFrame | None
) -> tuple[torch.Tensor, tuple[str, ...] | None, int | None]:
    """Bool table [num_items + 2, num_attributes + 1], attribute names, number of tags listed."""
    if tags is None:
        return torch.zeros(len(item_tokens) + 2, 1, dtype=torch.bool), None, None
    place = pd.Series(np.arange(1, len(item_tokens) + 1), index=list(item_tokens))
    items = tags["item"].map(place)
    tags, items = tags[items.notna()], items[items.notna()].to_numpy(dtype=np.int64)
    attributes, names = number(tags["attribute"])
    table = torch.zeros(len(item_tokens) + 2, len(names) + 1, dtype=torch.bool)
    table.numpy()[items, attributes + 1] = True
    without = len(item_tokens) - len(np.unique(items))
    if without:
        warnings.warn(f"{name}: {without} of {len(item_tokens)} items have no attributes", stacklevel=4)
    return table, names, len(items)


# --- RecBole ----------------------------------------------------------------------------------------------


def read_recbole(
    path: str | Path,
    item_attribute: str | Sequence[str] | None = None,
    k_core: int | None = 5,
    *,
    name: str | None = None,
) -> SequenceData:
    """Read RecBole's atomic files: `X.inter` and, for attributes and titles, `X.item` beside it.

    Args:
        path: the `.inter` file, or a folder that holds exactly one.
        item_attribute: column or columns of the `.item` file, of type token or token_seq (words separated by
            blanks). With several columns each attribute is named column:value. None means no attributes.
        k_core: smallest number of interactions of a user and of an item; None, 0 or 1 keep everything.
        name: name of the data set; the file's stem if not given.

    Rows are sorted by user and timestamp; rows of equal time, and all rows if there is no timestamp, keep the
    file's order. Repeated rows are kept.

    Raises:
        DataError: one line that names the file, the line and the mend.
    """
    path = _find_inter(Path(path))
    columns = (item_attribute,) if isinstance(item_attribute, str) else tuple(item_attribute or ())
    frame, _ = _read_atomic(path, ("user_id", "item_id"))
    interactions = pd.DataFrame({"user": frame["user_id"], "item": frame["item_id"]})
    for column in ("user", "item"):
        _refuse_empty(path, interactions[column])
    if "timestamp" in frame:
        interactions["time"] = _numbers(path, frame["timestamp"])
    item_path = path.with_suffix(".item")
    tags, titles = None, None
    if columns and not item_path.exists():
        raise DataError(f"{item_path}: no such file; put it there, or ask for no item attributes")
    if item_path.exists():
        items, types = _read_atomic(item_path, ("item_id",))
        _refuse_empty(item_path, items["item_id"])
        _refuse_repeats(item_path, items["item_id"])
        tags = _recbole_tags(item_path, items, types, columns) if columns else None
        title = next((column for column in TITLE_COLUMNS if column in items), None)
        titles = dict(zip(items["item_id"], items[title], strict=True)) if title else None
    return build_sequences(name or path.stem, interactions, tags, titles, k_core)


def _find_inter(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(path.glob("*.inter"))
    if len(found) == 1:
        return found[0]
    what = ", ".join(file.name for file in found) or "none"
    raise DataError(f"{path}: needs exactly one .inter file, found {what}; give the path of the file itself")


def _read_atomic(path: Path, required: tuple[str, ...]) -> tuple[pd.DataFrame, dict[str, str]]:
    """All columns of an atomic file as str, and the type of each column."""
    text = read_text(path)
    header = text[: text.index(b"\n")].decode("utf-8").split("\t")
    types: dict[str, str] = {}
    for field in header:
        column, colon, kind = field.partition(":")
        if not colon or kind not in RECBOLE_TYPES:
            mend = "write name:type, with type token, token_seq, float or float_seq"
            raise line_error(path, 1, f"column {shown(field)} has no known type", mend)
        if column in types:
            raise line_error(path, 1, f"column {shown(column)} is there twice", "rename one of the two")
        types[column] = kind
    for column in required:
        if column not in types:
            raise line_error(path, 1, f"no column {column}", f"the columns are {listing(types)}")
    _check_field_counts(path, text, len(types))
    frame = pd.read_csv(
        io.BytesIO(text),
        sep="\t",
        names=list(types),
        header=None,
        skiprows=1,
        dtype=str,
        na_filter=False,
        quoting=csv.QUOTE_NONE,
        skip_blank_lines=False,
        lineterminator="\n",
        encoding="utf-8",
    )
    if frame.empty:
        raise DataError(f"{path}: there is a header but no row; put the data there again")
    return frame, types


def _check_field_counts(path: Path, text: bytes, width: int) -> None:
    tabs = np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == TAB)
    fields = np.diff(np.searchsorted(tabs, newline_positions(text)), prepend=0) + 1  # [num_lines]
    if (fields != width).any():
        line = int(np.argmax(fields != width))
        what = f"{fields[line]} fields instead of {width}"
        raise line_error(path, line + 1, what, "separate the fields by one tab each")


def _refuse_empty(path: Path, names: pd.Series) -> None:
    empty = (names.str.strip() == "").to_numpy()
    if empty.any():
        raise line_error(path, int(np.argmax(empty)) + 2, f"{names.name} is empty", "fill it in or delete the line")


def _refuse_repeats(path: Path, names: pd.Series) -> None:
    again = names.duplicated().to_numpy()
    if again.any():
        row = int(np.argmax(again))
        raise line_error(path, row + 2, f"item {shown(names.iloc[row])} is there twice", "keep one line for each item")


def _numbers(path: Path, values: pd.Series) -> np.ndarray:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy()
    wrong = ~np.isfinite(numbers.astype(np.float64))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise line_error(
            path, row + 2, f"timestamp {shown(values.iloc[row])} is not a number", "mend or delete the line"
        )
    return numbers


def _recbole_tags(path: Path, items: pd.DataFrame, types: dict[str, str], columns: tuple[str, ...]) -> pd.DataFrame:
    """One row for each tag: columns "item" and "attribute"; a missing value gives no row."""
    usable = [column for column, kind in types.items() if kind.startswith("token") and column != "item_id"]
    parts = []
    for column in columns:
        if column not in usable:
            mend = f"choose from {listing(usable) or 'none: add a token or token_seq column'}"
            raise line_error(path, 1, f"no attribute column {shown(column)}", mend)
        words = items[column].str.strip()
        lists = words.str.split() if types[column] == "token_seq" else words.where(words != "").map(_as_list)
        part = pd.DataFrame({"item": items["item_id"], "attribute": lists}).explode("attribute").dropna()
        part["attribute"] = part["attribute"].astype(str)
        if len(columns) > 1:
            part["attribute"] = column + ":" + part["attribute"]
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _as_list(value: object) -> list[str]:
    return [value] if isinstance(value, str) else []


def write_recbole(data: SequenceData, folder: str | Path) -> Path:
    """Write `X.inter` and `X.item` (X is `data.name`); the timestamp is the place in the user's sequence.

    Attributes go into column `class`, blanks in their names become underscores. Items that nobody has are
    left out.

    Returns:
        Path of `X.inter`.

    Raises:
        DataError: if a name holds a tab or line end, two attributes get the same name, or the folder cannot
            be written.
    """
    path = Path(folder) / f"{data.name}.inter"
    users = data.user_tokens or tuple(str(user + 1) for user in range(data.num_users))
    items = data.item_tokens or tuple(str(item + 1) for item in range(data.num_items))
    for token in (*users, *items):
        if not token.strip() or any(mark in token for mark in "\t\n\r\0"):
            raise DataError(f"{data.name}: name {shown(token)} does not fit a tab-separated file; rename it")
    places = np.arange(data.num_interactions) - np.repeat(data.offsets[:-1], data.lengths)
    inter = pd.DataFrame(
        {
            "user_id:token": np.repeat(np.array(users, dtype=object), data.lengths),
            "item_id:token": np.array(items, dtype=object)[data.items - 1],
            "timestamp:float": places,
        }
    )
    used = np.unique(data.items)
    table = {"item_id:token": [items[item - 1] for item in used]}
    if data.item_titles is not None:
        table["title:token_seq"] = [" ".join(data.item_titles[item - 1].split()) for item in used]
    table["class:token_seq"] = _attribute_words(data, used)
    write_bytes(path.with_suffix(".item"), _tab_separated(pd.DataFrame(table)))
    write_bytes(path, _tab_separated(inter))
    return path


def _attribute_words(data: SequenceData, used: np.ndarray) -> list[str]:
    names = data.attribute_names or tuple(str(attribute + 1) for attribute in range(data.num_attributes))
    words = ["_".join(name.split()) for name in names]
    if len(set(words)) < len(words) or not all(words):
        raise DataError(f"{data.name}: attribute names must differ in more than blanks, and not be empty; rename them")
    rows, columns = np.nonzero(data.attributes.numpy())
    bounds = np.searchsorted(rows, np.arange(data.num_items + 2)).tolist()
    columns = columns.tolist()
    return [" ".join(words[tag - 1] for tag in columns[bounds[item] : bounds[item + 1]]) for item in used.tolist()]


def _tab_separated(frame: pd.DataFrame) -> bytes:
    lines = ["\t".join(frame.columns)]
    lines += map("\t".join, zip(*(frame[column].astype(str) for column in frame), strict=True))
    return ("\n".join(lines) + "\n").encode()
