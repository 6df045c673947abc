"""The planted world: what is announced is what an enumeration and a large sample find."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite.datasets import fingerprint, load_dataset, planted, planted_truth
from s3rec_lite.support.errors import SettingError

worlds = st.fixed_dictionaries(
    {
        "num_items": st.sampled_from([24, 48]),
        "num_groups": st.sampled_from([2, 3]),
        "attributes_per_group": st.sampled_from([2, 4]),
        "attributes_per_item": st.sampled_from([1, 2]),
        "stay": st.sampled_from([0.0, 0.3, 0.8, 1.0]),
        "seed": st.integers(0, 5),
    }
)


def information(joint: np.ndarray) -> float:
    """Mutual information of a table, term by term."""
    joint = joint / joint.sum()
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    return float(sum(p * math.log(p / q) for p, q in zip(joint.flat, independent.flat, strict=True) if p > 0))


@settings(max_examples=30, deadline=None)
@given(worlds)
def test_the_announced_information_is_that_of_the_enumerated_world(world):
    truth, data = planted_truth(**world), planted(num_users=2, length=3, **world)
    n, stay = data.num_items, world["stay"]
    step = np.full((n, n), (1 - stay) / n)  # step[i, j]: probability that item j + 1 follows item i + 1
    step[np.arange(n), truth.successor[1:] - 1] += stay
    assert np.allclose(step.sum(axis=0), 1)  # so the uniform distribution is stationary
    assert information(step) == pytest.approx(truth.item_next)
    around = (step[:, :, None] * step[None]).transpose(1, 0, 2).reshape(n, n * n)
    assert information(around) == pytest.approx(truth.item_neighbours)
    table = data.attributes[1:-1, 1:].numpy().astype(float)
    share = table / table.sum(axis=1, keepdims=True)
    assert information(share) == pytest.approx(truth.item_attribute)
    assert information(step @ share) == pytest.approx(truth.item_next_attribute)
    assert (table.sum(axis=1) == world["attributes_per_item"]).all()
    owners = [set(truth.group[1:][column]) for column in table.T.astype(bool)]
    assert all(len(groups) == 1 for groups in owners)
    assert (truth.group[truth.successor[1:]] == truth.group[1:]).all()


def test_a_large_sample_finds_the_announced_information():
    world = {"num_items": 20, "num_groups": 2, "attributes_per_group": 5, "stay": 0.6, "seed": 3}
    data, truth = planted(num_interactions=1_000_000, length=10, **world), planted_truth(**world)
    assert data.num_interactions == 1_000_000 and data.num_users == 100_000
    walks = data.items.reshape(-1, 10) - 1
    before, after = walks[:, :-1].ravel(), walks[:, 1:].ravel()
    joint = np.bincount(before * 20 + after, minlength=400).reshape(20, 20)
    # 900,000 pairs: the plug-in estimate has a bias of about 0.0002 and a spread of about 0.001
    assert information(joint) == pytest.approx(truth.item_next, abs=0.005)
    assert np.bincount(data.items)[1:] / data.num_interactions == pytest.approx(1 / 20, abs=0.002)
    around = walks[:, 1:-1].ravel() * 400 + walks[:, :-2].ravel() * 20 + walks[:, 2:].ravel()
    joint = np.bincount(around, minlength=8000).reshape(20, 400)
    assert information(joint) == pytest.approx(truth.item_neighbours, abs=0.02)


def test_ids_do_not_give_the_successor_away():
    successor = planted_truth(num_items=1200, num_groups=12).successor
    assert (successor[1:] - np.arange(1, 1201) == 1).sum() < 20


def test_the_world_depends_on_the_seed_and_not_on_the_size_of_the_sample():
    assert fingerprint(planted(seed=1)) == fingerprint(planted(seed=1)) != fingerprint(planted(seed=2))
    assert (planted(num_users=2).attributes == planted(num_users=5).attributes).all()
    data = planted()
    assert (data.num_users, data.num_interactions) == (1000, 20_000)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_groups": 7}, "does not divide"),
        ({"num_groups": 0}, "too small"),
        ({"attributes_per_item": 6}, "above attributes_per_group"),
        ({"attributes_per_group": 3}, "evenly"),
        ({"stay": 1.5}, "not a probability"),
        ({"stay": float("nan")}, "not a probability"),
        ({"length": 2}, "too short"),
        ({"num_users": 0}, "too small"),
    ],
)
def test_settings_that_do_not_fit_are_refused(wrong, message):
    with pytest.raises(SettingError, match=message):
        planted(**wrong)


def test_a_world_of_any_size_is_had_by_name():
    data = load_dataset("planted:300x1000")
    assert (data.name, data.num_users, data.num_items, data.num_interactions) == ("planted-300x1000", 300, 1000, 6000)
    assert fingerprint(load_dataset("planted:1000x120")) == fingerprint(planted())
    for wrong in ("planted:", "planted:10", "planted:10x12", "planted:10x0", "planted:0x50"):
        with pytest.raises(SettingError, match="give"):
            load_dataset(wrong)
