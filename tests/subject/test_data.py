"""SequenceData: the split, the padding, the k-core filter and the numbers that describe a data set."""

import dataclasses
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite.datasets import (
    SequenceData,
    fingerprint,
    k_core,
    pad_left,
    read_authors,
    statistics,
    target_in_history,
    toy,
)
from s3rec_lite.support.errors import DataError, SettingError

FAST = settings(max_examples=50, deadline=None)
MIRROR = os.environ.get("S3REC_MIRROR", "")

sequence_lists = st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=12), min_size=1, max_size=6)


def make(sequences: list[list[int]], num_items: int = 9, num_attributes: int = 3) -> SequenceData:
    attributes = torch.zeros(num_items + 2, num_attributes + 1, dtype=torch.bool)
    attributes[1:-1, 1] = True
    return SequenceData(
        name="made",
        items=np.concatenate(sequences).astype(np.int64),
        offsets=np.cumsum([0, *map(len, sequences)]).astype(np.int64),
        attributes=attributes,
    )


@FAST
@given(sequence_lists)
def test_leave_one_out_is_the_same_as_slicing_lists(sequences):
    data = make(sequences)
    assert (data.num_users, data.num_interactions) == (len(sequences), sum(map(len, sequences)))
    assert data.lengths.tolist() == [len(s) for s in sequences]
    assert data.targets("valid").tolist() == [s[-2] for s in sequences]
    assert data.targets("test").tolist() == [s[-1] for s in sequences]
    for user, items in enumerate(sequences):
        assert data.sequence(user).tolist() == items
        assert data.history(user, "train").tolist() == items[:-2]
        assert data.history(user, "valid").tolist() == items[:-2]
        assert data.history(user, "test").tolist() == items[:-1]
    trained = {item for items in sequences for item in items[:-2]}
    assert set(np.flatnonzero(data.seen_in_training())) == trained
    assert data.seen_in_training().shape == (data.num_items + 2,)


@FAST
@given(sequence_lists, st.integers(1, 15), st.sampled_from(["train", "test"]))
def test_pad_left_keeps_the_last_items_and_fills_with_zero_on_the_left(sequences, length, split):
    data = make(sequences)
    padded = pad_left(data.items, data.offsets[:-1], data.history_ends(split), length)
    for row, items in zip(padded.tolist(), sequences, strict=True):
        kept = items[: -2 if split == "train" else -1][-length:]
        assert row == [0] * (length - len(kept)) + kept


def test_pad_left_of_an_empty_range_is_all_padding():
    assert pad_left(np.arange(1, 5), np.array([2]), np.array([2]), 3).tolist() == [[0, 0, 0]]
    assert pad_left(np.zeros(0, np.int64), np.array([0]), np.array([0]), 2).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"items": np.array([1, 2, 10])}, "item ids run from 1 to 10"),
        ({"items": np.array([0, 2, 3])}, "item ids run from 0 to 3"),
        ({"items": np.array([1, 2, 3], dtype=np.int32)}, "int64"),
        ({"offsets": np.array([0, 2])}, "offsets must run from 0 to 3"),
        ({"offsets": np.array([0, 4, 3])}, "offsets fall after user index 1"),
        ({"offsets": np.array([0, 2, 3])}, "user index 0 has 2 interactions"),
        ({"offsets": np.array([0])}, "there is no user"),
        ({"attributes": torch.zeros(11, 4)}, "bool"),
        ({"attributes": torch.ones(11, 4, dtype=torch.bool)}, "must be False throughout"),
        ({"item_titles": ("one",)}, "item_titles has 1 entries, but 9"),
        ({"item_tokens": ("same",) * 9}, "twice"),
        ({"sampled_negatives": np.ones((1, 98), dtype=np.int64)}, "sampled_negatives must be"),
        ({"sampled_negatives": np.full((1, 99), 10)}, "outside 1 to 9"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    with pytest.raises(DataError, match=message) as caught:
        dataclasses.replace(make([[1, 2, 3]]), **change)
    assert "\n" not in str(caught.value)


def test_wrong_splits_users_and_items_are_refused():
    data = toy()
    for call in (lambda: data.history_ends("dev"), lambda: data.targets("train")):
        with pytest.raises(SettingError, match="is not one of"):
            call()
    for call in (lambda: data.sequence(3), lambda: data.history(-1, "test"), lambda: data.title(7)):
        with pytest.raises(DataError, match=r"no (user|item)"):
            call()


def test_names_lead_to_ids_and_back():
    plain = make([[1, 2, 3]])
    assert plain.item_id("9") == plain.item_id(9) == 9
    assert plain.title(4) == "4"
    for wrong in ("0", "10", "x", "-1", "9" * 5000):
        with pytest.raises(DataError, match="item ids are 1 to 9"):
            plain.item_id(wrong)
    named = dataclasses.replace(plain, item_tokens=tuple("abcdefghi"), item_titles=("Alpha", *[""] * 8), name="named")
    assert [named.title(named.item_id(token)) for token in "ab"] == ["Alpha", "b"]
    with pytest.raises(DataError, match="no item '1'"):
        named.item_id(1)


def test_the_fingerprint_changes_with_the_data_and_not_with_the_names():
    data = toy()
    assert fingerprint(data) == fingerprint(dataclasses.replace(data, name="other", item_titles=None))
    items = data.items.copy()
    items[0] = 5
    offsets = data.offsets.copy()
    offsets[1] = 6
    attributes = data.attributes.clone()
    attributes[1, 2] = True
    wider = torch.nn.functional.pad(data.attributes, (0, 1))
    changed = [{"items": items}, {"offsets": offsets}, {"attributes": attributes}]
    changed.append({"attributes": wider, "attribute_names": None})
    prints = {fingerprint(dataclasses.replace(data, **change)) for change in changed}
    assert len(prints | {fingerprint(data)}) == 5


# --- k-core ---------------------------------------------------------------------------------------------


def naive_core(pairs: list[tuple[int, int]], k: int) -> list[int]:
    rows = list(range(len(pairs)))
    while True:
        users = Counter(pairs[row][0] for row in rows)
        items = Counter(pairs[row][1] for row in rows)
        kept = [row for row in rows if users[pairs[row][0]] >= k and items[pairs[row][1]] >= k]
        if kept == rows:
            return rows
        rows = kept


@FAST
@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=50), st.integers(0, 4))
def test_k_core_removes_users_and_items_until_nothing_changes(pairs, k):
    frame = pd.DataFrame(pairs, columns=["user", "item"]).astype(str)
    frame["time"] = range(len(frame))
    assert k_core(frame, k)["time"].tolist() == naive_core(pairs, k)


# --- statistics -----------------------------------------------------------------------------------------


@FAST
@given(sequence_lists, st.integers(1, 6))
def test_statistics_agree_with_counting_by_hand(sequences, max_length):
    found = statistics(make(sequences), max_length=max_length)
    training = {item for s in sequences for item in s[:-2]}
    prefixes = [n for s in sequences for n in range(1, len(s[:-2][-max_length:]) + 1)]
    expected = {
        "longest_sequence": max(map(len, sequences)),
        "shortest_sequence": min(map(len, sequences)),
        "users_with_exactly_5_actions": sum(len(s) == 5 for s in sequences),
        "users_longer_than_max_length": sum(len(s) - 2 > max_length for s in sequences),
        "users_with_a_repeated_item": sum(len(set(s)) < len(s) for s in sequences),
        "test_item_already_in_history": sum(s[-1] in s[:-1] for s in sequences),
        "valid_item_already_in_history": sum(s[-2] in s[:-2] for s in sequences),
        "test_items_never_in_training": sum(s[-1] not in training for s in sequences),
        "valid_items_never_in_training": sum(s[-2] not in training for s in sequences),
        "pretraining_prefixes": len(prefixes),
        "mean_prefix_length": pytest.approx(np.mean(prefixes)),
        "share_of_prefixes_of_length_1": pytest.approx(prefixes.count(1) / len(prefixes)),
    }
    assert {name: found[name] for name in expected} == expected
    assert np.isnan(found["attributes_per_item_listed"])
    in_history = [s[-1] in s[:-1] for s in sequences]
    assert target_in_history(make(sequences), "test").tolist() == in_history


# One row of the published description of each released file: name, then LastFM, Beauty, Yelp, then decimals.
PRINTED = [
    ("users", 1090, 22363, 30431, 0),
    ("items", 3646, 12101, 20033, 0),
    ("actions", 52551, 198502, 316354, 0),
    ("actions_per_user", 48.21, 8.88, 10.40, 2),
    ("actions_per_item", 14.41, 16.40, 15.79, 2),
    ("sparsity_percent", 98.678, 99.927, 99.948, 3),
    ("attributes", 388, 637, 1001, 0),
    ("attributes_per_item_listed", 31.52, 3.72, 4.84, 2),
    ("attributes_per_item_distinct", 12.45, 3.72, 4.84, 2),
    ("longest_sequence", 899, 204, 350, 0),
    ("shortest_sequence", 5, 5, 5, 0),
    ("users_with_exactly_5_actions", 79, 7162, 8076, 0),
    ("users_longer_than_max_length", 257, 136, 316, 0),
    ("users_with_a_repeated_item", 0, 0, 7102, 0),
    ("test_item_already_in_history", 0, 0, 2027, 0),
    ("valid_item_already_in_history", 0, 0, 1640, 0),
    ("test_items_never_in_training", 2, 138, 73, 0),
    ("valid_items_never_in_training", 3, 51, 27, 0),
    ("items_with_no_attribute", 0, 0, 1, 0),
    ("pretraining_prefixes", 25726, 150258, 247854, 0),
    ("mean_prefix_length", 19.41, 7.15, 8.82, 2),
    ("share_of_prefixes_of_length_1", 0.042, 0.149, 0.123, 3),
    ("positive_share_of_attribute_target_percent", 3.20, 0.58, 0.48, 2),
]


@pytest.mark.skipif(not MIRROR, reason="S3REC_MIRROR names no folder with the authors' files")
@pytest.mark.parametrize("column", range(3), ids=["LastFM", "Beauty", "Yelp"])
def test_the_released_files_have_the_printed_numbers(column):
    found = statistics(read_authors(Path(MIRROR) / f"{('LastFM', 'Beauty', 'Yelp')[column]}.txt"))
    printed = {row[0]: row[1 + column] for row in PRINTED}
    assert {row[0]: round(found[row[0]], row[4]) for row in PRINTED} == printed
    assert set(found) == set(printed)


# --- the toy --------------------------------------------------------------------------------------------


def test_the_toy_keeps_what_its_description_promises():
    data = toy()
    assert (data.num_users, data.num_items, data.num_attributes) == (3, 6, 4)
    assert data.lengths.tolist() == [5, 6, 7]
    per_attribute = data.attributes[:, 1:].sum(dim=0)
    assert ((per_attribute >= 2) & (per_attribute <= 4)).all()
    per_item = data.attributes[1:-1].sum(dim=1)
    assert per_item.min() == 1 and per_item.max() > 1
    assert data.seen_in_training()[1:-1].all()
    assert not target_in_history(data, "test").any() and not target_in_history(data, "valid").any()
    assert all(len(set(data.sequence(user))) < data.num_items for user in range(3))
    assert data.title(1) == "A Cat on Mars"
