"""Interactions from a CSV file or a DataFrame, with columns of any names."""

from __future__ import annotations

import csv
import io
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from s3rec_lite.data import SequenceData
from s3rec_lite.datasets.tables import build_sequences
from s3rec_lite.datasets.textfiles import line_error, listing, read_text, shown
from s3rec_lite.support.errors import DataError

Table = pd.DataFrame | str | Path


def read_interactions(
    table: Table,
    user: str = "user",
    item: str = "item",
    time: str | None = "time",
    *,
    item_attributes: Table | None = None,
    titles: Table | None = None,
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
        DataError: one line that names the file, the line (for a DataFrame the row, from 0) and the mend.
    """
    source = _Source(table)
    wanted = [user, item] if time is None else [user, item, time]
    for column in wanted:
        extra = " (or time=None to keep the order of the table)" if column == time else ""
        source.require(column, extra)
    for column in (user, item):
        source.refuse_missing(column)
    interactions = pd.DataFrame({"user": source.names(user), "item": source.names(item)})
    if time is not None:
        source.refuse_missing(time)
        interactions["time"] = source.times(time)
    tags = None if item_attributes is None else _read_pairs(item_attributes, item, "attribute")
    labels = None if titles is None else _read_pairs(titles, item, "title")
    known = None if labels is None else dict(zip(labels["item"], labels["title"], strict=True))
    return build_sequences(name or source.stem, interactions, tags, known, k_core)


def _read_pairs(table: Table, item: str, value: str) -> pd.DataFrame:
    """Columns "item" and `value`, rows with an empty value left out."""
    source = _Source(table)
    key = item if item in source.frame else "item"
    source.require(key)
    source.require(value)
    source.refuse_missing(key)
    pairs = pd.DataFrame({"item": source.names(key), value: source.names(value)})
    return pairs[~source.missing(value)]


class _Source:
    """A DataFrame, and where its rows come from, so that an error can name the line."""

    def __init__(self, table: Table) -> None:
        self.path: Path | None = None
        self.stem = "interactions"
        if isinstance(table, pd.DataFrame):
            self.frame = table.reset_index(drop=True)
        else:
            self.path = Path(table)
            self.stem = self.path.stem
            self.text = read_text(self.path)
            self.frame = _read_csv(self.path, self.text)
        if self.frame.empty:
            raise DataError(f"{self.path or 'DataFrame'}: there is no row; put the data there again")
        if not self.frame.columns.is_unique:
            twice = self.frame.columns[self.frame.columns.duplicated()][0]
            raise DataError(f"{self.path or 'DataFrame'}: column {shown(twice)} is there twice; rename one")

    def require(self, column: str, extra: str = "") -> None:
        if column not in self.frame:
            where = f"{self.path}:1" if self.path else "DataFrame"
            columns = listing(self.frame.columns)
            raise DataError(f"{where}: no column {shown(column)}; the columns are {columns}: name the right one{extra}")

    def error(self, row: int, what: str, mend: str) -> DataError:
        if self.path is None:
            return DataError(f"DataFrame: row {row}: {what}; {mend}")
        return line_error(self.path, _line_of_row(self.text, row), what, mend)

    def missing(self, column: str) -> np.ndarray:
        values = self.frame[column]
        empty = values.isna().to_numpy()
        if not pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_datetime64_any_dtype(values):
            empty = empty | (values.astype(str).str.strip() == "").to_numpy()
        return empty

    def refuse_missing(self, column: str) -> None:
        empty = self.missing(column)
        if empty.any():
            raise self.error(int(np.argmax(empty)), f"{column} is missing", "fill it in or remove the row")

    def names(self, column: str) -> pd.Series:
        """The column as str; whole numbers kept as floats (as pandas does beside gaps) lose their .0."""
        codes, distinct = pd.factorize(self.frame[column], use_na_sentinel=False)
        return pd.Series(np.array([_name(value) for value in distinct], dtype=object)[codes])

    def times(self, column: str) -> np.ndarray:
        """Sortable times, [N]: numbers as they are, dates as ticks since 1970."""
        values = self.frame[column]
        if pd.api.types.is_datetime64_any_dtype(values):
            return _moments(values).astype(np.int64)
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=None, na_value=np.nan)
        if np.isfinite(numbers.astype(np.float64)).all():
            return numbers
        dates = _moments(values.astype(str))
        wrong = np.isnat(dates)
        if wrong.any():
            row = int(np.argmax(wrong))
            mend = "write a number or a date such as 2020-08-17 12:30:00"
            raise self.error(row, f"{column} {shown(values.iloc[row])} cannot be read as a time", mend)
        return dates.astype(np.int64)


def _moments(values: pd.Series) -> np.ndarray:
    """datetime64 [N], NaT where a value is no date of the form year-month-day, with or without a time."""
    return pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True).dt.tz_localize(None).to_numpy()


def _name(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _read_csv(path: Path, text: bytes) -> pd.DataFrame:
    """All columns as str, empty fields as empty text; blank lines are skipped."""
    try:
        with warnings.catch_warnings():
            # pandas only warns when it drops fields of rows that are longer than the header
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(io.BytesIO(text), dtype=str, na_filter=False, encoding="utf-8", index_col=False)
    except (ValueError, OverflowError, csv.Error, pd.errors.ParserWarning):
        line, what = _broken_record(text)
        raise line_error(path, line, what, "mend the line or its quotes") from None


def _broken_record(text: bytes) -> tuple[int, str]:
    """Line on which the first record with too many fields, or an open quote, begins, and what is wrong."""
    reader = csv.reader(io.StringIO(text.decode("utf-8"), newline=""))
    width, start = 0, 1
    try:
        for fields in reader:
            if width and len(fields) > width:
                return start, f"{len(fields)} fields instead of {width}"
            width = width or len(fields)
            last, start = start, reader.line_num + 1
    except csv.Error as error:
        return start, str(error)
    return last, "a quote is opened and never closed, or the file is no CSV"


def _line_of_row(text: bytes, row: int) -> int:
    """Line of the file (from 1) on which data row `row` (from 0) ends; looked up only for an error."""
    reader = csv.reader(io.StringIO(text.decode("utf-8"), newline=""))
    seen = -2  # the header is row -1
    for fields in reader:
        seen += bool(fields)
        if seen == row:
            return reader.line_num
    return reader.line_num
