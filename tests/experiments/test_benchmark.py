"""What a measurement says about itself; how fast the machine is, is nobody's promise."""

import json

import numpy as np
import pytest

from s3rec_lite.datasets import planted, toy
from s3rec_lite.experiments.benchmark import (
    bench_evaluate,
    bench_pretrain,
    cost,
    load_bench_data,
    sports_sized,
    spread_over,
)
from s3rec_lite.support.errors import DataError, SettingError

DATA = planted(num_users=60, num_items=120, length=12)


@pytest.mark.training
def test_pretraining_with_reference_says_everything_in_json():
    record = bench_pretrain(DATA, batches=4, batch_size=20, rounds=2, against="reference")
    assert json.loads(json.dumps(record)) == record
    assert (record["kind"], record["name"]) == ("bench-pretrain", "bench-planted-pretrain")
    assert record["data"]["items"] == 120
    for side in ("fast", "reference"):
        assert len(record[side]["rounds"]) == 2
        assert min(record[side]["rounds"]) <= record[side]["sequences_per_second"] <= max(record[side]["rounds"])
    ratios = [fast / slow for fast, slow in zip(record["fast"]["rounds"], record["reference"]["rounds"], strict=True)]
    assert record["ratio"] == pytest.approx(np.median(ratios), rel=0.05)
    assert 0 < record["fast"]["preparation_share"] < 1
    assert record["fast"]["peak_memory_mib"] > 50  # PyTorch alone is more
    assert {"processor", "threads", "torch"} <= set(record["machine"])


def test_without_reference_there_is_no_ratio():
    record = bench_pretrain(DATA, batches=2, batch_size=20, rounds=1)
    assert "ratio" not in record
    assert "reference" not in record


@pytest.mark.parametrize("wrong", [{"batches": 0}, {"batch_size": 0}, {"rounds": 0}, {"against": "recbole"}])
def test_senseless_settings_are_refused(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong)) if "against" not in wrong else "recbole"):
        bench_pretrain(DATA, **wrong)


@pytest.mark.training
def test_evaluation_reports_both_protocols_and_leaves_out_what_cannot_be():
    record = bench_evaluate(DATA)
    assert record["full"]["users_per_second"] > 0
    assert record["sampled"]["extra_memory_mib"] >= 0
    assert "sampled" not in bench_evaluate(toy())  # 6 items have no 99 negatives


@pytest.mark.parametrize(("count", "available"), [(10, 40), (40, 40), (100, 7), (1, 9)])
def test_chosen_batches_have_the_mix_of_lengths_of_the_epoch(count, available):
    rng = np.random.default_rng(0)
    lengths = np.repeat(np.arange(1, available + 1), 5)
    epoch = [np.flatnonzero(lengths == length) for length in rng.permutation(np.arange(1, available + 1))]
    chosen = spread_over(epoch, lengths, count, rng)
    assert len(chosen) == count
    means = [lengths[indices].mean() for indices in chosen]
    assert np.mean(means) == pytest.approx((available + 1) / 2, rel=0.1)
    if count == available:
        assert sorted(means) == list(range(1, available + 1))


def test_the_sports_sized_world_has_the_size_of_sports():
    data = sports_sized()
    assert (data.num_users, data.num_items, data.num_attributes) == (35_598, 18_357, 2_277)
    assert data.num_interactions / data.num_users == pytest.approx(8.32, rel=0.02)
    training = np.minimum(data.lengths - 2, 50)
    assert training.sum() == pytest.approx(223_464, rel=0.03)  # prefixes
    assert (training * (training + 1)).sum() / 2 / training.sum() == pytest.approx(5.99, rel=0.03)  # their length
    assert data.lengths.min() == 5


def test_bench_data_are_found_by_name():
    assert load_bench_data("sports-sized").name == "sports-sized"
    assert load_bench_data("toy").num_users == 3
    with pytest.raises(DataError, match="did you mean sports"):
        load_bench_data("sprots")


def test_the_cost_of_work_counts_what_is_held_in_between():
    def work():
        block = np.ones(64 * 2**20 // 8)
        block += 1

    seconds, extra_mib = cost(work)
    assert seconds > 0
    assert 50 < extra_mib < 200
