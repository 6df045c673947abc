"""The softmax in chunks equals the plain line; the sampled one estimates it without bias."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from s3rec_lite import FinetuneConfig, SettingError
from s3rec_lite.support import softmax
from s3rec_lite.support.softmax import SharedDraw, SharedNegatives, full_softmax_loss, sampled_softmax_loss


def problem(num_targets: int, num_candidates: int, width: int = 8, dtype=torch.float64):
    generator = torch.Generator().manual_seed(num_targets)
    hidden = torch.randn(num_targets, width, generator=generator, dtype=dtype, requires_grad=True)
    table = torch.randn(num_candidates, width, generator=generator, dtype=dtype, requires_grad=True)
    return hidden, table, torch.randint(num_candidates, (num_targets,), generator=generator)


def plain(hidden, table, wanted):
    return F.cross_entropy(hidden @ table.T, wanted, reduction="sum")


@pytest.mark.parametrize("num_targets", [1, 63, 64, 65, 200])
def test_value_and_gradients_are_those_of_the_plain_line(num_targets, monkeypatch):
    monkeypatch.setattr(softmax, "_SCORES_PER_CHUNK", 1)  # chunks of 64 targets
    hidden, table, wanted = problem(num_targets, 37)
    results = []
    for loss in (plain, full_softmax_loss):
        value = loss(hidden, table, wanted)
        results.append((value.detach(), *torch.autograd.grad(3 * value, (hidden, table))))
    for expected, found in zip(*results, strict=True):
        assert torch.allclose(expected, found, rtol=1e-12, atol=1e-12)


def test_in_float32_and_under_autocast_it_is_close():
    hidden, table, wanted = problem(100, 500, dtype=torch.float32)
    expected = plain(hidden, table, wanted).item()
    assert full_softmax_loss(hidden, table, wanted).item() == pytest.approx(expected, rel=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = full_softmax_loss(hidden, table, wanted)
    assert loss.item() == pytest.approx(expected, rel=2e-2)
    assert all(slope.dtype == torch.float32 for slope in torch.autograd.grad(loss, (hidden, table)))


def test_without_gradients_the_value_is_the_same():
    hidden, table, wanted = problem(70, 90)
    with torch.no_grad():
        value = full_softmax_loss(hidden, table, wanted)
    assert value.item() == pytest.approx(plain(hidden, table, wanted).item(), rel=1e-12)


def test_only_what_is_asked_for_has_a_gradient():
    hidden, table, wanted = problem(10, 12)
    full_softmax_loss(hidden, table.detach(), wanted).backward()
    assert hidden.grad is not None


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
def test_the_draws_estimate_the_partition_without_bias(distribution):
    training = np.repeat(np.arange(1, 11), np.arange(1, 11))
    scores = torch.linspace(-1, 1, 11)  # by item id
    negatives, rng = SharedNegatives(training, 50_000, distribution), np.random.default_rng(0)
    drawn = negatives.draw(rng, torch.device("cpu"))
    estimate = (scores[drawn.items] - drawn.log_counts).exp().sum()
    assert estimate.item() == pytest.approx(scores[1:].exp().sum().item(), rel=0.02)
    shares = np.bincount(drawn.items.numpy(), minlength=11)[1:] / 50_000
    expected = np.full(10, 0.1) if distribution == "uniform" else np.arange(1, 11) / 55
    assert np.abs(shares - expected).max() < 0.01


@pytest.mark.parametrize("distribution", ["uniform", "popularity"])
def test_with_many_negatives_it_points_where_the_full_softmax_points(distribution):
    hidden, table, wanted = problem(20, 31)
    wanted = wanted % 30 + 1  # row 0 is no item
    training = np.repeat(np.arange(1, 31), 1 + np.arange(30) % 3)
    drawn = SharedNegatives(training, 100_000, distribution).draw(np.random.default_rng(1), torch.device("cpu"))
    drawn = SharedDraw(drawn.items, drawn.log_counts.double())
    sampled = sampled_softmax_loss(hidden, table[torch.cat([wanted, drawn.items])], wanted, drawn)
    full = full_softmax_loss(hidden, table[1:], wanted - 1)
    assert sampled.item() == pytest.approx(full.item(), rel=0.02)
    ours, theirs = (torch.autograd.grad(loss, hidden, retain_graph=True)[0].flatten() for loss in (sampled, full))
    assert F.cosine_similarity(ours, theirs, dim=0) > 0.999


def test_a_negative_that_is_the_target_does_not_count():
    hidden, table, _ = problem(1, 4)
    wanted, drawn = torch.tensor([2]), SharedDraw(torch.tensor([2, 2]), torch.zeros(2, dtype=torch.float64))
    assert sampled_softmax_loss(hidden, table[torch.tensor([2, 2, 2])], wanted, drawn).item() == 0


def test_no_negatives_draw_nothing():
    rng = np.random.default_rng(0)
    assert SharedNegatives(np.arange(1, 5), 0, "uniform").draw(rng, torch.device("cpu")) is None
    assert rng.integers(10**9) == np.random.default_rng(0).integers(10**9)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"loss": "bpr", "num_negatives": 5}, "is for loss='ce'"),
        ({"num_negatives": 5, "special_candidates": True}, "special_candidates off"),
        ({"negative_distribution": "popularity"}, "needs num_negatives above 0"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, word):
    with pytest.raises(SettingError, match=word):
        FinetuneConfig(**changes)
