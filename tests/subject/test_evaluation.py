"""Evaluation end to end: which candidates compete, how users come back, what negatives are drawn."""

import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite.data import SequenceData
from s3rec_lite.evaluation import draw_negatives, full_ranks, sampled_ranks
from s3rec_lite.experiments.comparisons import compare
from s3rec_lite.experiments.reports import evaluate
from s3rec_lite.metrics import chance
from s3rec_lite.support.errors import DataError, S3RecError, SettingError


def make_data(sequences, num_items: int, **fields) -> SequenceData:
    lengths = [len(sequence) for sequence in sequences]
    return SequenceData(
        name="test",
        items=np.concatenate([np.asarray(sequence, dtype=np.int64) for sequence in sequences]),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        attributes=torch.zeros(num_items + 2, 1, dtype=torch.bool),
        **fields,
    )


def random_data(seed: int, num_users: int = 30, num_items: int = 40, longest: int = 20) -> SequenceData:
    """Users of many lengths, repeated items and targets met before included."""
    rng = np.random.default_rng(seed)
    return make_data(
        [rng.integers(1, num_items + 1, rng.integers(3, longest + 1)) for _ in range(num_users)], num_items
    )


class TableScorer:
    """Scores that depend on the whole history, from a fixed random table; `levels` makes ties."""

    def __init__(self, num_items: int, max_length: int = 50, levels: int | None = None, seed: int = 0):
        self.max_length = max_length
        rng = np.random.default_rng(seed)
        self.vectors = torch.tensor(rng.integers(-3, 4, (num_items + 2, 8)))
        self.levels = levels
        self.batches = []

    def score(self, histories):
        self.batches.append(tuple(histories.shape))
        real = (histories > 0)[..., None]
        scores = (self.vectors[histories] * real).sum(1) @ self.vectors.T  # whole numbers: exact in any batch
        return (scores if self.levels is None else scores % self.levels - self.levels // 2).float()

    def score_candidates(self, histories, candidates):
        return self.score(histories).gather(1, candidates)


class ConstantScorer:
    max_length = 50

    def __init__(self, num_items: int, value: float = 0.0):
        self.scores = torch.full((1, num_items + 2), value)

    def score(self, histories):
        return self.scores.expand(len(histories), -1)

    def score_candidates(self, histories, candidates):
        return self.scores[0, candidates]


class RowScorer:
    """The same scores for every user, item 1 first."""

    max_length = 50

    def __init__(self, *scores: float, padding: float = 0.0, mask: float = 0.0):
        self.scores = torch.tensor([padding, *scores, mask])

    def score(self, histories):
        return self.scores.repeat(len(histories), 1)

    def score_candidates(self, histories, candidates):
        return self.scores[candidates]


def plain_ranks(scores, history, target, num_items, rule):
    """One user in plain Python: (greater, ties, number of candidates)."""
    scores = list(scores)
    candidates = set(range(1, num_items + 1))
    if rule == "remove":
        candidates -= set(history) - {target}
    if rule == "zero":
        candidates |= {0, num_items + 1}
        for item in history:
            scores[item] = 0.0
    others = [scores[item] for item in candidates - {target}]
    above, equal = (sum(test(s) for s in others) for test in (scores[target].__lt__, scores[target].__eq__))
    return above, equal, len(candidates)


# --- full ranking ----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rule=st.sampled_from(["remove", "keep", "zero"]),
    split=st.sampled_from(["valid", "test"]),
    levels=st.sampled_from([None, 2, 7]),
    batch_size=st.sampled_from([None, 1, 7]),
)
def test_full_ranks_equal_a_plain_loop_over_users(seed, rule, split, levels, batch_size):
    data = random_data(seed)
    model = TableScorer(data.num_items, max_length=6, levels=levels, seed=seed)
    ranks = full_ranks(model, data, split, seen=rule, batch_size=batch_size)
    held_out = 1 if split == "test" else 2
    for user in range(data.num_users):
        sequence = data.sequence(user).tolist()
        history, target = sequence[:-held_out], sequence[-held_out]
        scores = model.score(torch.tensor([history[-6:]]))[0].tolist()
        found = (ranks.greater[user], ranks.ties[user], ranks.num_candidates[user])
        assert found == plain_ranks(scores, history, target, data.num_items, rule), f"user {user}"


def test_seen_items_do_not_compete_by_default():
    data = make_data([[1, 2, 3, 4]], 5)
    model = RowScorer(9, 8, 7, 6, 5)  # the history, 1, 2 and 3, scores best
    assert evaluate(model, data).ranks.greater.tolist() == [0]
    assert evaluate(model, data).ranks.num_candidates.tolist() == [2]
    assert evaluate(model, data, remove_seen=False).ranks.greater.tolist() == [3]
    assert evaluate(model, data, "valid").ranks.num_candidates.tolist() == [3]  # only 1 and 2 are history


def test_a_target_met_before_still_competes_except_by_the_authors_rule():
    data = make_data([[4, 1, 2, 4]], 5)
    model = RowScorer(1, 2, 3, 9, 5, padding=-1, mask=-1)
    assert evaluate(model, data).metrics["HR@5"] == 1
    assert evaluate(model, data).ranks.greater.tolist() == [0]
    authors = evaluate(model, data, protocol="authors").ranks
    # Items 1, 2 and 4 score 0 now: 3 and 5 are above, 1 and 2 tie, padding and mask are below.
    assert (authors.greater.tolist(), authors.ties.tolist(), authors.num_candidates.tolist()) == (
        [2],
        [2],
        [7],
    )


def test_padding_and_mask_token_compete_only_by_the_authors_rule():
    data = make_data([[1, 2, 3]], 4)
    model = RowScorer(1, 2, 3, 4, padding=10, mask=10)
    assert evaluate(model, data).ranks.greater.tolist() == [1]
    assert evaluate(model, data, protocol="authors").ranks.greater.tolist() == [3]
    assert evaluate(RowScorer(1, 2, 3, 4, padding=float("nan"), mask=float("nan")), data).ranks.greater.tolist() == [1]


def test_seen_items_at_zero_beat_negative_scores_by_the_authors_rule():
    data = make_data([[1, 2, 3]], 4)
    model = RowScorer(-9, -9, -1, -2, padding=-5, mask=-5)
    assert evaluate(model, data).ranks.greater.tolist() == [0]
    assert evaluate(model, data, protocol="authors").ranks.greater.tolist() == [2]


def test_scores_of_minus_infinity_tie_only_with_each_other():
    infinite = float("inf")
    data = make_data([[1, 2, 3]], 5)
    ranks = evaluate(RowScorer(5, 5, -infinite, -infinite, 1), data).ranks
    assert (ranks.greater.tolist(), ranks.ties.tolist()) == ([1], [1])  # 1 and 2 are seen and do not count


@pytest.mark.parametrize("value", [0.0, -1.5, float("-inf")])
@pytest.mark.parametrize("protocol", ["full", "sampled"])
def test_a_constant_scorer_gets_chance(protocol, value):
    data = random_data(1, num_items=60)
    report = evaluate(ConstantScorer(60, value), data, protocol=protocol, num_negatives=30)
    assert report.metrics == pytest.approx(chance(report.ranks.num_candidates, report.cutoffs), abs=1e-12)
    assert report.metrics["HR@10"] < 0.5


def test_the_model_keeps_its_scores():
    data, model = random_data(2), ConstantScorer(40, 2.5)
    for protocol in ("full", "authors"):
        evaluate(model, data, protocol=protocol)
    assert (model.scores == 2.5).all()


def test_nan_scores_are_refused_with_their_number():
    data = make_data([[1, 2, 3], [2, 3, 4]], 5)
    with pytest.raises(ValueError, match="4 of 10 scores are NaN"):
        evaluate(RowScorer(1, float("nan"), 1, 1, float("nan")), data)
    with pytest.raises(ValueError, match="NaN"):
        evaluate(RowScorer(1, 1, 1, float("nan"), 1), data, protocol="sampled", num_negatives=2)


def test_scores_of_a_wrong_shape_are_refused():
    data = make_data([[1, 2, 3], [2, 3, 4]], 5)
    with pytest.raises(S3RecError, match=r"model.score returned \(2, 6\), expected \(2, 7\)"):
        evaluate(ConstantScorer(4), data)


def test_users_come_back_in_order_whatever_the_batch_size():
    data = random_data(3, num_users=101)
    for protocol in ("full", "authors", "sampled"):
        reports = [
            evaluate(TableScorer(40, levels=9), data, protocol=protocol, num_negatives=15, batch_size=size)
            for size in (None, 1, 13, 500)
        ]
        for report in reports:
            assert report.users.tolist() == list(range(101))
            assert report.targets.tolist() == data.targets("test").tolist()
            np.testing.assert_array_equal(report.ranks.greater, reports[0].ranks.greater)
            np.testing.assert_array_equal(report.ranks.ties, reports[0].ranks.ties)


def test_the_full_matrix_is_never_asked_for():
    """3,000 users and 20,000 items: no batch of scores above 64 MB, and short histories stay short."""
    rng = np.random.default_rng(0)
    sequences = [rng.integers(1, 20_001, 4 + (user % 3) * 30) for user in range(3000)]
    model = TableScorer(20_000)
    full_ranks(model, make_data(sequences, 20_000))
    assert sum(users for users, _ in model.batches) == 3000
    assert max(users for users, _ in model.batches) * 20_002 * 4 < 64e6
    widths = [width for _, width in model.batches]
    assert widths[0] == 3 and widths[-1] == 50 and widths == sorted(widths)
    assert sum(users * width for users, width in model.batches) < 0.75 * 3000 * 50


# --- sampled negatives -----------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), num_items=st.integers(21, 60), spare=st.integers(0, 10))
def test_negatives_are_untouched_distinct_items(seed, num_items, spare):
    data = random_data(seed, num_items=num_items)
    fewest = min(num_items - len(set(data.sequence(user))) for user in range(data.num_users))
    count = max(1, fewest - spare)  # down to the last untouched item of some user
    for split in ("valid", "test"):
        negatives = draw_negatives(data, split, count, seed)
        assert negatives.shape == (data.num_users, count)
        assert negatives.min() >= 1 and negatives.max() <= num_items
        for user, row in enumerate(negatives.tolist()):
            assert len(set(row)) == count
            assert not set(row) & set(data.sequence(user).tolist())


@pytest.mark.parametrize("count", [1, 4, 9])
def test_negatives_are_uniform(count):
    """20,000 users with the same history: each of the 10 untouched items about equally often."""
    data = make_data([[1, 5, 6, 12]] * 20_000, 14)
    negatives = draw_negatives(data, "test", count, seed=5)
    observed = np.bincount(negatives.ravel(), minlength=16)
    untouched = np.setdiff1d(np.arange(1, 15), [1, 5, 6, 12])
    expected = 20_000 * count / 10
    # Draws without replacement vary less than independent ones, by the share of items left out.
    chi_square = ((observed[untouched] - expected) ** 2 / expected).sum() / (1 - (count - 1) / 9 if count > 1 else 1)
    assert observed.sum() == observed[untouched].sum()
    assert chi_square < 27.9  # 9 degrees of freedom, p = 0.001


def test_negatives_pairs_are_uniform():
    """Every pair of the five untouched items comes equally often."""
    negatives = np.sort(draw_negatives(make_data([[2, 4, 6]] * 20_000, 8), "test", 2), axis=1)
    _, observed = np.unique(negatives, axis=0, return_counts=True)
    assert len(observed) == 10
    assert ((observed - 2000) ** 2 / 2000).sum() < 27.9  # 9 degrees of freedom, p = 0.001


def test_negatives_follow_seed_and_split():
    data = random_data(4, num_items=200)
    first = draw_negatives(data, "test", 50, seed=1)
    np.testing.assert_array_equal(first, draw_negatives(data, "test", 50, seed=1))
    for other in (draw_negatives(data, "test", 50, seed=2), draw_negatives(data, "valid", 50, seed=1)):
        overlap = np.mean([len(set(a) & set(b)) for a, b in zip(first, other, strict=True)])
        assert 5 < overlap < 25  # about 50 * 50 / 190, as for independent draws


def test_too_few_untouched_items():
    data = make_data([[1, 2, 3], [1, 2, 3, 4, 5]], 8)
    with pytest.raises(DataError, match=r"1 of 2 users have fewer than 4 untouched items \(user 1 has 3\)"):
        draw_negatives(data, "test", 4)
    with pytest.raises(DataError, match="99 untouched items"):
        evaluate(ConstantScorer(8), data, protocol="sampled")


def test_sampled_ranks_by_hand():
    data = make_data([[1, 2, 3], [1, 2, 4]], 6)
    model = RowScorer(9, 9, 3, 5, 3, 4)
    ranks = sampled_ranks(model, data, "test", np.array([[4, 5, 6], [5, 6, 3]]))
    assert ranks.greater.tolist() == [2, 0] and ranks.ties.tolist() == [1, 0]
    assert ranks.num_candidates.tolist() == [4, 4]
    report = evaluate(model, data, protocol="sampled", negatives=[[4, 5, 6], [5, 6, 3]])
    assert report.per_user("MRR").tolist() == pytest.approx([(1 / 3 + 1 / 4) / 2, 1])
    assert list(report.metrics) == ["HR@1", "HR@5", "NDCG@5", "HR@10", "NDCG@10", "MRR"]


def test_all_untouched_items_as_negatives_give_the_full_ranking():
    data = make_data([[1, 2, 3, 4], [5, 6, 7, 8], [9, 3, 1, 10]], 12)
    model = TableScorer(12, levels=5)
    full, sampled = (
        full_ranks(model, data),
        evaluate(model, data, protocol="sampled", num_negatives=8).ranks,
    )
    np.testing.assert_array_equal(full.greater, sampled.greater)
    np.testing.assert_array_equal(full.ties, sampled.ties)


def test_given_negatives_are_used():
    rng = np.random.default_rng(0)
    sequences = [rng.permutation(np.arange(1, 51))[:5] for _ in range(10)]
    given = np.array([rng.permutation(np.setdiff1d(np.arange(1, 151), row))[:99] for row in sequences])
    data, model = make_data(sequences, 150, sampled_negatives=given), TableScorer(150)
    by_name = evaluate(model, data, protocol="sampled", negatives="given").ranks
    by_array = evaluate(model, data, protocol="sampled", negatives=given).ranks
    np.testing.assert_array_equal(by_name.greater, by_array.greater)
    scores = model.score(torch.tensor(np.array(sequences)[:, :-1])).numpy()
    targets = data.targets("test")
    expected = [(scores[u, given[u]] > scores[u, targets[u]]).sum() for u in range(10)]
    assert by_name.greater.tolist() == expected


@pytest.mark.parametrize(
    ("negatives", "message"),
    [
        ([[4, 5]], "2 users"),
        ([[4, 5], [4, 7]], "1 to 6, got 4 to 7"),
        ([[0, 5], [4, 5]], "got 0 to 5"),
        ([[4.0, 5.0], [5.0, 6.0]], "integer"),
        ([[5, 6], [4, 5]], "1 of 2 users have their test target among their negatives, the first is user 1"),
    ],
)
def test_negatives_that_do_not_fit_are_refused(negatives, message):
    data = make_data([[1, 2, 3], [1, 2, 4]], 6)
    with pytest.raises(DataError, match=message):
        evaluate(ConstantScorer(6), data, protocol="sampled", negatives=np.array(negatives))


# --- settings and models ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"protocol": "ful"}, "unknown protocol 'ful': did you mean 'full'"),
        ({"protocol": "sample"}, "did you mean 'sampled'"),
        ({"protocol": "xyz"}, "known: full, authors, sampled"),
        ({"split": "validation"}, "unknown split 'validation': did you mean 'valid'"),
        ({"split": "train"}, "unknown split"),
        ({"protocol": "sampled", "negatives": "givn"}, "did you mean 'given'"),
        ({"protocol": "sampled", "negatives": "given"}, "no sampled negatives"),
        ({"protocol": "sampled", "num_negatives": 0}, "num_negatives must be at least 1"),
        ({"protocol": "authors", "remove_seen": False}, "remove_seen"),
        ({"cutoffs": (5, 0)}, "cutoffs"),
        ({"cutoffs": ()}, "cutoffs"),
        ({"cutoffs": (2.5,)}, "cutoffs"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_settings_out_of_range_are_refused(arguments, message):
    with pytest.raises(SettingError, match=message):
        evaluate(ConstantScorer(40), random_data(5), **arguments)


def test_cutoffs_choose_the_metrics():
    report = evaluate(TableScorer(40), random_data(5), cutoffs=(20, 1))
    assert list(report.metrics) == ["HR@1", "HR@20", "NDCG@20", "MRR"]
    assert list(evaluate(TableScorer(40), random_data(5), protocol="authors").metrics) == [
        *("HR@5", "NDCG@5", "HR@10", "NDCG@10", "HR@20", "NDCG@20", "MRR")
    ]


def test_report_of_an_evaluation():
    data = random_data(6)
    report = evaluate(TableScorer(40), data, "valid", name="table")
    assert (report.name, report.split, report.protocol) == ("table", "valid", "full")
    record = json.loads(json.dumps(report.to_dict()))
    assert record["num_users"] == data.num_users and record["metrics"] == report.metrics
    assert evaluate(TableScorer(40), data).name == "TableScorer"
    both = compare(evaluate(TableScorer(40, seed=1), data), evaluate(TableScorer(40, seed=2), data))
    assert both.num_users == data.num_users


class Network(torch.nn.Module):
    max_length = 5

    def __init__(self, num_items: int):
        super().__init__()
        self.items = torch.nn.Embedding(num_items + 2, 4)
        self.dropout = torch.nn.Dropout(0.5)
        self.frozen = torch.nn.Dropout(0.5)
        self.widest = 0

    def score(self, histories):
        assert not self.training and not self.frozen.training and torch.is_inference_mode_enabled()
        self.widest = max(self.widest, histories.shape[1])
        return self.dropout(self.items(histories).mean(1)) @ self.items.weight.T

    def score_candidates(self, histories, candidates):
        return self.score(histories).gather(1, candidates)


@pytest.mark.parametrize("protocol", ["full", "sampled"])
def test_a_network_is_evaluated_without_dropout_and_left_in_its_mode(protocol):
    data, model = random_data(7), Network(40)
    model.train()
    model.frozen.eval()
    first, second = (evaluate(model, data, protocol=protocol, num_negatives=10) for _ in range(2))
    assert first.metrics == second.metrics
    assert model.training and model.dropout.training and not model.frozen.training
    assert model.widest == model.max_length


def test_the_mode_is_restored_after_an_error():
    model = Network(39)  # one item too few
    with pytest.raises((IndexError, S3RecError)):
        evaluate(model, random_data(8))
    assert model.training


# --- the authors' files ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lastfm() -> SequenceData:
    if "S3REC_MIRROR" not in os.environ:
        pytest.skip("S3REC_MIRROR is not set: it names the folder with the authors' data files")
    folder = Path(os.environ["S3REC_MIRROR"])
    sequences, negatives = (
        [np.array(line.split()[1:], dtype=np.int64) for line in (folder / name).read_text().splitlines()]
        for name in ("LastFM.txt", "LastFM_sample.txt")
    )
    num_items = max(int(sequence.max()) for sequence in sequences)
    return make_data(sequences, num_items, sampled_negatives=np.array(negatives))


def test_popularity_on_lastfm_with_the_authors_negatives(lastfm):
    """The paper's PopRec row. Its tie rule is unknown, hence the tolerance of two standard errors."""
    held_in = np.concatenate([lastfm.history(user, "valid") for user in range(lastfm.num_users)])
    popularity = np.bincount(held_in, minlength=lastfm.num_items + 2)
    model = RowScorer(*popularity[1:-1].astype(float))
    report = evaluate(model, lastfm, protocol="sampled", negatives="given")
    printed = {
        "HR@1": 0.0725,
        "HR@5": 0.1982,
        "NDCG@5": 0.1350,
        "HR@10": 0.3037,
        "NDCG@10": 0.1687,
        "MRR": 0.1506,
    }
    for metric, value in printed.items():
        error = report.per_user(metric).std() / np.sqrt(lastfm.num_users)
        assert report.metrics[metric] == pytest.approx(value, abs=2 * error), metric


def test_lastfm_candidates(lastfm):
    report = evaluate(ConstantScorer(lastfm.num_items), lastfm)
    assert report.metrics == pytest.approx(chance(report.ranks.num_candidates, report.cutoffs))
    distinct = [len(set(lastfm.history(user, "test"))) for user in range(lastfm.num_users)]
    assert report.ranks.num_candidates.tolist() == [lastfm.num_items - count for count in distinct]
    negatives = draw_negatives(lastfm, "test")
    assert negatives.shape == (1090, 99) and (np.diff(np.sort(negatives), axis=1) > 0).all()
    assert all(a < b for a, b in pairwise(sorted(negatives[0])))
