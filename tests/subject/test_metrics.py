"""Metrics by hand, against brute force over all orders of the ties, and against torchmetrics."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.retrieval import RetrievalHitRate, RetrievalMRR, RetrievalNormalizedDCG

from s3rec_lite.experiments.comparisons import compare
from s3rec_lite.experiments.reports import Report
from s3rec_lite.experiments.statistics import bootstrap_means, ndcg_feasible, sign_flip_p_value
from s3rec_lite.metrics import Ranks, chance, expected_metric, metric_names
from s3rec_lite.support.errors import SettingError
from s3rec_lite.support.fast import count_above

METRICS = ("HR@1", "HR@2", "HR@5", "NDCG@2", "NDCG@5", "MRR", "MRR@2")

# Rows of the published tables, (HR@5, NDCG@5, HR@10, NDCG@10): S3-Rec with 99 negatives, then fully ranked.
S3REC_ROWS = {
    "Meituan, 99": (0.4925, 0.3527, 0.6368, 0.3994),
    "Beauty, 99": (0.4502, 0.3407, 0.5506, 0.3732),
    "Sports, 99": (0.4267, 0.3104, 0.5614, 0.3538),
    "Toys, 99": (0.4420, 0.3270, 0.5530, 0.3629),
    "Yelp, 99": (0.6085, 0.4401, 0.7725, 0.4934),
    "LastFM, 99": (0.4523, 0.3156, 0.5835, 0.3583),
    "Meituan, full": (0.0256, 0.0163, 0.0449, 0.0225),
    "Beauty, full": (0.0387, 0.0244, 0.0647, 0.0327),
    "Sports, full": (0.0251, 0.0161, 0.0385, 0.0204),
    "Toys, full": (0.0443, 0.0294, 0.0700, 0.0376),
    "Yelp, full": (0.0201, 0.0123, 0.0341, 0.0168),
    "LastFM, full": (0.0459, 0.0334, 0.0743, 0.0427),
}


def gain(metric: str, rank: int) -> float:
    """The definition, for one rank from 1."""
    kind, _, cutoff = metric.partition("@")
    if cutoff and rank > int(cutoff):
        return 0.0
    return {"HR": 1.0, "NDCG": 1 / np.log2(rank + 1), "MRR": 1 / rank}[kind]


def report_of(greater, num_candidates=100, name="model", **changes) -> Report:
    ranks = Ranks(greater, np.zeros_like(greater), num_candidates)
    fields = dict(name=name, split="test", protocol="sampled", ranks=ranks, cutoffs=(1, 5, 10))
    fields |= dict(users=np.arange(len(greater)), targets=np.ones(len(greater), dtype=np.int64))
    return Report(**(fields | changes))


# --- metrics ---------------------------------------------------------------------------------------------


def test_metrics_by_hand():
    ranks = Ranks(greater=[0, 1, 4, 9], ties=[0, 0, 0, 0], num_candidates=10)  # places 1, 2, 5 and 10
    assert expected_metric(ranks, "HR@1").tolist() == [1, 0, 0, 0]
    assert expected_metric(ranks, "HR@5").tolist() == [1, 1, 1, 0]
    assert expected_metric(ranks, "HR@10").tolist() == [1, 1, 1, 1]
    assert expected_metric(ranks, "MRR").tolist() == [1, 1 / 2, 1 / 5, 1 / 10]
    np.testing.assert_allclose(expected_metric(ranks, "NDCG@5"), [1, 0.63093, 0.38685, 0], atol=5e-6)
    np.testing.assert_allclose(expected_metric(ranks, "NDCG@10"), [1, 0.63093, 0.38685, 0.28906], atol=5e-6)


def test_ties_by_hand():
    ranks = Ranks(greater=[1], ties=[2], num_candidates=[7])  # places 2, 3 and 4, a third each
    assert expected_metric(ranks, "HR@1").tolist() == [0]
    np.testing.assert_allclose(expected_metric(ranks, "HR@3"), [2 / 3])
    np.testing.assert_allclose(expected_metric(ranks, "MRR"), [(1 / 2 + 1 / 3 + 1 / 4) / 3])
    np.testing.assert_allclose(expected_metric(ranks, "NDCG@2"), [1 / np.log2(3) / 3])


@settings(max_examples=50, deadline=None)
@given(scores=st.lists(st.integers(0, 2), min_size=1, max_size=6), metric=st.sampled_from(METRICS))
def test_metrics_are_means_over_every_order_of_the_candidates(scores, metric):
    """Shuffle the candidates in every possible way, sort stably, and read off the target's place."""
    gains = [
        gain(metric, sorted(order, key=lambda item: -scores[item]).index(0) + 1)
        for order in permutations(range(len(scores)))
    ]
    above, at_least = count_above(torch.tensor([scores], dtype=torch.float32), torch.tensor([float(scores[0])]))
    ranks = Ranks(above.numpy(), (at_least - above - 1).numpy(), len(scores))
    np.testing.assert_allclose(expected_metric(ranks, metric), [np.mean(gains)], atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_users=st.integers(1, 20), num_candidates=st.integers(10, 60))
def test_metrics_agree_with_torchmetrics(seed, num_users, num_candidates):
    rng = np.random.default_rng(seed)
    # From 1: torchmetrics' MRR takes a target with a score of 0 or less for a miss.
    values = np.tile(np.arange(1, num_candidates + 1), (num_users, 1))
    scores = torch.tensor(rng.permuted(values, axis=1)).float()
    target_column = torch.tensor(rng.integers(0, num_candidates, num_users))
    above, at_least = count_above(scores, scores[torch.arange(num_users), target_column])
    assert (at_least == above + 1).all()
    ranks = Ranks(above.numpy(), np.zeros(num_users), num_candidates)

    relevant = torch.nn.functional.one_hot(target_column, num_candidates).bool()
    user = torch.arange(num_users)[:, None].expand_as(scores)
    oracles = {f"HR@{k}": RetrievalHitRate(top_k=k) for k in (1, 5, 10)}
    oracles |= {f"NDCG@{k}": RetrievalNormalizedDCG(top_k=k) for k in (5, 10)} | {"MRR": RetrievalMRR()}
    for name, oracle in oracles.items():
        theirs = float(oracle(scores.flatten(), relevant.flatten(), indexes=user.flatten()))
        assert expected_metric(ranks, name).mean() == pytest.approx(theirs, abs=1e-6), name


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 30))
def test_metrics_never_rise_with_the_rank_and_respect_their_order(greater, ties, more):
    ranks = Ranks([greater, greater + 1], [ties, ties], greater + ties + 1 + more)
    values = {name: expected_metric(ranks, name) for name in ("HR@1", "NDCG@5", "HR@5", "HR@10", "MRR")}
    assert all(0 <= value[1] <= value[0] + 1e-12 <= 1 + 2e-12 for value in values.values())
    for smaller, larger in (("HR@1", "NDCG@5"), ("NDCG@5", "HR@5"), ("HR@5", "HR@10"), ("HR@1", "MRR")):
        assert (values[smaller] <= values[larger] + 1e-12).all()


def test_chance_with_99_negatives():
    floor = chance(100, (1, 5, 10))
    expected = {"HR@1": 0.01, "HR@5": 0.05, "NDCG@5": 0.0295, "HR@10": 0.1, "NDCG@10": 0.0454, "MRR": 0.0519}
    assert list(floor) == list(expected) == metric_names((1, 5, 10))
    assert floor == pytest.approx(expected, abs=5e-5)


def test_chance_averages_over_users_with_different_numbers_of_candidates():
    mixed = chance(np.array([10, 40, 40]), (5,))
    assert mixed["HR@5"] == pytest.approx((5 / 10 + 5 / 40 + 5 / 40) / 3)
    assert chance(3, (5,))["HR@5"] == 1  # every candidate is among the first five


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0, 1], [0], 5), r"\(2,\) and \(1,\)"),
        (([0], [5], 5), "greater \\+ ties < num_candidates"),
        (([-1], [0], 5), "greater >= 0"),
        (([0, 0], [0, 0], [5, 5, 5]), "one number or 2 of them"),
    ],
)
def test_impossible_ranks_are_refused(arguments, message):
    with pytest.raises(SettingError, match=message):
        Ranks(*arguments)


@pytest.mark.parametrize("name", ["HR", "NDCG", "HR@0", "hr@5", "NDCG@", "Recall@5", "HR@5 ", 5])
def test_unknown_metric_is_refused(name):
    with pytest.raises(SettingError, match="unknown metric"):
        expected_metric(Ranks([0], [0], 5), name)


def test_misspelt_metric_gets_the_nearest_name():
    with pytest.raises(SettingError, match="did you mean 'NDCG@10'"):
        expected_metric(Ranks([0], [0], 5), "NDGC@10")


# --- counting --------------------------------------------------------------------------------------------


def test_nan_is_counted_and_refused():
    scores = torch.tensor([[1.0, float("nan"), 2.0], [float("nan"), 0.0, 1.0]])
    with pytest.raises(ValueError, match="2 of 6 scores are NaN"):
        count_above(scores, torch.tensor([1.0, 0.0]))


def test_infinities_are_ordinary_scores():
    infinite = float("inf")
    scores = torch.tensor([[infinite, -infinite, 0.0], [-infinite, -infinite, -infinite]])
    above, at_least = count_above(scores, torch.tensor([0.0, -infinite]))
    assert above.tolist() == [1, 0] and at_least.tolist() == [2, 3]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_counts_are_exact_for_every_precision(dtype):
    rng = np.random.default_rng(0)
    scores = torch.tensor(rng.normal(size=(4, 30_000))).to(dtype)
    above, at_least = count_above(scores, scores[:, 7])
    wide = scores.double().numpy()
    assert above.tolist() == (wide > wide[:, 7:8]).sum(axis=1).tolist()
    assert at_least.tolist() == (wide >= wide[:, 7:8]).sum(axis=1).tolist()


# --- published numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("row", S3REC_ROWS)
def test_published_s3rec_rows_are_feasible(row):
    assert ndcg_feasible(*S3REC_ROWS[row])


def test_other_published_pairs():
    assert ndcg_feasible(0.0387, 0.0244, 0.0994, 0.0414, k_high=20)  # S3-Rec, Beauty, @5 and @20
    assert ndcg_feasible(0.0381, 0.0239, 0.0617, 0.0316)  # a user's re-run of it
    assert not ndcg_feasible(0.0365, 0.0236, 0.0627, 0.0281)  # Beauty SASRec of a later table: at least .0312
    assert not ndcg_feasible(0.3741, 0.3800, 0.4696, 0.4100)  # NDCG@5 above HR@5
    assert not ndcg_feasible(0.5, 0.3, 0.4, 0.3)  # HR falls with k


def test_feasible_range_by_hand():
    # A tenth of the users is hit at ranks 6 to 10: NDCG gains .1 / log2(11) = .0289 to .1 / log2(7) = .0356.
    for ndcg, possible in ((0.0785, False), (0.0790, True), (0.0855, True), (0.0860, False)):
        assert ndcg_feasible(0.1, 0.05, 0.2, ndcg) is possible
    # All of HR@5 at rank 5 gives NDCG@5 = .1 / log2(6) = .0387, the least there is.
    assert ndcg_feasible(0.1, 0.0387, 0.1, 0.0387) and not ndcg_feasible(0.1, 0.0383, 0.1, 0.0383)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 29), min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 9))
def test_every_real_evaluation_is_feasible_even_when_rounded(greater, k_low, further):
    ranks = Ranks(greater, np.zeros(len(greater)), 30)
    k_high = k_low + further
    means = [
        expected_metric(ranks, name).mean()
        for name in (f"HR@{k_low}", f"NDCG@{k_low}", f"HR@{k_high}", f"NDCG@{k_high}")
    ]
    assert ndcg_feasible(*means, k_low, k_high, rounding=1e-12)
    assert ndcg_feasible(*np.round(means, 4), k_low, k_high)


def test_feasibility_needs_two_cutoffs():
    with pytest.raises(SettingError, match="k_low < k_high"):
        ndcg_feasible(0.1, 0.1, 0.1, 0.1, k_low=10, k_high=10)


# --- reports, intervals, comparisons ---------------------------------------------------------------------


def test_report_numbers_agree_with_each_other():
    report = report_of(np.random.default_rng(0).integers(0, 30, 400))
    assert list(report.metrics) == ["HR@1", "HR@5", "NDCG@5", "HR@10", "NDCG@10", "MRR"]
    frame = report.to_frame()
    assert list(frame.columns) == ["metric", "value", "low", "high"]
    assert dict(zip(frame["metric"], frame["value"], strict=True)) == report.metrics
    assert ((frame["low"] < frame["value"]) & (frame["value"] < frame["high"])).all()
    for row in frame.itertuples():
        assert report.interval(row.metric) == pytest.approx((row.low, row.high))
        assert report.per_user(row.metric).mean() == pytest.approx(row.value)


def test_report_survives_json_and_prints_every_metric():
    import json

    report = report_of(np.array([0, 3, 7, 50]), name="tiny")
    record = json.loads(json.dumps(report.to_dict()))
    assert record["metrics"] == report.metrics
    assert record["candidates"] == {"least": 100, "mean": 100.0, "most": 100} and record["users_with_ties"] == 0
    text = str(report)
    assert all(f"{name} " in text and f"{value:.4f}" in text for name, value in report.metrics.items())
    assert "tiny" in text and "ties" not in text


def test_ties_are_mentioned():
    assert "ties: 1 of 2 users" in str(report_of(np.array([0, 1]), ranks=Ranks([0, 1], [0, 3], 100)))


def test_bootstrap_means_have_the_known_mean_and_spread():
    values = np.random.default_rng(1).exponential(size=(500, 2))
    means = bootstrap_means(values, resamples=4000, seed=3)
    assert means.shape == (4000, 2)
    error = values.std(axis=0) / np.sqrt(500)
    assert (np.abs(means.mean(axis=0) - values.mean(axis=0)) < 4 * error / np.sqrt(4000)).all()
    np.testing.assert_allclose(means.std(axis=0), error, rtol=0.06)
    np.testing.assert_allclose(bootstrap_means(values[:, 1], 4000, 3), means[:, 1])


def test_interval_covers_the_truth_about_95_times_of_100():
    """400 samples of 200 users, their mean reciprocal rank known; binomial standard error 1.1 points."""
    rng = np.random.default_rng(11)
    truth = chance(100)["MRR"]  # places uniform on 1 ... 100
    covered = 0
    for trial in range(400):
        low, high = report_of(rng.integers(0, 100, 200)).interval("MRR", resamples=400, seed=trial)
        covered += low <= truth <= high
    assert 0.90 <= covered / 400 <= 0.98


def test_narrower_levels_give_narrower_intervals():
    report = report_of(np.random.default_rng(2).integers(0, 100, 300))
    (low, high), (inner_low, inner_high) = report.interval("MRR"), report.interval("MRR", level=0.5)
    assert low < inner_low < inner_high < high
    with pytest.raises(SettingError, match="level"):
        report.interval("MRR", level=95)


def test_a_model_does_not_differ_from_itself():
    report = report_of(np.random.default_rng(3).integers(0, 100, 50))
    comparison = compare(report, report)
    assert (comparison.difference, comparison.low, comparison.high, comparison.p_value) == (0, 0, 0, 1)
    assert not comparison.larger_than_chance and "no difference can be claimed" in str(comparison)
    assert "model (first)" in str(comparison) and "model (second)" in str(comparison)


def test_a_clear_difference_is_claimed_for_the_better_model():
    rng = np.random.default_rng(4)
    good, poor = (
        report_of(rng.integers(0, 20, 500), name="good"),
        report_of(rng.integers(0, 100, 500), name="poor"),
    )
    for first, second, sign in ((good, poor, 1), (poor, good, -1)):
        comparison = compare(first, second, "HR@10")
        assert comparison.larger_than_chance and comparison.difference * sign > 0.2
        assert comparison.low <= comparison.difference <= comparison.high
        assert "in favour of good" in str(comparison) and "no difference" not in str(comparison)


def test_pairing_sees_a_small_gain_that_every_user_shares():
    """A tenth of the users gain one place: invisible between two samples of users, plain within one."""
    worse = np.random.default_rng(5).integers(1, 100, 1000)
    better = worse - (np.arange(1000) % 10 == 0)
    a, b = report_of(better, name="better"), report_of(worse, name="worse")
    assert a.interval("MRR")[0] < b.metrics["MRR"]
    assert compare(a, b, "MRR").larger_than_chance


def test_several_reports_of_a_model_count_with_each_users_mean():
    """Two seeds whose noise is opposite: their mean shows a gain that either of them hides."""
    rng = np.random.default_rng(8)
    base, noise = rng.integers(20, 60, 300), rng.integers(-15, 16, 300)
    plain = report_of(base + 2, name="plain")
    seeds = [report_of(base + noise, name="trained"), report_of(base - noise, name="trained")]
    both = compare(seeds, [plain], "MRR")
    single = [compare(seed, plain, "MRR") for seed in seeds]
    assert both.difference == pytest.approx(np.mean([each.difference for each in single]))
    assert both.high - both.low < min(each.high - each.low for each in single)
    assert (both.name_a, both.name_b) == ("trained", "plain")
    with pytest.raises(SettingError, match="at least one report"):
        compare([], plain)
    with pytest.raises(SettingError, match="differ in split"):
        compare([plain, report_of(base, split="valid")], plain)


def test_p_value_enumerated_by_hand():
    # Of the 16 sign patterns of (3, 2, 1, 1) only +5 to +7 and their mirror images reach 5: +++-, ++-+, ++++.
    assert sign_flip_p_value(np.array([3, 2, 1, -1, 0, 0.0]), resamples=20_000) == pytest.approx(6 / 16, abs=0.02)


def test_equal_models_are_rarely_told_apart():
    """The two models' results come from one distribution; about 5% of 300 trials may be called different."""
    rng = np.random.default_rng(6)
    p_values = [sign_flip_p_value(rng.normal(size=100), resamples=400, seed=trial) for trial in range(300)]
    assert 0.01 <= np.mean(np.array(p_values) < 0.05) <= 0.09
    assert 0.4 <= np.mean(p_values) <= 0.6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"users": np.arange(1, 5)}, "users or held-out items"),
        ({"targets": np.array([1, 1, 1, 2])}, "users or held-out items"),
        ({"split": "valid"}, "split"),
        ({"protocol": "full"}, "protocol"),
        ({"ranks": Ranks([0, 1, 2, 3], [0, 0, 0, 0], 50)}, "different candidates"),
    ],
)
def test_reports_that_cannot_be_compared(changes, message):
    greater = np.array([0, 1, 2, 3])
    with pytest.raises(SettingError, match=message):
        compare(report_of(greater), report_of(greater, **changes))
