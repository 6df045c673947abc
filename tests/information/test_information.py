"""Mutual information against truths: tables by hand, closed forms, integrals, and the caps of every bound."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from helpers import authors_file, needs_mirror
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from s3rec_lite import information as info
from s3rec_lite.datasets import load_dataset, planted, planted_truth, toy
from s3rec_lite.support.errors import DataError, SettingError, TrainingError

RELIABLE = settings(max_examples=50, deadline=None)

sides = st.integers(1, 5)


@st.composite
def count_tables(draw) -> np.ndarray:
    """Small tables of counts with something in them."""
    table = draw(hnp.arrays(np.int64, (draw(sides), draw(sides)), elements=st.integers(0, 6)))
    table[draw(st.integers(0, table.shape[0] - 1)), draw(st.integers(0, table.shape[1] - 1))] += 1
    return table


@st.composite
def score_matrices(draw, low: float = -40.0, high: float = 40.0) -> torch.Tensor:
    size = draw(st.integers(2, 6))
    values = hnp.arrays(np.float64, (size, size), elements=st.floats(low, high))
    return torch.from_numpy(draw(values))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def samples_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Samples that occur exactly as often as the table of counts says."""
    rows, columns = np.indices(table.shape)
    return np.repeat(rows.ravel(), table.ravel()), np.repeat(columns.ravel(), table.ravel())


def channel(size: int, outcomes: int, seed: int) -> np.ndarray:
    """Random transition probabilities [size, outcomes]."""
    return np.random.default_rng(seed).dirichlet(np.full(outcomes, 0.5), size=size)


def optimal_scores(mi: float, dim: int, num_pairs: int, repetitions: int, seed: int = 0) -> torch.Tensor:
    """The optimal critic on Gaussians of ``mi`` nats: [repetitions, num_pairs, num_pairs]."""
    rho = info.gaussian_correlation(mi, dim)
    x, y = info.sample_gaussian(repetitions * num_pairs, dim, rho, generator(seed))
    return info.gaussian_log_ratio(x.view(repetitions, num_pairs, dim), y.view(repetitions, num_pairs, dim), rho)


# Tables


def test_tables_worked_by_hand():
    assert info.entropy([0.5, 0.5]) == pytest.approx(math.log(2))
    assert info.entropy([3, 0, 0]) == 0
    assert info.entropy([0.5, 0.25, 0.25]) == pytest.approx(1.5 * math.log(2))
    assert info.entropy(np.ones((3, 4))) == pytest.approx(math.log(12))
    # y tells x for sure; x leaves a coin toss about y
    nested = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1]])
    assert info.mutual_information(nested) == pytest.approx(math.log(2))
    assert info.conditional_entropy(nested) == pytest.approx(math.log(2))
    assert info.conditional_entropy(nested, given=1) == 0
    # a noisy bit: right in three cases of four
    assert info.mutual_information([[3, 1], [1, 3]]) == pytest.approx(
        math.log(2) + 0.75 * math.log(0.75) + 0.25 * math.log(0.25)
    )
    # XOR: two fair bits say nothing about their sum one by one, and everything together
    assert info.mutual_information([[1, 1], [1, 1]]) == 0
    assert info.mutual_information([[1, 0], [0, 1], [0, 1], [1, 0]]) == pytest.approx(math.log(2))


@RELIABLE
@given(count_tables())
def test_information_keeps_its_laws_on_any_table(table):
    value = info.mutual_information(table)
    row, column = info.entropy(table.sum(axis=1)), info.entropy(table.sum(axis=0))
    assert 0 <= value <= min(row, column) + 1e-12
    assert value == pytest.approx(info.mutual_information(table.T), abs=1e-12)
    assert value == pytest.approx(row - info.conditional_entropy(table, given=1), abs=1e-12)  # equation (1)
    assert value == pytest.approx(column - info.conditional_entropy(table), abs=1e-12)
    assert value == pytest.approx(row + column - info.entropy(table), abs=1e-12)
    assert info.mutual_information(torch.from_numpy(table).double() / 7) == pytest.approx(value, abs=1e-12)


@RELIABLE
@given(count_tables(), st.integers(0, 9), st.integers(1, 4))
def test_bijections_keep_information_channels_lose_it_and_copies_double_it(table, seed, outcomes):
    value = info.mutual_information(table)
    order = np.random.default_rng(seed).permutation(table.shape[1])
    assert info.mutual_information(table[:, order]) == pytest.approx(value, abs=1e-12)
    noisy = table @ channel(table.shape[1], outcomes, seed)
    assert info.mutual_information(noisy) <= value + 1e-12
    assert info.mutual_information(np.kron(table, table)) == pytest.approx(2 * value, abs=1e-11)
    independent = np.outer(table.sum(axis=1), table.sum(axis=0))
    assert info.mutual_information(independent) == pytest.approx(0, abs=1e-12)


@RELIABLE
@given(count_tables(), st.integers(0, 9))
def test_plug_in_is_the_information_of_the_observed_table(table, seed):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the independent witness")
    x, y = samples_of(table)
    value = info.plug_in(x, y)
    assert value == pytest.approx(info.mutual_information(table), abs=1e-12)
    assert value == pytest.approx(metrics.mutual_info_score(x, y), abs=1e-9)
    draws = np.random.default_rng(seed)
    order = draws.permutation(len(x))
    renamed = draws.choice(10**9, size=5, replace=False) - 5 * 10**8  # any ids, negative ones too
    assert info.plug_in(torch.from_numpy(renamed[x][order]), y[order]) == pytest.approx(value, abs=1e-12)
    assert info.plug_in(x // 2, y) <= value + 1e-12  # data processing
    both = np.add.outer(7 * x, x).ravel(), np.add.outer(7 * y, y).ravel()  # two independent copies
    assert info.plug_in(*both) == pytest.approx(2 * value, abs=1e-11)
    seen = np.count_nonzero
    correction = seen(table.sum(axis=1)) + seen(table.sum(axis=0)) - seen(table) - 1
    assert info.miller_madow(x, y) == pytest.approx(value + correction / (2 * len(x)), abs=1e-12)


def test_plug_in_is_too_high_by_what_is_announced_and_miller_madow_is_not():
    joint = np.full((5, 4), 1 / 20) + 0.02 * np.outer([2, 1, 0, -1, -2], [1, -1, 1, -1])
    truth, samples, repetitions = info.mutual_information(joint), 400, 1000
    x, y = (v.view(repetitions, samples) for v in info.sample_table(joint, repetitions * samples, generator()))
    plain = np.array([info.plug_in(*pair) for pair in zip(x, y, strict=True)])
    corrected = np.array([info.miller_madow(*pair) for pair in zip(x, y, strict=True)])
    bias = info.plug_in_bias(5, 4, samples)
    assert bias == pytest.approx(0.015)
    # First-order theory: what it leaves is of the order of 1 / N^2; the means have standard errors of .0006.
    error = 4 * plain.std() / math.sqrt(repetitions)
    assert plain.mean() - truth == pytest.approx(bias, abs=error + 0.001)
    assert corrected.mean() == pytest.approx(truth, abs=error + 0.001)
    assert error + 0.001 < bias / 3


def test_plug_in_is_too_low_where_few_pairs_are_possible():
    """X = Y uniform on 1,000 values, 300 samples: the mean is exact, as each value's count is binomial."""
    values, samples = 1000, 300
    counts = np.arange(1, samples + 1)
    chances = np.array([math.comb(samples, k) * 0.001**k * 0.999 ** (samples - k) for k in counts.tolist()])
    mean = math.log(samples) - values / samples * (chances * counts * np.log(counts)).sum()
    assert (mean, math.log(values)) == (pytest.approx(5.51, abs=0.005), pytest.approx(6.91, abs=0.005))
    x = torch.randint(values, (200, samples), generator=generator()).numpy()
    found = np.array([info.plug_in(row, row) for row in x])
    assert found.mean() == pytest.approx(mean, abs=4 * found.std() / math.sqrt(len(found)))
    assert info.plug_in_bias(values, values, samples, values) == pytest.approx(-1.665)

    joint = np.array([[0.3, 0.2, 0], [0, 0.1, 0.4]])  # 4 of 6 pairs: (4 - 2 - 3 + 1) / 2N = 0
    triangle = np.array([[0.2, 0.2, 0.2], [0, 0.2, 0.1], [0, 0, 0.1]])  # 6 of 9: 1 / 2N
    for table, excess in ((joint, 0), (triangle, 1), (np.diag([0.2, 0.3, 0.5]), -2)):
        rows, columns, pairs = *table.shape, int(np.count_nonzero(table))
        assert info.plug_in_bias(rows, columns, 200, pairs) == pytest.approx(excess / 400)
        x, y = (v.view(2000, 200).numpy() for v in info.sample_table(table, 400_000, generator()))
        found = np.array([info.plug_in(*pair) for pair in zip(x, y, strict=True)])
        error = 4 * found.std() / math.sqrt(len(found)) + 1e-4
        assert found.mean() - info.mutual_information(table) == pytest.approx(excess / 400, abs=error)


def test_samples_of_a_table_follow_it_and_never_leave_it():
    joint = np.array([[0, 3, 1], [2, 0, 4]])
    x, y = info.sample_table(joint, 100_000, generator())
    seen = np.bincount(3 * x + y, minlength=6).reshape(2, 3)
    assert (seen[joint == 0] == 0).all()
    assert seen / 100_000 == pytest.approx(joint / 10, abs=4 * 0.5 / math.sqrt(100_000))


@RELIABLE
@given(count_tables())
def test_the_log_ratio_of_a_table_averages_to_its_information(table):
    ratio, p = info.log_ratio(table), torch.from_numpy(table / table.sum())
    assert float((ratio[p > 0] * p[p > 0]).sum()) == pytest.approx(info.mutual_information(table), abs=1e-12)
    assert (ratio[p == 0] == -math.inf).all()
    under_product = p.sum(dim=1, keepdim=True) * p.sum(dim=0) * ratio.exp()
    assert float(under_product.sum()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: info.entropy([0.5, -0.5]), "negative"),
        (lambda: info.entropy([0.5, math.nan]), "missing"),
        (lambda: info.entropy([]), "empty"),
        (lambda: info.mutual_information([0.5, 0.5]), "table of 2"),
        (lambda: info.mutual_information(np.zeros((2, 2))), "zero throughout"),
        (lambda: info.plug_in([1, 2], [1]), "same length"),
        (lambda: info.plug_in([0.5], [1]), "integer ids"),
        (lambda: info.item_attribute_mutual_information(np.zeros((3, 2), dtype=bool)), "empty or zero"),
        (lambda: info.item_attribute_mutual_information(np.ones((3, 2), dtype=bool), [1, 2]), "one weight a row"),
    ],
)
def test_tables_and_samples_that_cannot_be_are_refused_in_one_line(call, message):
    with pytest.raises(DataError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# Items and attributes


@RELIABLE
@given(hnp.arrays(np.bool_, st.tuples(sides, sides)), st.data())
def test_item_attribute_information_is_that_of_the_distribution_written_out(table, data):
    weights = data.draw(hnp.arrays(np.int64, len(table), elements=st.integers(0, 5)))
    cells = {}  # item by item, attribute by attribute
    for item, owned in enumerate(table):
        for attribute in np.flatnonzero(owned):
            cells[item, attribute] = weights[item] / owned.sum()
    if sum(cells.values()) == 0:
        with pytest.raises(DataError):
            info.item_attribute_entropies(table, weights)
        return
    joint = np.zeros(table.shape)
    for place, probability in cells.items():
        joint[place] = probability
    value = info.item_attribute_mutual_information(table, weights)
    assert value == pytest.approx(info.mutual_information(joint), abs=1e-12)
    assert info.item_attribute_joint(table, weights) == pytest.approx(joint / joint.sum())
    marginal, given_item = info.item_attribute_entropies(torch.from_numpy(table), weights)
    assert marginal == pytest.approx(info.entropy(joint.sum(axis=0)), abs=1e-12)
    assert given_item == pytest.approx(info.conditional_entropy(joint), abs=1e-12)


def test_item_attribute_information_of_the_toy_and_of_the_planted_world():
    data = toy()
    items = data.attributes[1:-1, 1:]
    value = info.item_attribute_mutual_information(data.attributes)
    assert value == pytest.approx(info.item_attribute_mutual_information(items))  # padding and mask do not count
    popularity = info.training_popularity(data)
    assert popularity.tolist() == [0, 1, 2, 3, 3, 1, 2, 0]  # 6 4 1 | 3 5 6 3 | 2 4 2 3 4
    counted = info.item_attribute_mutual_information(data.attributes, popularity)
    shares = popularity[1:-1, None] * items.numpy() / items.numpy().sum(axis=1, keepdims=True)
    assert counted == pytest.approx(info.mutual_information(shares))
    for world in ({}, {"attributes_per_group": 2, "attributes_per_item": 1}):
        found = info.item_attribute_mutual_information(planted(num_users=1, **world).attributes)
        assert found == pytest.approx(planted_truth(**world).item_attribute)


@needs_mirror
@pytest.mark.parametrize(
    ("name", "uniform", "popular", "entropies"),
    [
        ("LastFM", 3.0764, 2.5888, (5.3487, 2.2723)),
        ("Beauty", 3.4294, 3.3614, (4.7158, 1.2864)),
        ("Yelp", 3.1454, 2.8613, None),
    ],
)
def test_item_attribute_information_of_the_released_data(name, uniform, popular, entropies):
    authors_file(f"{name}_item2attributes.json")
    data = load_dataset(name.lower())
    weights = info.training_popularity(data)
    assert round(info.item_attribute_mutual_information(data.attributes), 4) == uniform
    assert round(info.item_attribute_mutual_information(data.attributes, weights), 4) == popular
    if entropies:
        assert tuple(round(value, 4) for value in info.item_attribute_entropies(data.attributes)) == entropies


@needs_mirror
def test_three_nats_of_lastfm_against_what_each_number_of_candidates_can_certify():
    authors_file("LastFM_item2attributes.json")
    joint = info.item_attribute_joint(load_dataset("lastfm").attributes)
    truth, ratio = info.mutual_information(joint), info.log_ratio(joint)
    for size, reached in ((2, 0.5), (10, 1.7), (100, 2.8)):
        x, y = (v.view(-1, size) for v in info.sample_table(joint, 40_000, generator()))
        scores = ratio[x[:, :, None], y[:, None, :]]  # [40,000 / K, K, K]
        value = float(info.info_nce(scores).mean())
        assert reached < value < min(info.log_k_cap(size), truth)
        bounded = float(info.info_nce(torch.sigmoid(scores)).mean())
        assert bounded < info.bounded_critic_cap(size) < 1


# Truths in closed form


@pytest.mark.parametrize(
    ("dim", "mi", "rho"),
    [
        *((1, mi, rho) for mi, rho in ((0.5, 0.79506), (1, 0.92987), (2, 0.99080))),
        *((20, mi, rho) for mi, rho in ((0.5, 0.2208), (1, 0.3085), (2, 0.4258), (4, 0.5742), (10, 0.7951))),
    ],
)
def test_gaussian_correlations_are_the_tabulated_ones(dim, mi, rho):
    assert info.gaussian_correlation(mi, dim) == pytest.approx(rho, abs=5e-5)
    assert info.gaussian_mi(-info.gaussian_correlation(mi, dim), dim) == pytest.approx(mi)


def test_more_closed_forms():
    assert info.gaussian_mi(0.75) == pytest.approx(0.4133, abs=5e-5)
    assert info.gaussian_mi(0.0, 20) == info.gaussian_correlation(0.0) == 0
    assert info.uniform_noise_mi(0.1) == pytest.approx(1.7094, abs=5e-5)
    assert info.uniform_noise_mi(0.75) == pytest.approx(0.3333, abs=5e-5)
    assert info.uniform_noise_mi(0.5) == pytest.approx(info.uniform_noise_mi(0.5 + 1e-12)) == 0.5


@RELIABLE
@given(st.floats(0.02, 3))
def test_uniform_noise_by_integrating_the_definition(half_width):
    edges = np.linspace(-half_width, 1 + half_width, 400_001)
    y = (edges[1:] + edges[:-1]) / 2
    inside = np.minimum(y + half_width, 1) - np.maximum(y - half_width, 0)  # values of x that can give y
    density = inside / (2 * half_width)
    step = edges[1] - edges[0]
    assert density.sum() * step == pytest.approx(1, abs=1e-6)
    entropy = -(density * np.log(density)).sum() * step
    assert entropy - math.log(2 * half_width) == pytest.approx(info.uniform_noise_mi(half_width), abs=1e-4)


@pytest.mark.parametrize(
    ("draw", "truth"),
    [
        (lambda: info.sample_gaussian(4000, 1, 0.75, generator()), info.gaussian_mi(0.75)),
        (lambda: info.sample_gaussian(4000, 1, -0.99, generator()), info.gaussian_mi(0.99)),
        (lambda: info.sample_uniform_noise(4000, 0.1, generator()), info.uniform_noise_mi(0.1)),
        (lambda: info.sample_uniform_noise(4000, 0.75, generator()), info.uniform_noise_mi(0.75)),
    ],
    ids=["gaussian", "strong gaussian", "narrow noise", "wide noise"],
)
def test_samples_carry_the_announced_information_by_nearest_neighbours(draw, truth):
    selection = pytest.importorskip("sklearn.feature_selection", reason="scikit-learn is the witness")
    x, y = draw()
    assert x.shape == y.shape == (4000, 1)
    (found,) = selection.mutual_info_regression(x.numpy(), y[:, 0].numpy(), random_state=0)
    assert found == pytest.approx(truth, abs=0.06)  # the spread of these estimators at 4,000 samples is .02


@pytest.mark.parametrize("dim", [1, 20])
def test_gaussian_samples_have_unit_variance_and_the_correlation(dim):
    x, y = info.sample_gaussian(100_000, dim, 0.6, generator(3))
    assert torch.corrcoef(torch.cat([x, y], dim=1).T) == pytest.approx(
        np.kron([[1, 0.6], [0.6, 1]], np.eye(dim)), abs=0.02
    )
    assert torch.cat([x, y]).std(dim=0).numpy() == pytest.approx(1, abs=0.02)
    assert info.sample_gaussian(2, dim, 0.6, generator(), dtype=torch.float32)[1].dtype == torch.float32


def test_the_gaussian_log_ratio_is_that_of_the_densities():
    x, y = info.sample_gaussian(6, 3, 0.7, generator())
    rho = torch.tensor([[1, 0.7], [0.7, 1]], dtype=torch.float64)
    together = torch.distributions.MultivariateNormal(torch.zeros(2, dtype=torch.float64), rho)
    alone = torch.distributions.Normal(0.0, 1.0)
    for i, j in np.ndindex(6, 6):
        pair = torch.stack([x[i], y[j]], dim=1)  # [3, 2]
        expected = together.log_prob(pair).sum() - alone.log_prob(pair).sum()
        assert float(info.gaussian_log_ratio(x, y, 0.7)[i, j]) == pytest.approx(float(expected))


# Bounds with the optimal critic: what is left is the estimator's own error


@pytest.mark.parametrize("mi", [0.5, 1, 2, 4, 6, 8, 10])
@pytest.mark.parametrize("dim", [1, 20])
def test_the_joint_term_of_the_optimal_critic_averages_to_the_information(dim, mi):
    rho, repetitions = info.gaussian_correlation(mi, dim), 20_000
    x, y = info.sample_gaussian(repetitions, dim, rho, generator())
    ratios = info.gaussian_log_ratio(x[:, None], y[:, None], rho)[:, 0, 0]  # each pair a batch of its own
    error = math.sqrt(dim) * rho / math.sqrt(repetitions)  # the log ratio of a joint pair has variance dim * rho^2
    assert float(ratios.mean()) == pytest.approx(mi, abs=4 * error)
    assert float(ratios.std()) == pytest.approx(math.sqrt(dim) * rho, rel=0.05)


@pytest.mark.parametrize(("dim", "mi"), [(1, 0.5), (20, 0.5), (20, 1), (20, 2)])
def test_nwj_is_unbiased_with_the_variance_that_theory_gives(dim, mi):
    size, repetitions = 32, 2000
    scores = optimal_scores(mi, dim, size, repetitions)
    variance = info.gaussian_nwj_variance(info.gaussian_correlation(mi, dim), dim, size)
    values = info.nwj(scores + 1)
    assert float(values.mean()) == pytest.approx(mi, abs=4 * math.sqrt(variance / repetitions))
    if mi < 2:  # beyond that the sample variance is itself ruled by rare batches
        assert float(values.var()) == pytest.approx(variance, rel=0.25)
    assert torch.equal(info.js_value(scores), values)
    # A baseline of each y that is off makes the bound loose, never too high.
    loose = info.tuba(scores, torch.linspace(-1, 1, size, dtype=torch.float64))
    assert float(loose.mean()) < mi


@pytest.mark.parametrize("rho", [0.2, -0.6, 0.8])
def test_the_variance_of_nwj_by_integrating_on_a_grid(rho):
    grid = torch.linspace(-12, 12, 481, dtype=torch.float64)[:, None]
    ratio = info.gaussian_log_ratio(grid, grid, rho)  # [X, Y]
    marginal = torch.exp(-grid.square()[:, 0] / 2)
    marginal = marginal / marginal.sum()
    product = marginal[:, None] * marginal
    joint = product * ratio.exp()
    assert float(joint.sum()) == pytest.approx(1)
    log_variance = (joint * ratio.square()).sum() - (joint * ratio).sum() ** 2
    alone = (product * (2 * ratio).exp()).sum() - 1
    swapped = torch.trace(joint @ ratio.exp().T @ joint @ ratio.exp().T) - 1  # pairs (i, j) and (j, i)
    expected = log_variance / 7 + (alone + swapped) / (7 * 6)
    assert info.gaussian_nwj_variance(rho, 1, 7) == pytest.approx(float(expected), rel=1e-6)


def test_variance_of_dv_and_nwj_grows_with_the_information_and_that_of_info_nce_does_not():
    spread = {name: [] for name in ("dv", "nwj", "info_nce", "smile")}
    for mi in (0.5, 2, 4, 6):
        scores = optimal_scores(mi, 20, 64, 500)
        spread["dv"].append(float(info.dv(scores).std()))
        spread["nwj"].append(float(info.nwj(scores + 1).std()))
        spread["info_nce"].append(float(info.info_nce(scores).std()))
        spread["smile"].append(float(info.smile(scores, 1.0).std()))
    for name in ("dv", "nwj"):
        assert spread[name] == sorted(spread[name])
    assert spread["nwj"][-1] > 4 * spread["nwj"][0]
    assert spread["info_nce"][-1] < 2 * spread["info_nce"][0]
    exact = [info.gaussian_nwj_variance(info.gaussian_correlation(mi, 20), 20, 64) for mi in (4, 6, 8, 10)]
    assert all(later > 40 * sooner for sooner, later in itertools.pairwise(exact))  # e^4 is 55


def test_info_nce_is_a_lower_bound_close_below_log_k_and_stuck_at_log_k():
    for size, mi, gap in ((512, 0.5, 0.02), (512, 2, 0.05), (64, 2, 0.15)):
        values = info.info_nce(optimal_scores(mi, 20, size, 10_000 // size))
        error = 4 * float(values.std()) / math.sqrt(len(values))
        assert mi - gap - error < float(values.mean()) < mi + error
    for dim in (1, 20):
        for mi in (6, 10):  # log 64 = 4.16
            values = info.info_nce(optimal_scores(mi, dim, 64, 200))
            assert float(values.max()) <= math.log(64)
            assert float(values.mean()) < mi - 1.8
    assert float(values.mean()) > math.log(64) - 0.05


def test_dv_on_a_batch_is_too_high_on_average():
    scores = optimal_scores(2, 20, 16, 4000)
    values = info.dv(scores)
    assert float(values.mean()) - 2 > 5 * float(values.std()) / math.sqrt(4000)


def test_smile_exceeds_the_truth_so_it_is_no_bound():
    for mi in (2, 10):
        values = info.smile(optimal_scores(mi, 20, 64, 500), clip=1.0)
        assert float(values.mean()) - mi > 8 * float(values.std()) / math.sqrt(500)
        assert float(values.mean()) < mi + 1 + 8 * float(values.std()) / math.sqrt(500)  # by the clip at most


# Bounds on any matrix: formulas written out, identities, caps


def loops(scores: np.ndarray) -> dict[str, float]:
    """The definitions of E.1, term by term."""
    size = len(scores)
    pairs = [(i, j) for i in range(size) for j in range(size) if i != j]
    joint = sum(scores[i, i] for i in range(size)) / size

    def product(function):
        return sum(function(scores[i, j]) for i, j in pairs) / len(pairs)

    return {
        "dv": joint - math.log(product(math.exp)),
        "nwj": joint - product(math.exp) / math.e,
        "info_nce": sum(math.log(math.exp(scores[i, i]) / (sum(map(math.exp, scores[i])) / size)) for i in range(size))
        / size,
        "js": -sum(math.log1p(math.exp(-scores[i, i])) for i in range(size)) / size
        - product(lambda f: math.log1p(math.exp(f))),
        "smile": joint - math.log(product(lambda f: min(max(math.exp(f), math.exp(-2)), math.exp(2)))),
    }


@RELIABLE
@given(score_matrices(-8, 8))
def test_bounds_are_their_definitions_written_out(scores):
    expected = loops(scores.numpy())
    found = {name: getattr(info, name)(scores) for name in ("dv", "nwj", "info_nce", "js")}
    found["smile"] = info.smile(scores, clip=2.0)
    for name, value in found.items():
        assert float(value) == pytest.approx(expected[name], rel=1e-9, abs=1e-9), name
    stacked = torch.stack([scores, -scores])
    for bound in (info.dv, info.nwj, info.info_nce, info.js, info.smile):
        assert bound(stacked)[0] == pytest.approx(float(bound(scores)))


@RELIABLE
@given(score_matrices(), st.floats(-5, 5))
def test_what_the_bounds_have_in_common(scores, shift):
    size = len(scores)
    by_row, by_column = torch.linspace(-3, 3, size)[:, None], torch.linspace(-2, 1, size)

    def same(left, right):
        assert float(left) == pytest.approx(float(right), rel=1e-6, abs=1e-6)

    same(info.dv(scores + shift), info.dv(scores))
    same(info.mine(scores), info.dv(scores))
    same(info.smile(scores, clip=None), info.dv(scores))
    same(info.info_nce(scores + by_row), info.info_nce(scores))
    same(info.tuba(scores, by_column), info.nwj(scores - by_column + 1))
    # DV is NWJ with the best constant added to the critic.
    assert float(info.nwj(scores + shift)) <= float(info.dv(scores)) + 1e-6
    best = info.nwj(scores + 1 - torch.logsumexp(scores[~torch.eye(size, dtype=bool)], 0) + math.log(size * (size - 1)))
    same(best, info.dv(scores))


@RELIABLE
@given(score_matrices(-300, 300))
def test_no_scores_lift_a_bound_above_its_cap(scores):
    size = len(scores)
    assert float(info.info_nce(scores)) <= info.log_k_cap(size) + 1e-9
    assert float(info.js(scores)) <= 0
    squashed = torch.sigmoid(scores)
    assert float(info.info_nce(squashed)) <= info.bounded_critic_cap(size) + 1e-9
    assert float(info.dv(squashed)) <= 1 + 1e-9
    assert float(info.nwj(squashed)) <= 1 - 1 / math.e + 1e-9


@pytest.mark.parametrize("size", [2, 10, 100])
def test_a_perfect_critic_reaches_the_caps(size):
    perfect = 400 * (2 * torch.eye(size, dtype=torch.float64) - 1)
    assert float(info.info_nce(perfect)) == pytest.approx(info.log_k_cap(size))
    assert float(info.info_nce(torch.sigmoid(perfect))) == pytest.approx(info.bounded_critic_cap(size))
    assert float(info.js(perfect)) == pytest.approx(0)
    assert float(info.nwj(perfect)) == pytest.approx(400)  # nothing holds this one


def test_caps_are_the_tabulated_ones():
    candidates = (2, 10, 64, 100, 1000, 3646, 12101)  # the last two: all items of LastFM and of Beauty
    caps = (0.693, 2.303, 4.159, 4.605, 6.908, 8.201, 9.401)
    bounded = (0.380, 0.841, 0.974, 0.983, 0.998, 0.9995, 0.9999)
    for size, cap, squashed in zip(candidates, caps, bounded, strict=True):
        assert info.log_k_cap(size) == pytest.approx(cap, abs=5e-4)
        assert info.bounded_critic_cap(size) == pytest.approx(squashed, abs=5e-4)
    assert info.bounded_critic_cap(12101) == pytest.approx(0.99992, abs=1e-4)
    assert info.bounded_critic_cap(10**12) < 1
    others = torch.zeros(99, dtype=torch.float64)  # (10): the positive, scored 1, is not in the sum
    assert float(1 - torch.logsumexp(others, 0)) + math.log(99) == pytest.approx(1)


@RELIABLE
@given(st.floats(-20, 20), st.floats(-20, 20))
def test_pairwise_losses_in_nats(positive, negative):
    pair = torch.tensor([positive, negative], dtype=torch.float64)
    loss = -torch.nn.functional.logsigmoid(pair[0] - pair[1])
    cross_entropy = torch.nn.functional.cross_entropy(pair, torch.tensor(0))
    assert float(info.pairwise_to_nats(loss)) == pytest.approx(float(info.certified_nats(cross_entropy, 2)))
    both_rows = torch.stack([pair, pair.flip(0)])  # the same contest for x_1 and x_2
    assert float(info.pairwise_to_nats(loss)) == pytest.approx(float(info.info_nce(both_rows)), abs=1e-12)
    squashed = pair.sigmoid()
    double = float(-torch.nn.functional.logsigmoid(squashed[0] - squashed[1]))
    span = info.double_sigmoid_range()
    assert span.lowest <= double <= span.highest


def test_the_double_sigmoid_floor():
    assert info.double_sigmoid_range() == pytest.approx((0.3133, 0.6931, 1.3133), abs=5e-5)
    in_nats = [info.pairwise_to_nats(loss) for loss in info.double_sigmoid_range()]
    assert in_nats == pytest.approx([0.380, 0, -0.620], abs=5e-4)
    assert in_nats[0] == pytest.approx(info.bounded_critic_cap(2))


# Gradients and training


@pytest.mark.parametrize("bound", [info.dv, info.nwj, info.info_nce, info.js, info.js_value, info.smile])
def test_gradients_agree_with_finite_differences(bound):
    scores = torch.randn(2, 4, 4, generator=generator(), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(bound, scores)


def test_mine_divides_its_gradient_by_the_moving_average():
    scores = torch.randn(5, 5, generator=generator(), dtype=torch.float64, requires_grad=True)

    def gradient(value):
        return torch.autograd.grad(value, scores)[0]

    first, average = info.mine_objective(scores)
    assert first.item() == pytest.approx(info.dv(scores).item())
    assert torch.allclose(gradient(first), gradient(info.dv(scores)))  # the first batch is all there is
    mean = float(torch.exp(average))
    value, average = info.mine_objective(scores, torch.tensor(math.log(7.0)), rate=0.25)
    expected = 0.75 * 7 + 0.25 * mean
    assert not average.requires_grad and float(torch.exp(average)) == pytest.approx(expected)
    assert value.item() == pytest.approx(info.dv(scores).item())
    product = scores.detach().exp() / 20 / expected  # 20 product pairs
    assert torch.allclose(gradient(value), torch.where(torch.eye(5, dtype=bool), 0.2, -product))


@pytest.mark.parametrize(
    "critic", [info.SeparableCritic(3, 2, 8, 4), info.ConcatCritic(3, 2, 8), info.BilinearCritic(3, 2)]
)
def test_critics_score_every_pair_for_itself(critic):
    x, y = torch.randn(4, 3, generator=generator()), torch.randn(5, 2, generator=generator(1))
    scores = critic(x, y)
    assert scores.shape == (4, 5)
    for i, j in np.ndindex(4, 5):
        assert torch.allclose(scores[i, j], critic(x[i : i + 1], y[j : j + 1])[0, 0], atol=1e-6)
    plain = scores.detach()
    critic.bounded = True
    assert torch.allclose(critic(x, y), torch.sigmoid(plain))


def test_critics_depend_on_their_seed_and_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    for kind in (info.SeparableCritic, info.ConcatCritic, info.BilinearCritic):
        x = torch.ones(2, 3)
        assert torch.equal(kind(3, 3, seed=1)(x, x), kind(3, 3, seed=1)(x, x))
        assert not torch.equal(kind(3, 3, seed=1)(x, x), kind(3, 3, seed=2)(x, x))
    assert torch.equal(torch.get_rng_state(), state)


def gaussian_sampler(mi: float):
    rho = info.gaussian_correlation(mi)
    return lambda num, draws: info.sample_gaussian(num, 1, rho, draws)


@pytest.mark.training
@pytest.mark.parametrize("bound", ["dv", "mine", "nwj", "info_nce", "js", "smile"])
def test_a_trained_critic_comes_near_the_truth(bound):
    trace = info.estimate(
        gaussian_sampler(0.7), info.ConcatCritic(1, 1, 16), bound,
        steps=250, batch_size=48, generator=generator(), learning_rate=5e-3,
    )  # fmt: skip
    assert trace.shape == (250,) and trace.dtype == torch.float64
    assert abs(float(trace[0])) < 0.6
    # The mean of 100 batches spreads by about .03; an imperfect critic, and a batch of 48, cost a little.
    assert float(trace[-100:].mean()) == pytest.approx(0.7, abs=0.12)


@pytest.mark.training
def test_a_bounded_critic_stops_at_its_cap_and_an_unbounded_one_does_not():
    settings = {"steps": 250, "batch_size": 10, "learning_rate": 5e-3}
    sample = gaussian_sampler(3.0)
    free = info.estimate(sample, info.SeparableCritic(1, 1, 32), **settings, generator=generator())
    held = info.estimate(sample, info.SeparableCritic(1, 1, 32, bounded=True), **settings, generator=generator())
    assert float(held.max()) <= info.bounded_critic_cap(10) + 1e-6
    assert float(free[-50:].mean()) > info.bounded_critic_cap(10) + 0.3
    assert float(free.max()) <= info.log_k_cap(10) + 1e-6


def test_a_trace_is_repeatable_and_reports_what_is_asked():
    def run(**changes):
        settings = {"steps": 5, "batch_size": 8, "generator": generator()}
        return info.estimate(gaussian_sampler(1.0), info.BilinearCritic(1, 1), **{**settings, **changes})

    assert torch.equal(run(), run()) and not torch.equal(run(), run(generator=generator(1)))
    assert torch.equal(run(bound=info.info_nce), run())
    untrained = info.BilinearCritic(1, 1)(*gaussian_sampler(1.0)(8, generator()))
    assert float(run()[0]) == pytest.approx(float(info.info_nce(untrained.detach())))  # read, then learned from
    assert torch.equal(run(bound=functools.partial(info.smile, clip=None)), run(bound="dv"))
    with pytest.raises(TrainingError, match="lower learning_rate"):
        run(bound="nwj", learning_rate=1e6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: info.gaussian_mi(1.0), "strictly between"),
        (lambda: info.gaussian_mi(0.5, 0), "dim 0"),
        (lambda: info.gaussian_correlation(-0.1), "mi -0.1"),
        (lambda: info.gaussian_correlation(0.5, 0), "dim 0"),
        (lambda: info.gaussian_correlation(50.0), "rounds to 1"),
        (lambda: info.uniform_noise_mi(0.0), "half_width"),
        (lambda: info.conditional_entropy([[1]], given=2), "given 2"),
        (lambda: info.plug_in_bias(0, 1, 1), "1 or more"),
        (lambda: info.plug_in_bias(5, 4, 1, 3), "5 to 20"),
        (lambda: info.log_k_cap(0), "count the positive"),
        (lambda: info.dv(torch.zeros(2, 3)), "square"),
        (lambda: info.js(torch.zeros(1, 1)), "square"),
        (lambda: info.smile(torch.zeros(2, 2), clip=0), "clip 0"),
        (lambda: info.mine_objective(torch.zeros(2, 2), rate=0), "rate 0"),
        (lambda: info.SeparableCritic(0, 1), "layer sizes"),
        (lambda: info.estimate(None, None, "kl", steps=1, batch_size=2, generator=None), "'kl' is not one of dv"),
        (lambda: info.estimate(None, None, steps=1, batch_size=1, generator=None), "batch_size 1"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_in_one_line(call, message):
    with pytest.raises(SettingError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_every_public_name_is_documented_and_reachable():
    assert sorted(info.__all__) == info.__all__
    for name in info.__all__:
        assert getattr(info, name).__doc__, name
