"""The authors' files: sequences, attributes of the items and, for one data set, sampled negatives."""

import json
import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from s3rec_lite.data import MIN_SEQUENCE, SequenceData
from s3rec_lite.datasets.textfiles import line_error, read_text, shown
from s3rec_lite.support.errors import DataError

_NUM_NEGATIVES = 99
_MAX_ITEM = 10_000_000  # a larger id is a slip or a hash, and would ask for a table of that many rows
_MAX_TABLE_CELLS = 2**32  # item x attribute table, one byte a cell
_SMALL_ID = 100_000  # an item id up to this one is always taken
_MOST_GAPS = 1000  # a larger one is taken up to so many times the interactions: with gaps, but not for a slip
_SMALL_TABLE = 2**26  # cells; a larger table needs something to put into it
_MOST_EMPTY_CELLS = 10_000  # for each item and each tag that the files list
_NUMBER_THEM = "number the {} 1, 2, 3 and so on, or give the data as a .csv table, where ids may be any names"
_NUMBERS = re.compile(  # from the start up to the first word that is not a positive whole number
    r"""(?: [ \n]*+              # blanks,
            (?=0*+[1-9])         # a number above 0
            [0-9]{1,18}+         # that fits int64
            (?![^ \n])           # and ends there,
        )*+ [ \n]*+              # any number of times""",
    re.VERBOSE,
)


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
        DataError: one line that names the file, the line or key, and the fix.
    """
    path = Path(path)
    numbers, widths = _read_number_lines(path)
    firsts = np.cumsum(widths) - widths  # [num_lines], where each line begins in `numbers`
    users, items = numbers[firsts], np.delete(numbers, firsts)
    offsets = np.concatenate([[0], np.cumsum(widths - 1)])
    _check_lines(path, users, items, offsets)

    used = np.zeros(items.max() + 1, dtype=bool)  # by item id
    used[items] = True
    unused = int((~used[1:]).sum())
    if unused:
        hint = f"{path}: {unused} of the ids 1 to {len(used) - 1} occur in no sequence; they stay as items"
        warnings.warn(hint, stacklevel=2)
    attributes, listed = torch.zeros(len(used) + 1, 1, dtype=torch.bool), None
    attributes_path = path.with_name(f"{path.stem}_item2attributes.json")
    if attributes_path.exists() or require_attributes:
        attributes, listed = _read_attributes(attributes_path, used)
    negatives_path = path.with_name(f"{path.stem}_sample.txt")
    return SequenceData(
        name=name or path.stem,
        items=items,
        offsets=offsets,
        attributes=attributes,
        user_tokens=None if np.array_equal(users, np.arange(1, len(users) + 1)) else tuple(map(str, users.tolist())),
        sampled_negatives=_read_negatives(negatives_path, users, len(used) - 1) if negatives_path.exists() else None,
        attribute_tags_listed=listed,
    )


def _read_number_lines(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """The positive whole numbers of a text file, int64 [N], and how many of them each line holds, [num_lines]."""
    text = read_text(path).replace("\t", " ")
    match = _NUMBERS.match(text)
    end = match.end() if match else 0
    if end < len(text):
        word, line = re.split("[ \n]", text[end:], maxsplit=1)[0], text.count("\n", 0, end) + 1
        if word.isascii() and word.isdigit() and word.strip("0"):
            raise line_error(path, line, f"{shown(word)} is too large an id", _NUMBER_THEM.format("users and items"))
        fix = "put whole numbers from 1 on, separated by spaces"
        raise line_error(path, line, f"{shown(word)} is not a positive whole number", fix)
    widths = np.array([len(line.split()) for line in text.removesuffix("\n").split("\n")], dtype=np.int64)
    if not widths.all():
        raise line_error(path, int(np.argmin(widths)) + 1, "the line is empty", "delete it")
    return np.fromstring(text, dtype=np.int64, sep=" "), widths


def _check_lines(path: Path, users: np.ndarray, items: np.ndarray, offsets: np.ndarray) -> None:
    """Raise DataError for a line that is too short, a user with two lines or an item id that is too large."""
    short = np.diff(offsets) < MIN_SEQUENCE
    if short.any():
        line = int(np.argmax(short))
        problem = f"user {users[line]} has {offsets[line + 1] - offsets[line]} items, fewer than {MIN_SEQUENCE}"
        raise line_error(path, line + 1, problem, "delete the line or add the missing items")
    repeated = pd.Series(users).duplicated().to_numpy()
    if repeated.any():
        line = int(np.argmax(repeated))
        problem = f"user {users[line]} was already on line {np.argmax(users == users[line]) + 1}"
        raise line_error(path, line + 1, problem, "keep one line for each user")
    largest = min(_MAX_ITEM, max(_SMALL_ID, _MOST_GAPS * len(items)))
    if items.max() > largest:
        index = int(np.argmax(items > largest))
        line = int(np.searchsorted(offsets, index, side="right"))
        problem = f"item {items[index]} is too large an id for a file of {len(items):,} interactions"
        raise line_error(path, line, problem, _NUMBER_THEM.format("items"))


def _read_attributes(path: Path, used: np.ndarray) -> tuple[torch.Tensor, int]:
    """The bool table [num_items + 2, num_attributes + 1] and the number of tags listed."""
    if not path.exists():
        raise DataError(f"{path}: no such file; put the attributes there, or ask for data without attributes")
    lists: dict[int, list[int]] = {}
    content = _read_json_lists(path)
    listed = int(used.sum()) + sum(map(len, content.values()))
    most_cells = min(_MAX_TABLE_CELLS, max(_SMALL_TABLE, _MOST_EMPTY_CELLS * listed))
    for key, tags in content.items():
        item = int(key) if key.isascii() and key.isdigit() and len(key) < 19 else 0
        if not (item < len(used) and used[item]):
            raise DataError(f"{path}: key {shown(key)}: no such item in the sequences; remove it or fix its id")
        if item in lists:
            raise DataError(f"{path}: key '{item}' is there twice, written differently; keep one of the two")
        for tag in tags:
            if type(tag) is not int or tag < 1:
                fix = "attribute ids are whole numbers from 1 on"
                raise DataError(f"{path}: key {shown(key)}: {shown(tag)} is not an attribute id; {fix}")
            if (len(used) + 1) * (tag + 1) > most_cells:
                fix = _NUMBER_THEM.format("attributes")
                raise DataError(f"{path}: key {shown(key)}: attribute {shown(tag)} asks for too large a table; {fix}")
        lists[item] = tags
    num_attributes = max((max(tags, default=0) for tags in lists.values()), default=0)
    table = torch.zeros(len(used) + 1, num_attributes + 1, dtype=torch.bool)
    for item, tags in lists.items():
        table.numpy()[item, tags] = True
    missing = int(used.sum()) - len(lists)
    if missing:
        warnings.warn(f"{path}: {missing} items have no entry and get no attributes", stacklevel=3)
    return table, sum(map(len, lists.values()))


def _read_json_lists(path: Path) -> dict[str, list]:
    """The content of a file `{"item": [...], ...}`, whatever the lists hold."""

    def without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
        content = dict(pairs)
        if len(content) < len(pairs):
            (key, _), *_ = Counter(key for key, _ in pairs).most_common(1)
            raise DataError(f"{path}: key {shown(key)} is there twice; keep one of the two")
        return content

    fix = 'the file must hold {"item": [attribute ids], ...}'
    try:
        content = json.loads(read_text(path), object_pairs_hook=without_repeats)
    except DataError:
        raise
    except json.JSONDecodeError as error:
        raise line_error(path, error.lineno, f"not JSON ({error.msg})", fix) from None
    except (RecursionError, ValueError) as error:  # nested too deep, or a number of thousands of digits
        raise DataError(f"{path}: not usable as JSON ({type(error).__name__}); {fix}") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}; {fix}")
    for key, value in content.items():
        if not isinstance(value, list):
            raise DataError(f"{path}: key {shown(key)}: not a list of attribute ids; {fix}")
    return content


def _read_negatives(path: Path, users: np.ndarray, num_items: int) -> np.ndarray:
    """Negatives in the order of `users`, int64 [num_users, 99]."""
    numbers, widths = _read_number_lines(path)
    if (widths != 1 + _NUM_NEGATIVES).any():
        line = int(np.argmax(widths != 1 + _NUM_NEGATIVES))
        problem = f"{widths[line] - 1} items after the user instead of {_NUM_NEGATIVES}"
        raise line_error(path, line + 1, problem, f"give {_NUM_NEGATIVES} negatives for each user")
    table = numbers.reshape(-1, 1 + _NUM_NEGATIVES)  # [num_lines, 1 + 99]
    owners, negatives = table[:, 0], table[:, 1:]
    for wrong, problem, fix in (
        (negatives.max(axis=1) > num_items, "item {item} is unknown", f"use ids 1 to {num_items}"),
        (~np.isin(owners, users), "user {user} is not in the sequences", "remove the line"),
        (pd.Series(owners).duplicated().to_numpy(), "user {user} is there twice", "keep one line for each user"),
    ):
        if wrong.any():
            line = int(np.argmax(wrong))
            problem = problem.format(user=owners[line], item=negatives[line].max())
            raise line_error(path, line + 1, problem, fix)
    rows = pd.Index(owners).get_indexer(users)  # [num_users], -1: the user has no line
    if (rows < 0).any():
        user = users[np.argmin(rows)]
        raise DataError(f"{path}: user {user} has no line; give every user a line or delete the file")
    return negatives[rows]
