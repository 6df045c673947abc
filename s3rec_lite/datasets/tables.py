"""Tables of text from CSV files, tab-separated files and DataFrames; an error names the line of a row."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from s3rec_lite.datasets.textfiles import line_error, listing, read_content, shown
from s3rec_lite.support.errors import DataError

_ROWS = 2**20  # that are read at once
_BYTES = 2**24  # of a file that are looked through at once
_Records = Iterator[tuple[int, list[str]]]
"""the line on which each record begins, and its fields; the header is the first record"""


class Table:
    """A DataFrame and where its rows come from.

    Args:
        frame: the rows.
        path: the file that they were read from; None for a DataFrame of the user.
        records: reads the file's records again, to find the line of a row.
    """

    def __init__(
        self, frame: pd.DataFrame, path: Path | None = None, records: Callable[[], _Records] | None = None
    ) -> None:
        self.frame, self.path, self.records = frame.reset_index(drop=True), path, records
        if frame.empty:
            raise DataError(f"{path or 'DataFrame'}: there is no row; put the data there again")

    def error(self, row: int | None, problem: str, fix: str) -> DataError:
        """The error for a row (from 0), or for the header if `row` is None."""
        if self.path is not None and self.records is not None:
            line = 1 if row is None else next(islice(self.records(), row + 1, None))[0]
            return line_error(self.path, line, problem, fix)
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
        codes: np.ndarray = np.arange(len(values))
        if isinstance(values.dtype, pd.CategoricalDtype) and len(values.cat.categories):
            codes, values = values.cat.codes.to_numpy(), pd.Series(values.cat.categories)
        return missing | (values.astype(str).str.strip() == "").to_numpy(dtype=bool)[codes]

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
        """The column as categories of str; whole numbers kept as floats (as pandas does beside gaps) lose their .0."""
        codes, distinct = pd.factorize(self.frame[column], use_na_sentinel=False)
        return _coded([codes], [np.array([_name(value) for value in distinct], dtype=object)])

    def times(self, column: str) -> np.ndarray:
        """Sortable times, [N]: numbers as they are, dates as ticks since 1970."""
        self.refuse_missing(column)
        codes, values = None, self.frame[column]
        if isinstance(values.dtype, pd.CategoricalDtype):  # each distinct time once, in the order of the rows
            codes, distinct = pd.factorize(values)
            values = pd.Series(np.asarray(distinct))
        times, bad = _read_times(values)
        if bad is not None:
            row = bad if codes is None else int(np.argmax(codes == bad))
            problem = f"{column} {shown(values.iloc[bad])} cannot be read as a time"
            raise self.error(row, problem, "write a number or a date such as 2020-08-17 12:30:00")
        return times if codes is None else times[codes]


def _read_times(values: pd.Series) -> tuple[np.ndarray, int | None]:
    """Sortable times [N], and the first place that holds none."""
    if pd.api.types.is_datetime64_any_dtype(values):
        return _dates(values).astype(np.int64), None
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=None, na_value=np.nan)
    finite = np.isfinite(numbers.astype(np.float64))
    if finite.all():
        return numbers, None
    dates = _dates(values.astype(str))
    if np.isnat(dates).any():
        neither = np.isnat(dates) & ~finite
        return dates, int(np.argmax(neither if neither.any() else np.isnat(dates)))
    return dates.astype(np.int64), None


def _dates(values: pd.Series) -> np.ndarray:
    """datetime64 [N], NaT where a value is no date of the form year-month-day, with or without a time."""
    return pd.to_datetime(values, errors="coerce", format="ISO8601", utc=True).dt.tz_localize(None).to_numpy()


def _name(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def read_csv(path: Path) -> Table:
    """A CSV file with a header line; blank lines are skipped and missing fields at the end of a line are empty."""
    content = read_content(path)
    return _collect(path, content, ",", partial(_csv_records, path, content), fill=True)


def read_tabs(path: Path) -> Table:
    """A file whose lines, the header's first, have the same number of fields, separated by tabs and never quoted."""
    content = read_content(path)
    return _collect(path, content, "\t", partial(_tab_records, content), fill=False)


def _csv_records(path: Path, content: bytes) -> _Records:
    reader = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8", newline=""), strict=True)
    line = 1
    try:
        for fields in reader:
            if "".join(fields).strip(" \t") or len(fields) > 1:
                yield line, fields
            line = reader.line_num + 1
    except csv.Error as error:
        problem = "a quote is opened and never closed" if "end of data" in str(error) else str(error)
        raise line_error(path, line, problem, "fix the line or its quotes") from None


def _tab_records(content: bytes) -> _Records:
    for number, line in enumerate(io.BytesIO(content), start=1):
        yield number, line.decode().removesuffix("\n").split("\t")


def _collect(path: Path, content: bytes, separator: str, records: Callable[[], _Records], fill: bool) -> Table:
    """All columns as categories of str. Shorter lines are filled up or, without `fill`, refused."""
    line, header = next(records())
    width = len(header)
    chunks: Iterable[pd.DataFrame] = _read_slowly(path, records(), width, fill)
    if _is_simple(content, separator, width, fill):
        chunks = pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            header=None,
            names=range(width),
            index_col=False,
            skiprows=line,
            skip_blank_lines=fill,
            dtype=str,
            na_filter=False,
            quoting=csv.QUOTE_MINIMAL if separator == "," else csv.QUOTE_NONE,
            chunksize=_ROWS,
        )
    columns = [_Column() for _ in header]
    for chunk in chunks:
        for number, column in enumerate(columns):
            column.add(chunk[number])
    frame = pd.DataFrame({number: column.whole() for number, column in enumerate(columns)})
    frame.columns = pd.Index(header)
    return Table(frame, path, records)


def _is_simple(content: bytes, separator: str, width: int, fill: bool) -> bool:
    """Whether there are rows, quotes only around whole fields, and as many fields in a line as there may be."""
    if width < 2 or content.count(b"\n") < 2:
        return False
    begin, least = 0, 0 if fill else width - 1
    while begin < len(content):
        end = content.index(b"\n", min(begin + _BYTES, len(content) - 1)) + 1
        block = np.frombuffer(content, np.uint8, end - begin, begin)
        newlines, separators = np.flatnonzero(block == ord("\n")), np.flatnonzero(block == ord(separator))
        quotes = np.flatnonzero(block == ord('"')) if separator == "," else newlines[:0]
        if len(quotes):
            around = block[np.append(quotes[::2] - 1, quotes[1::2] + 1)]  # -1: the newline at the end
            within = [np.searchsorted(quotes, places) % 2 == 1 for places in (newlines, separators)]
            if within[0].any() or not np.isin(around, [ord("\n"), ord(separator)]).all():
                return False
            separators, least = separators[~within[1]], max(least, 1)  # a line of nothing but "" is skipped
        counts = np.diff(np.searchsorted(separators, newlines), prepend=0)  # of separators in each line
        if counts.min() < least or counts.max() >= width:
            return False
        begin = end
    return True


def _read_slowly(path: Path, records: _Records, width: int, fill: bool) -> Iterator[pd.DataFrame]:
    """The rows of any table; DataError for the first line that is broken."""
    next(records)  # the header
    cells: list[str] = []
    for line, fields in records:
        if len(fields) > width or (len(fields) < width and not fill):
            problem = f"{len(fields)} fields instead of {width}"
            raise line_error(path, line, problem, "fix the line, or the header if that is wrong")
        cells += fields + [""] * (width - len(fields))
        if len(cells) >= _ROWS * width:
            yield pd.DataFrame(np.array(cells, dtype=object).reshape(-1, width), dtype=str)
            cells = []
    if cells:
        yield pd.DataFrame(np.array(cells, dtype=object).reshape(-1, width), dtype=str)


class _Column:
    """A column of str that grows by chunks; it is kept as categories, or plain where nearly every value is new."""

    def __init__(self) -> None:
        self.codes: list[np.ndarray] = []  # of each chunk, into its own distinct values
        self.distinct: list[np.ndarray] = []
        self.plain: list[np.ndarray] = []

    def add(self, values: pd.Series) -> None:
        """Take the values of the next rows."""
        if not self.plain:
            codes, distinct = pd.factorize(values)
        if self.plain or (not self.codes and len(codes) == _ROWS and len(distinct) > 0.9 * _ROWS):
            self.plain.append(np.asarray(values, dtype=object))
        else:
            self.codes.append(codes.astype(np.int32))
            self.distinct.append(np.asarray(distinct, dtype=object))

    def whole(self) -> pd.Series:
        """All rows; categories are in the order of their first rows."""
        if self.plain or not self.codes:
            return pd.Series(np.concatenate([np.zeros(0, dtype=object), *self.plain]), dtype=str)
        return _coded(self.codes, self.distinct)


def _coded(codes: list[np.ndarray], names: list[np.ndarray]) -> pd.Series:
    """Parts of a column, each as codes into names of its own, as one column of categories."""
    places, distinct = pd.factorize(np.concatenate(names))  # a name may be there several times
    cuts = np.cumsum([len(part) for part in names])[:-1]
    rows = np.concatenate([part[of_rows] for part, of_rows in zip(np.split(places, cuts), codes, strict=True)])
    return pd.Series(pd.Categorical.from_codes(rows, pd.Index(distinct), validate=False))
