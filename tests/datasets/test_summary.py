"""The numbers that describe a data set, of made-up sequences, the released files and the toy."""

import numpy as np
import pytest
from helpers import authors_file, make_data
from hypothesis import given
from hypothesis import strategies as st

from s3rec_lite.datasets import read_authors, statistics, target_in_history, toy

sequence_lists = st.lists(st.lists(st.integers(1, 9), min_size=3, max_size=12), min_size=1, max_size=6)


@given(sequence_lists, st.integers(1, 6))
def test_statistics_agree_with_counting_by_hand(sequences, max_length):
    found = statistics(make_data(sequences, 9), max_length=max_length)
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
    assert target_in_history(make_data(sequences, 9), "test").tolist() == in_history


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


@pytest.mark.parametrize("column", range(3), ids=["LastFM", "Beauty", "Yelp"])
def test_the_released_files_have_the_printed_numbers(column):
    found = statistics(read_authors(authors_file(f"{('LastFM', 'Beauty', 'Yelp')[column]}.txt")))
    printed = {row[0]: row[1 + column] for row in PRINTED}
    assert {row[0]: round(found[row[0]], row[4]) for row in PRINTED} == printed
    assert set(found) == set(printed)


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
