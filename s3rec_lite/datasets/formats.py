"""The authors' three files, read and written; tables.py and csvtables.py hold the rest, re-exported here."""

from __future__ import annotations

import itertools
import json
import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from s3rec_lite.data import MIN_SEQUENCE, SequenceData
from s3rec_lite.datasets.csvtables import read_interactions
from s3rec_lite.datasets.tables import read_recbole, write_recbole
from s3rec_lite.datasets.textfiles import (
    line_error,
    newline_positions,
    read_text,
    shown,
)
from s3rec_lite.support.errors import DataError
from s3rec_lite.support.files import write_bytes

__all__ = ["read_authors", "read_interactions", "read_recbole", "write_authors", "write_recbole"]

MAX_ITEM = 10_000_000  # a larger id is a slip or a hash, and would ask for a table of that many rows
MAX_TABLE_CELLS = 2**32  # item x attribute table, one byte a cell
TOO_LONG_NUMBER = re.compile(rb"\d{19}")  # would overflow int64


def read_authors(path: str | Path, *, require_attributes: bool = True, name: str | None = None) -> SequenceData:
    """Read `X.txt` with `X_item2attributes.json` and, if it is there, `X_sample.txt` beside it.

    Item and attribute ids are used as they are, and `num_items` is the largest item id. Ids below it that no
    user has are kept as items without interactions (a warning counts them). Items that the json file lacks
    get no attribute (a warning counts them).

    Args:
        path: the sequence file; a line is a user id, then item ids in time order, separated by spaces.
        require_attributes: if False, a missing json file means a data set without attributes.
        name: name of the data set; the file's stem if not given.

    Raises:
        DataError: one line that names the file, the line or key, and the mend.
    """
    path = Path(path)
    numbers, first, last = _read_number_lines(path)
    users = numbers[first]
    _check_users(path, users, last - first)
    items = np.delete(numbers, first)
    offsets = np.concatenate([[0], np.cumsum(last - first - 1)])
    _check_item_range(path, items, offsets)
    used = np.zeros(int(items.max()) + 1, dtype=bool)
    used[items] = True
    unused = int((~used[1:]).sum())
    if unused:
        hint = f"{path}: {unused} of the ids 1 to {len(used) - 1} occur in no sequence; they stay as items"
        warnings.warn(hint, stacklevel=2)
    attributes, listed = _read_attributes(beside(path, "_item2attributes.json"), used, require_attributes)
    return SequenceData(
        name=name or path.stem,
        items=items,
        offsets=offsets,
        attributes=attributes,
        user_tokens=_user_tokens(users),
        sampled_negatives=_read_negatives(beside(path, "_sample.txt"), users, len(used) - 1),
        attribute_tags_listed=listed,
    )


def beside(path: Path, ending: str) -> Path:
    """The file that belongs to `X.txt`: X with another ending."""
    return path.with_name(path.stem + ending)


def _user_tokens(users: np.ndarray) -> tuple[str, ...] | None:
    if np.array_equal(users, np.arange(1, len(users) + 1)):
        return None
    return tuple(map(str, users.tolist()))


def _read_number_lines(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positive whole numbers of a text file, and the range [first, last) of them that each line holds."""
    text = read_text(path).replace(b"\t", b" ")
    if text.translate(None, b"0123456789 \n") or TOO_LONG_NUMBER.search(text):
        raise _find_bad_line(path, text)
    codes = np.frombuffer(text, dtype=np.uint8)
    is_digit = codes > 32  # only digits are left above the blank
    starts = np.flatnonzero(is_digit & ~np.concatenate([[False], is_digit[:-1]]))  # [num_numbers]
    last = np.searchsorted(starts, newline_positions(text))  # [num_lines]
    first = np.concatenate([[0], last[:-1]])
    if (first == last).any():
        line = int(np.argmax(first == last)) + 1
        raise line_error(path, line, "the line is empty", "delete it")
    numbers = np.fromstring(text, dtype=np.int64, sep=" ")
    if (numbers < 1).any():
        raise _find_bad_line(path, text)
    return numbers, first, last


def _find_bad_line(path: Path, text: bytes) -> DataError:
    """The error for the first word that is not a positive whole number; slow, for when there is one."""
    for line, words in enumerate(text.decode("utf-8").split("\n"), start=1):
        for word in words.split(" "):
            if word and not (word.isascii() and word.isdigit() and len(word) < 19 and int(word) > 0):
                mend = "put whole numbers from 1 on, separated by spaces"
                return line_error(path, line, f"{shown(word)} is not a positive whole number", mend)
    raise AssertionError("no bad word found")  # pragma: no cover


def _check_users(path: Path, users: np.ndarray, widths: np.ndarray) -> None:
    if (widths <= MIN_SEQUENCE).any():
        line = int(np.argmax(widths <= MIN_SEQUENCE))
        what = f"user {users[line]} has {widths[line] - 1} items, fewer than {MIN_SEQUENCE}"
        raise line_error(path, line + 1, what, "delete the line or add the missing items")
    _, index, inverse = np.unique(users, return_index=True, return_inverse=True)
    again = index[inverse] != np.arange(len(users))
    if again.any():
        line = int(np.argmax(again))
        what = f"user {users[line]} was already on line {index[inverse][line] + 1}"
        raise line_error(path, line + 1, what, "keep one line for each user")


def _check_item_range(path: Path, items: np.ndarray, offsets: np.ndarray) -> None:
    if items.max() > MAX_ITEM:
        where = int(np.argmax(items > MAX_ITEM))
        line = int(np.searchsorted(offsets, where, side="right"))
        raise line_error(path, line, f"item {items[where]} is above {MAX_ITEM}", "number the items from 1 on")


# --- attributes -------------------------------------------------------------------------------------------


def _read_attributes(path: Path, used: np.ndarray, required: bool) -> tuple[torch.Tensor, int | None]:
    """The bool table [num_items + 2, num_attributes + 1] and the number of tags listed."""
    if not path.exists() and not required:
        return torch.zeros(len(used) + 1, 1, dtype=torch.bool), None
    if not path.exists():
        raise DataError(f"{path}: no such file; put the attributes there, or ask for data without attributes")
    lists = _read_attribute_json(path)
    ids = _item_ids(path, lists, used)  # [num_keys]
    counts = np.fromiter(map(len, lists.values()), dtype=np.int64, count=len(lists))  # [num_keys]
    tags = _attribute_ids(path, lists)  # [num_tags]
    num_attributes = int(tags.max(initial=0))
    if (len(used) + 1) * (num_attributes + 1) > MAX_TABLE_CELLS:
        key = list(lists)[int(np.searchsorted(np.cumsum(counts), np.argmax(tags), side="right"))]
        mend = "number the attributes from 1 on"
        raise DataError(f"{path}: key {shown(key)}: attribute {num_attributes} asks for too large a table; {mend}")
    table = torch.zeros(len(used) + 1, num_attributes + 1, dtype=torch.bool)
    table.numpy()[np.repeat(ids, counts), tags] = True
    missing = int(used.sum()) - len(ids)
    if missing:
        warnings.warn(f"{path}: {missing} items have no entry and get no attributes", stacklevel=3)
    return table, len(tags)


def _read_attribute_json(path: Path) -> dict[str, list]:
    def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
        content = dict(pairs)
        if len(content) < len(pairs):
            again, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            raise DataError(f"{path}: key {shown(again)} is there twice; keep one of the two")
        return content

    mend = 'the file must hold {"item": [attribute ids], ...}'
    try:
        content = json.loads(read_text(path), object_pairs_hook=without_repeats)
    except json.JSONDecodeError as error:
        raise line_error(path, error.lineno, f"not JSON ({error.msg})", mend) from None
    except DataError:
        raise
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of thousands of digits
        raise DataError(f"{path}: not usable as JSON ({type(error).__name__}); {mend}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}; {mend}")
    wrong = next((key for key, value in content.items() if not isinstance(value, list)), None)
    if wrong is not None:
        raise DataError(f"{path}: key {shown(wrong)}: not a list of attribute ids; {mend}")
    return content


def _item_ids(path: Path, lists: dict[str, list], used: np.ndarray) -> np.ndarray:
    for key in lists:
        if not (key.isascii() and key.isdigit() and len(key) < 19 and int(key) < len(used) and used[int(key)]):
            raise DataError(f"{path}: key {shown(key)}: no such item in the sequences; remove it or mend its id")
    ids = np.fromiter(map(int, lists), dtype=np.int64, count=len(lists))
    values, counts = np.unique(ids, return_counts=True)
    if len(values) < len(ids):
        again = values[counts > 1][0]
        raise DataError(f"{path}: key '{again}' is there twice, written differently; keep one of the two")
    return ids


def _attribute_ids(path: Path, lists: dict[str, list]) -> np.ndarray:
    flat = list(itertools.chain.from_iterable(lists.values()))
    if set(map(type, flat)) <= {int} and min(flat, default=1) > 0 and max(flat, default=1) < MAX_TABLE_CELLS:
        return np.array(flat, dtype=np.int64)
    for key, tags in lists.items():
        for tag in tags:
            if type(tag) is not int or not 0 < tag < MAX_TABLE_CELLS:
                mend = "attribute ids are whole numbers from 1 on"
                raise DataError(f"{path}: key {shown(key)}: {shown(tag)} is not an attribute id; {mend}")
    raise AssertionError("no bad attribute found")  # pragma: no cover


# --- negatives --------------------------------------------------------------------------------------------


def _read_negatives(path: Path, users: np.ndarray, num_items: int) -> np.ndarray | None:
    """Negatives in the order of `users`, int64 [num_users, 99], or None if there is no such file."""
    if not path.exists():
        return None
    numbers, first, last = _read_number_lines(path)
    if (last - first != 100).any():
        line = int(np.argmax(last - first != 100))
        what = f"{last[line] - first[line] - 1} items after the user instead of 99"
        raise line_error(path, line + 1, what, "give 99 negatives for each user")
    table = numbers.reshape(-1, 100)  # [num_lines, 1 + 99]
    if (table[:, 1:] > num_items).any():
        line = int(np.argmax((table[:, 1:] > num_items).any(axis=1)))
        raise line_error(path, line + 1, f"item {table[line, 1:].max()} is unknown", f"use ids 1 to {num_items}")
    unknown = ~np.isin(table[:, 0], users)
    if unknown.any():
        line = int(np.argmax(unknown))
        raise line_error(path, line + 1, f"user {table[line, 0]} is not in the sequences", "remove the line")
    order = np.argsort(table[:, 0], kind="stable")
    ordered = table[order, 0]
    if (ordered[1:] == ordered[:-1]).any():
        line = int(order[1:][ordered[1:] == ordered[:-1]].min())
        raise line_error(path, line + 1, f"user {table[line, 0]} is there twice", "keep one line for each user")
    if len(table) < len(users):
        absent = users[~np.isin(users, ordered)][0]
        raise DataError(f"{path}: user {absent} has no line; give every user a line or delete the file")
    return np.ascontiguousarray(table[order[np.searchsorted(ordered, users)], 1:])


# --- writing ----------------------------------------------------------------------------------------------


def write_authors(data: SequenceData, folder: str | Path) -> Path:
    """Write `X.txt`, `X_item2attributes.json` and, if there are negatives, `X_sample.txt`; X is `data.name`.

    Names of items and attributes are lost, because the format holds ids only; user names are kept if all of
    them are positive whole numbers. Each attribute is listed once.

    Returns:
        Path of `X.txt`.

    Raises:
        DataError: if the folder cannot be written.
    """
    path = Path(folder) / f"{data.name}.txt"
    users = _numeric_users(data)
    rows, columns = np.nonzero(data.attributes[1:-1].numpy())
    bounds = np.searchsorted(rows, np.arange(data.num_items + 1)).tolist()
    tags = columns.tolist()
    used = np.unique(data.items).tolist()
    lists = {str(item): tags[bounds[item - 1] : bounds[item]] for item in used}
    write_bytes(beside(path, "_item2attributes.json"), json.dumps(lists).encode())
    negatives = beside(path, "_sample.txt")
    if data.sampled_negatives is not None:
        ends = np.arange(data.num_users + 1) * 99
        write_bytes(negatives, _number_lines(users, data.sampled_negatives.ravel(), ends))
    else:
        negatives.unlink(missing_ok=True)  # one of another data set would be taken for this one's
    write_bytes(path, _number_lines(users, data.items, data.offsets))
    return path


def _numeric_users(data: SequenceData) -> list[str]:
    tokens = data.user_tokens or ()
    plain = all(t.isascii() and t.isdigit() and t[0] != "0" and len(t) < 19 for t in tokens)
    return list(tokens) if tokens and plain else [str(user) for user in range(1, data.num_users + 1)]


def _number_lines(users: list[str], items: np.ndarray, offsets: np.ndarray) -> bytes:
    words, bounds = list(map(str, items.tolist())), offsets.tolist()
    lines = (
        f"{user} {' '.join(words[start:end])}\n" for user, start, end in zip(users, bounds, bounds[1:], strict=False)
    )
    return "".join(lines).encode()
