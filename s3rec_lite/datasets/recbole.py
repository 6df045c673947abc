"""RecBole's atomic files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from s3rec_lite.data import SequenceData
from s3rec_lite.datasets.sequences import build_sequences
from s3rec_lite.datasets.tables import Table, read_tabs
from s3rec_lite.datasets.textfiles import listing, shown
from s3rec_lite.support.errors import DataError
from s3rec_lite.support.text import one_of

ID_ORDERS = ("name", "recbole")
TIME_ROUNDINGS = ("none", "float32", "scaled")
_TITLE_COLUMNS = ("movie_title", "title", "name", "item_name")
_TYPES = ("token", "token_seq", "float", "float_seq")


def read_recbole(
    path: str | Path,
    item_attribute: str | Sequence[str] | None = None,
    k_core: int | None = 5,
    *,
    name: str | None = None,
    id_order: str = "name",
    time_rounding: str = "none",
) -> SequenceData:
    """Read RecBole's atomic files: `X.inter` and, for attributes and titles, `X.item` beside it.

    Rows are sorted by user and timestamp; rows of equal time, and all rows if there is no timestamp, keep the
    file's order. Repeated rows are kept.

    Args:
        path: the `.inter` file, or a folder that holds exactly one.
        item_attribute: column or columns of the `.item` file, of type token or token_seq (words separated by
            blanks). With several columns each attribute is named column:value. None means no attributes.
        k_core: smallest number of interactions of a user and of an item; None, 0 or 1 keep everything.
        name: name of the data set; the file's stem if not given.
        id_order: "name" numbers users, items and attributes by their names. "recbole" numbers them as RecBole does:
            in the order of their rows, items that only the `.item` file has last; its checkpoints need that.
        time_rounding: RecBole sorts times as float32: as they are ("float32"), or scaled to [0, 1] before ("scaled")
            where its setting normalize_all is on, as it is for ml-100k. "none" keeps every digit.

    Raises:
        DataError: one line that names the file, the line and the fix.
        SettingError: for an unknown id_order or time_rounding.
    """
    appearance = one_of(id_order, ID_ORDERS, "id_order") == "recbole"
    one_of(time_rounding, TIME_ROUNDINGS, "time_rounding")
    path = _find_inter(Path(path))
    columns = (item_attribute,) if isinstance(item_attribute, str) else tuple(item_attribute or ())
    table, _ = _read_atomic(path, "user_id", "item_id")
    interactions = pd.DataFrame({"user": table.names("user_id"), "item": table.names("item_id")})
    if "timestamp" in table.frame:
        interactions["time"] = _rounded(table.times("timestamp"), time_rounding)
    tags, titles, catalogue = None, None, None
    item_path = path.with_suffix(".item")
    if item_path.exists():
        items, types = _read_atomic(item_path, "item_id")
        items.refuse_repeated("item_id")
        tags = _read_tags(items, types, columns) if columns else None
        catalogue = items.names("item_id") if columns and appearance and not (k_core or 0) > 1 else None
        title = next((column for column in _TITLE_COLUMNS if column in types), None)
        titles = dict(zip(items.names("item_id"), items.frame[title], strict=True)) if title else None
    elif columns:
        raise DataError(f"{item_path}: no such file; put it there, or ask for no item attributes")
    return build_sequences(
        name or path.stem, interactions, tags, titles, k_core, by_appearance=appearance, catalogue=catalogue
    )


def _rounded(times: np.ndarray, rounding: str) -> np.ndarray:
    """Times as RecBole compares them, float32 [N]; with "none" as they are."""
    if rounding == "scaled" and len(times):
        span = float(times.max() - times.min())
        times = (times - times.min()) / span if span else np.ones(len(times))
    return times if rounding == "none" else times.astype(np.float32)


def _find_inter(path: Path) -> Path:
    if not path.is_dir():
        return path
    files = sorted(path.glob("*.inter"))
    if len(files) == 1:
        return files[0]
    names = ", ".join(file.name for file in files) or "none"
    raise DataError(f"{path}: needs exactly one .inter file, found {names}; give the path of the file itself")


def _read_atomic(path: Path, *required: str) -> tuple[Table, dict[str, str]]:
    """An atomic file with its columns named without their types, and the type of each column."""
    table = read_tabs(path)
    types = {}
    for field in table.frame.columns:
        column, _, kind = field.partition(":")
        if kind not in _TYPES:
            fix = "write name:type, with type token, token_seq, float or float_seq"
            raise table.error(None, f"column {shown(field)} has no known type", fix)
        if column in types:
            raise table.error(None, f"column {shown(column)} is there twice", "rename one of the two")
        types[column] = kind
    table.frame.columns = list(types)
    table.require(*required)
    table.refuse_missing(*required)
    return table, types


def _read_tags(items: Table, types: dict[str, str], columns: Sequence[str]) -> pd.DataFrame:
    """One row for each tag: columns "item" and "attribute"; a missing value gives no row."""
    usable = [column for column, kind in types.items() if kind.startswith("token") and column != "item_id"]
    parts = []
    for column in columns:
        if column not in usable:
            fix = f"choose from {listing(usable) or 'none: add a token or token_seq column'}"
            raise items.error(None, f"no attribute column {shown(column)}", fix)
        words = items.frame[column].str.strip()
        lists = words.str.split() if types[column] == "token_seq" else words.map(lambda word: [word] if word else [])
        part = pd.DataFrame({"item": items.names("item_id"), "attribute": lists}).explode("attribute").dropna()
        prefix = f"{column}:" if len(columns) > 1 else ""
        parts.append(part.assign(attribute=prefix + part["attribute"].astype(str)))
    return pd.concat(parts, ignore_index=True)
