"""SequenceData: the split, the padding, names and fingerprints."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite.data import SequenceData, fingerprint, pad_left
from s3rec_lite.datasets import toy
from s3rec_lite.support.errors import DataError, SettingError

FAST = settings(max_examples=50, deadline=None)

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
