"""Parts of a data set: the k-core filter and a choice of users."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3rec_lite.datasets import k_core, planted, take_users, toy
from s3rec_lite.support.errors import DataError


def naive_core(pairs: list[tuple[int, int]], k: int) -> list[int]:
    rows = list(range(len(pairs)))
    while True:
        users = Counter(pairs[row][0] for row in rows)
        items = Counter(pairs[row][1] for row in rows)
        kept = [row for row in rows if users[pairs[row][0]] >= k and items[pairs[row][1]] >= k]
        if kept == rows:
            return rows
        rows = kept


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=50), st.integers(0, 4))
def test_k_core_removes_users_and_items_until_nothing_changes(pairs, k):
    frame = pd.DataFrame(pairs, columns=["user", "item"]).astype(str)
    frame["time"] = range(len(frame))
    assert k_core(frame, k)["time"].tolist() == naive_core(pairs, k)


def test_taking_users_keeps_their_sequences_and_all_items():
    world = planted(num_users=240, num_items=40, length=12, num_groups=8, seed=3)
    some = take_users(world, np.array([5, 0, 17]))
    assert some.num_items == world.num_items
    assert [some.sequence(user).tolist() for user in range(3)] == [world.sequence(user).tolist() for user in (5, 0, 17)]
    drawn = take_users(world, 30, seed=1)
    assert drawn.num_users == 30
    assert np.array_equal(drawn.items, take_users(world, 30, seed=1).items)
    assert not np.array_equal(drawn.items, take_users(world, 30, seed=2).items)


def test_taking_more_users_than_there_are_is_refused():
    with pytest.raises(DataError, match="has 3 users; 4 cannot be taken"):
        take_users(toy(), 4)
