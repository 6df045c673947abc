"""Negative items: from the right candidates, never what is to be avoided, uniform."""

import numpy as np
import pytest
from helpers import make_data, not_by_chance, sequence_data
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite import DataError
from s3rec_lite.datasets import toy
from s3rec_lite.negatives import NegativeItems


@given(sequence_data(), st.sampled_from(["training", "all"]), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_they_avoid_the_users_training_items(data, candidates, seed):
    rng = np.random.default_rng(seed)
    users = rng.integers(data.num_users, size=100)
    drawn = NegativeItems(data, candidates, "training").draw(users, rng)
    trained = data.seen_in_training()
    for user, item in zip(users, drawn, strict=True):
        assert item not in data.sequence(user)[:-2]
        assert 1 <= item <= data.mask_token
        if candidates == "training":
            assert trained[item]


@given(sequence_data(), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_avoiding_everything_avoids_the_held_out_items_too(data, seed):
    rng = np.random.default_rng(seed)
    users = rng.integers(data.num_users, size=100)
    drawn = NegativeItems(data, "all", "everything").draw(users, rng)
    assert all(item not in data.sequence(user) for user, item in zip(users, drawn, strict=True))


def test_avoiding_training_items_alone_does_not_leak_what_is_held_out():
    """If a user's own test item were never drawn, that alone would tell the model what it is."""
    data, rng = toy(), np.random.default_rng(0)
    users = np.repeat(np.arange(data.num_users), 500)
    honest = NegativeItems(data, "training", "training").draw(users, rng)
    leaking = NegativeItems(data, "training", "everything").draw(users, rng)
    for user in range(data.num_users):
        held_out = set(data.sequence(user)[-2:].tolist())
        assert held_out <= set(honest[users == user].tolist())
        assert not held_out & set(leaking[users == user].tolist())


def test_they_are_uniform_over_what_is_allowed():
    data = make_data([[1, 2, 3, 9, 8], [3, 4, 5, 1, 2], [6, 7, 1, 2]], num_items=10)
    users = np.repeat(np.arange(3), 3000)
    for candidates, pool in (("training", range(1, 8)), ("all", range(1, 12))):
        drawn = NegativeItems(data, candidates).draw(users, np.random.default_rng(1))
        for user in range(3):
            allowed = np.zeros(12)
            allowed[list(set(pool) - set(data.sequence(user)[:-2].tolist()))] = 1
            counts = np.bincount(drawn[users == user], minlength=12)
            assert not_by_chance(counts, allowed / allowed.sum() * 3000) < 5


@given(sequence_data(), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_given_ids_are_avoided_in_place_of_the_history(data, seed):
    rng = np.random.default_rng(seed)
    avoid = rng.integers(0, data.num_items + 1, (50, 4))
    drawn = NegativeItems(data, "all").draw(np.zeros(50, dtype=np.int64), rng, avoid=avoid)
    assert not (avoid == drawn[:, None]).any()


@given(sequence_data())
@settings(max_examples=30, deadline=None)
def test_who_has_what(data):
    negatives = NegativeItems(data, "all", "training")
    users, items = np.meshgrid(np.arange(data.num_users), np.arange(data.num_items + 2), indexing="ij")
    table = negatives.taken(users.ravel(), items.ravel()).reshape(users.shape)
    for user in range(data.num_users):
        assert set(np.flatnonzero(table[user])) == set(data.sequence(user)[:-2].tolist())


def test_no_user_no_negative():
    assert len(NegativeItems(toy()).draw(np.array([], dtype=np.int64), np.random.default_rng(0))) == 0


def test_one_seed_gives_one_draw():
    users, negatives = np.repeat([0, 1, 2], 50), NegativeItems(toy())
    first, again, other = (negatives.draw(users, np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_user_who_has_every_candidate_gives_one_clear_line():
    data = make_data([[1, 2, 3, 9, 9], [1, 2, 1, 9, 8]], num_items=9)
    with pytest.raises(DataError, match="user number 1 has .* every one of the 3 candidate items") as caught:
        NegativeItems(data).draw(np.array([1, 0]), np.random.default_rng(0))
    assert "\n" not in str(caught.value)
    assert set(NegativeItems(data).draw(np.array([1] * 20), np.random.default_rng(0))) == {3}


def test_large_id_spaces_do_not_mix_users_up():
    data = make_data([[1, 70_000, 3, 4], [70_000, 70_000, 2, 2]], num_items=70_000)
    negatives = NegativeItems(data, "all")
    users, items = np.array([0, 0, 1, 1, 1]), np.array([1, 70_000, 1, 70_000, 70_001])
    assert negatives.taken(users, items).tolist() == [True, True, False, True, False]
