"""Tables of text from CSV files, tab-separated files and DataFrames; an error names the line of a row."""

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from s3rec_lite.datasets.textfiles import line_error, listing, read_text, shown
from s3rec_lite.support.errors import DataError


class Table:
    """A DataFrame and where its rows come from.

    Args:
        frame: the rows.
        path: the file that they were read from; None for a DataFrame of the user.
        lines: line of the file (from 1) on which each row begins.
    """

    def __init__(self, frame: pd.DataFrame, path: Path | None = None, lines: Sequence[int] = ()) -> None:
        self.frame, self.path, self.lines = frame.reset_index(drop=True), path, lines
        if frame.empty:
            raise DataError(f"{path or 'DataFrame'}: there is no row; put the data there again")

    def error(self, row: int | None, problem: str, fix: str) -> DataError:
        """The error for a row (from 0), or for the header if `row` is None."""
        if self.path is not None:
            return line_error(self.path, 1 if row is None else self.lines[row], problem, fix)
        return DataError(f"DataFrame: {'' if row is None else f'row {row}: '}{problem}; {fix}")

    def require(self, *columns: str, hint: str = "") -> None:
        """Raise DataError unless each column is there once."""
        names = list(self.frame.columns)
        for column in columns:
            if column not in names:
                fix = f"the columns are {listing(names)}: name the right one{hint}"
                raise self.error(None, f"no column {shown(column)}", fix)
            if names.count(column) > 1:
                raise self.error(None, f"column {shown(column)} is there twice", "rename one of the two")

    def missing(self, column: str) -> np.ndarray:
        """Whether the value of each row is empty, bool [N]."""
        values = self.frame[column]
        missing = values.isna().to_numpy()
        if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values):
            return missing
        return missing | (values.astype(str).str.strip() == "").to_numpy(dtype=bool)

    def refuse_missing(self, *columns: str) -> None:
        """Raise DataError for the first row without a value in one of the columns."""
        for column in columns:
            missing = self.missing(column)
            if missing.any():
                raise self.error(int(np.argmax(missing)), f"{column} is missing", "fill it in or remove the row")

    def refuse_repeated(self, column: str) -> None:
        """Raise DataError for the first row whose value was in an earlier row already."""
        repeated = self.frame[column].duplicated().to_numpy()
        if repeated.any():
            row = int(np.argmax(repeated))
            value = shown(self.frame[column].iloc[row])
            raise self.error(row, f"{column} {value} is there twice", f"keep one line for each {column}")

    def names(self, column: str) -> pd.Series:
        """The column as str; whole numbers kept as floats (as pandas does beside gaps) lose their .0."""
        codes, distinct = pd.factorize(self.frame[column], use_na_sentinel=False)
        return pd.Series(np.array([_name(value) for value in distinct], dtype=object)[codes])

    def times(self, column: str) -> np.ndarray:
        """Sortable times, [N]: numbers as they are, dates as ticks since 1970."""
        self.refuse_missing(column)
        values = self.frame[column]
        if pd.api.types.is_datetime64_any_dtype(values):
            return _dates(values).astype(np.int64)
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=None, na_value=np.nan)
        finite = np.isfinite(numbers.astype(np.float64))
        if finite.all():
            return numbers
        dates = _dates(values.astype(str))
        if np.isnat(dates).any():
            neither = np.isnat(dates) & ~finite
            row = int(np.argmax(neither if neither.any() else np.isnat(dates)))
            problem = f"{column} {shown(values.iloc[row])} cannot be read as a time"
            raise self.error(row, problem, "write a number or a date such as 2020-08-17 12:30:00")
        return dates.astype(np.int64)


def _dates(values: pd.Series) -> np.ndarray:
    """datetime64 [N], NaT where a value is no date of the form year-month-day, with or without a time."""
    return pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True).dt.tz_localize(None).to_numpy()


def _name(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def read_csv(path: Path) -> Table:
    """A CSV file with a header line; blank lines are skipped and missing fields at the end of a line are empty."""
    return _collect(path, _csv_records(path), fill=True)


def read_tabs(path: Path) -> Table:
    """A file whose lines, the header's first, have the same number of fields, separated by tabs and never quoted."""
    lines = read_text(path).removesuffix("\n").split("\n")
    return _collect(path, ((number, line.split("\t")) for number, line in enumerate(lines, start=1)), fill=False)


def _csv_records(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The line on which each record begins, and its fields."""
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    line = 1
    try:
        for fields in reader:
            if "".join(fields).strip(" \t") or len(fields) > 1:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        problem = "a quote is opened and never closed" if "end of data" in str(error) else str(error)
        raise line_error(path, line, problem, "fix the line or its quotes") from None


def _collect(path: Path, records: Iterator[tuple[int, list[str]]], fill: bool) -> Table:
    """All columns as str; the first record is the header. Shorter lines are filled up or, without `fill`, refused."""
    _, header = next(records)
    width, lines, cells = len(header), [], []
    for line, fields in records:
        if len(fields) > width or (len(fields) < width and not fill):
            problem = f"{len(fields)} fields instead of {width}"
            raise line_error(path, line, problem, "fix the line, or the header if that is wrong")
        lines.append(line)
        cells += fields + [""] * (width - len(fields))
    frame = pd.DataFrame(np.array(cells, dtype=object).reshape(-1, width), columns=header, dtype=str)
    return Table(frame, path, lines)
