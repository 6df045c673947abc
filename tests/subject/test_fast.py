"""Dropout from random bytes and bits: what is kept, how it is scaled, and where the numbers come from."""

import numpy as np
import pytest
import torch
from helpers import not_by_chance
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite import ModelConfig
from s3rec_lite.support.fast import RandomDropout, keep_mask


def dropout(p: float, seed: int | None = 0) -> RandomDropout:
    rng = None if seed is None else np.random.default_rng(seed)
    return RandomDropout(ModelConfig(hidden_dropout_prob=p, attn_dropout_prob=0.0), rng)


@given(st.integers(0, 700), st.integers(1, 255), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_a_mask_holds_zeros_and_the_inverse_of_the_kept_share(size, threshold, seed):
    mask = keep_mask(size, threshold, np.random.default_rng(seed))
    assert mask.shape == (size,)
    assert mask.dtype == torch.float32
    scale = torch.tensor(256 / (256 - threshold))
    assert ((mask == 0) | torch.isclose(mask, scale)).all()


@pytest.mark.parametrize("p", [0.05, 0.1, 0.25, 0.3, 0.5, 0.7, 0.9])
def test_the_share_is_p_in_steps_of_1_in_256_and_the_expectation_is_kept(p):
    size = 400_000
    out = dropout(p).hidden(torch.ones(size))
    threshold = round(p * 256)
    assert abs(threshold / 256 - p) <= 1 / 512
    kept = int((out != 0).sum())
    assert not_by_chance(np.array([kept, size - kept]), size * np.array([1 - threshold / 256, threshold / 256])) < 12
    assert out.mean().item() == pytest.approx(1, abs=5 * np.sqrt(p / (1 - p) / size))


@pytest.mark.parametrize("p", [0.5, 0.25])
def test_neighbours_are_dropped_independently(p):
    """Bits come out of words of 64 and bytes of 8: no place in a word is special, none follows another."""
    kept = (keep_mask(64 * 20_000, round(p * 256), np.random.default_rng(1)) != 0).double().view(-1, 64)
    allowed = 5 * np.sqrt(p * (1 - p) / len(kept))
    assert (kept.mean(dim=0) - (1 - p)).abs().max() < allowed
    correlation = torch.corrcoef(kept.T) - torch.eye(64, dtype=torch.float64)
    assert correlation.abs().max() < 5.5 / np.sqrt(len(kept))


def test_no_dropout_gives_the_same_tensor_back():
    x = torch.randn(3, 4)
    assert dropout(0.0).hidden(x) is x
    assert dropout(0.5, seed=None).hidden(x) is x
    assert dropout(0.5).attention(x) is x, "attention has a probability of its own"


@given(st.sampled_from([0.1, 0.5, 0.8]), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_one_seed_gives_one_mask_and_nothing_global_is_touched(p, seed):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    x = torch.ones(7, 33)
    first, again, other = (dropout(p, s).hidden(x) for s in (seed, seed, seed + 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])


def test_two_calls_draw_two_masks():
    source, x = dropout(0.5), torch.ones(500)
    assert not torch.equal(source.hidden(x), source.hidden(x))


def test_the_gradient_passes_where_the_value_does():
    x = torch.randn(300, requires_grad=True)
    out = dropout(0.5).hidden(x)
    out.sum().backward()
    assert torch.equal(x.grad != 0, out.detach() != 0)
    assert set(x.grad.unique().tolist()) == {0.0, 2.0}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_the_type_and_shape_of_the_input_are_kept(dtype):
    out = dropout(0.5).hidden(torch.ones(2, 3, 5, dtype=dtype))
    assert out.dtype == dtype
    assert out.shape == (2, 3, 5)


def test_a_probability_just_below_one_still_keeps_something():
    assert (dropout(0.999).hidden(torch.ones(100_000)) != 0).any()
