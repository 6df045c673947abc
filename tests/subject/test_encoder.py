"""The encoder: against PyTorch's own layer, padding, causality, and the shortcuts to the last position."""

import numpy as np
import pytest
import torch
from helpers import make_data, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from s3rec_lite.encoder import ACTIVATIONS

NUM_ITEMS, WIDTH = 15, 12
DATA = make_data([range(1, NUM_ITEMS + 1)], num_attributes=3)
MODEL = tiny_model(DATA, n_heads=4)
CLOSE = {"rtol": 1e-9, "atol": 1e-10}


@st.composite
def batches(draw, rows: int = 4, longest: int = WIDTH) -> torch.Tensor:
    """Sequences of different lengths, padded on the left to the longest."""
    lengths = draw(st.lists(st.integers(1, longest), min_size=1, max_size=rows))
    seed, width = draw(st.integers(0, 2**32 - 1)), max(lengths)
    items = np.random.default_rng(seed).integers(1, NUM_ITEMS + 2, (len(lengths), width))
    items[np.arange(width) < width - np.array(lengths)[:, None]] = 0
    return torch.from_numpy(items)


def pytorch_layer(block: nn.Module, activation: str, n_heads: int, hidden: int) -> nn.TransformerEncoderLayer:
    attention, feed_forward = block.attention, block.feed_forward
    layer = nn.TransformerEncoderLayer(
        hidden, n_heads, feed_forward.inner.out_features, dropout=0.0, activation=ACTIVATIONS[activation],
        layer_norm_eps=attention.layer_norm.eps, batch_first=True, norm_first=False, dtype=torch.float64,
    )  # fmt: skip
    layer.load_state_dict(
        {
            "self_attn.in_proj_weight": attention.query_key_value.weight,
            "self_attn.in_proj_bias": attention.query_key_value.bias,
            "self_attn.out_proj.weight": attention.output.weight,
            "self_attn.out_proj.bias": attention.output.bias,
            "linear1.weight": feed_forward.inner.weight,
            "linear1.bias": feed_forward.inner.bias,
            "linear2.weight": feed_forward.output.weight,
            "linear2.bias": feed_forward.output.bias,
            "norm1.weight": attention.layer_norm.weight,
            "norm1.bias": attention.layer_norm.bias,
            "norm2.weight": feed_forward.layer_norm.weight,
            "norm2.bias": feed_forward.layer_norm.bias,
        }
    )
    return layer.train()  # evaluation mode takes a fused path of its own


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("n_heads", [1, 2, 8])
def test_it_is_pytorchs_transformer_encoder(activation, causal, n_heads):
    model = tiny_model(DATA, n_heads=n_heads, n_layers=3, hidden_act=activation, seed=3)
    items = torch.tensor([[0, 0, 3, 7, 7], [1, 2, 3, 4, 5], [0, 0, 0, 0, 9]])
    positions = model.position_embeddings.weight[-5:]
    x = model.layer_norm(model.item_embeddings(items) + positions)
    future = torch.ones(5, 5, dtype=torch.bool).triu(1) if causal else None
    for block in model.blocks:
        layer = pytorch_layer(block, activation, n_heads, 8)
        x = torch.nan_to_num(layer(x, src_mask=future, src_key_padding_mask=items == 0))
    real = items != 0
    assert torch.allclose(model.encode(items, causal=causal)[real], x[real], **CLOSE)


class TestPadding:
    @given(batches(), st.integers(0, 6), st.booleans())
    @settings(max_examples=40, deadline=None)
    def test_more_padding_changes_nothing_at_real_positions(self, items, extra, causal):
        extra = min(extra, WIDTH - items.shape[1])
        wide = F.pad(items, (extra, 0))
        narrow_states, wide_states = MODEL.encode(items, causal), MODEL.encode(wide, causal)[:, extra:]
        real = items != 0
        assert torch.allclose(narrow_states[real], wide_states[real], **CLOSE)

    @given(batches(), st.booleans())
    @settings(max_examples=40, deadline=None)
    def test_a_sequence_does_not_see_its_neighbours_in_the_batch(self, items, causal):
        together = MODEL.encode(items, causal)
        for row, states in zip(items, together, strict=True):
            real = row != 0
            alone = MODEL.encode(row[real][None], causal)[0]
            assert torch.allclose(states[real], alone, **CLOSE)

    def test_what_the_padding_row_holds_does_not_matter(self):
        model, items = tiny_model(DATA, zero_padding_row=False), torch.tensor([[0, 0, 4, 2]])
        before = model.encode(items)
        with torch.no_grad():
            model.item_embeddings.weight[0] += 5
        assert torch.allclose(model.encode(items)[:, 2:], before[:, 2:], **CLOSE)

    def test_a_row_of_nothing_but_padding_is_finite(self):
        for causal in (False, True):
            assert torch.isfinite(MODEL.encode(torch.zeros(2, 5, dtype=torch.long), causal)).all()

    def test_too_long_sequences_are_refused(self):
        with pytest.raises(ValueError, match="13 items exceed max_length=12"):
            MODEL.encode(torch.ones(1, 13, dtype=torch.long))


class TestDirection:
    @given(batches(), st.integers(0, WIDTH - 1), st.integers(1, NUM_ITEMS), st.sampled_from(["right", "left"]))
    @settings(max_examples=50, deadline=None)
    def test_a_later_item_never_changes_an_earlier_state(self, items, place, new, positions):
        model = tiny_model(DATA, finetune_positions=positions)
        place = min(place, items.shape[1] - 1)
        changed = items.clone()
        changed[:, place] = torch.where(changed[:, place] != 0, new, 0)
        before, after = model.encode(items, causal=True), model.encode(changed, causal=True)
        earlier = (items != 0) & (torch.arange(items.shape[1]) < place)
        assert torch.equal(before[earlier], after[earlier])

    def test_without_the_causal_mask_it_does(self):
        items, changed = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2, 3, 9]])
        assert not torch.allclose(MODEL.encode(items)[:, 0], MODEL.encode(changed)[:, 0], atol=1e-3)

    @given(batches())
    @settings(max_examples=30, deadline=None)
    def test_the_order_of_the_items_matters_through_positions_only(self, items):
        model = tiny_model(DATA)
        with torch.no_grad():
            model.position_embeddings.weight.zero_()
        for row in items:
            real = row[row != 0][None]
            swapped = real.flip(1)
            assert torch.allclose(model.encode(real).flip(1), model.encode(swapped), **CLOSE)


class TestPositions:
    @given(batches())
    @settings(max_examples=30, deadline=None)
    def test_left_counts_from_the_oldest_item(self, items):
        """The same as shifting the table under a model that counts from the right."""
        left, right = (tiny_model(DATA, finetune_positions=side) for side in ("left", "right"))
        table = left.position_embeddings.weight.detach().clone()
        for row in items:
            real = row != 0
            count = int(real.sum())
            with torch.no_grad():
                right.position_embeddings.weight[WIDTH - count :] = table[:count]
            expected = right.encode(row[real][None], causal=True)[0]
            assert torch.allclose(left.encode(row[None], causal=True)[0, real], expected, **CLOSE)

    def test_a_full_sequence_has_the_same_positions_either_way(self):
        left, right = (tiny_model(DATA, finetune_positions=side) for side in ("left", "right"))
        full, short = torch.arange(1, WIDTH + 1)[None], torch.tensor([[0, 0, 3, 4]])
        assert torch.allclose(left.encode(full, causal=True), right.encode(full, causal=True), **CLOSE)
        assert not torch.allclose(left.encode_last(short), right.encode_last(short), atol=1e-3)

    def test_pre_training_always_counts_from_the_newest_item(self):
        left, right = (tiny_model(DATA, finetune_positions=side) for side in ("left", "right"))
        items = torch.tensor([[0, 0, 3, 4]])
        assert torch.equal(left.encode(items), right.encode(items))


class TestShortcuts:
    @given(batches(), st.booleans(), st.sampled_from([1, 2, 3]), st.sampled_from(["right", "left"]))
    @settings(max_examples=40, deadline=None)
    def test_the_last_position_alone_equals_the_full_pass(self, items, causal, n_layers, positions):
        model = tiny_model(DATA, n_layers=n_layers, n_heads=2, finetune_positions=positions)
        full = model.encode(items, causal)[:, -1]
        assert torch.allclose(model.encode_last(items, causal), full, **CLOSE)

    @given(batches(), st.integers(1, 3))
    @settings(max_examples=30, deadline=None)
    def test_one_pass_for_both_groups_equals_two(self, items, n_layers):
        model = tiny_model(DATA, n_layers=n_layers)
        newest = torch.cat([items, items.roll(1, 0), items], dim=0)
        states, last = model.encode_views(items, newest)
        assert torch.allclose(states, model.encode(items), **CLOSE)
        assert torch.allclose(last, model.encode(newest)[:, -1], **CLOSE)

    def test_the_gradients_of_the_shortcut_are_those_of_the_full_pass(self):
        items = torch.tensor([[0, 0, 3, 7, 2], [1, 2, 3, 4, 5]])
        weights = torch.randn(2, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        slopes = []
        for states in (MODEL.encode_last(items), MODEL.encode(items, causal=True)[:, -1]):
            MODEL.zero_grad()
            (states * weights).sum().backward()
            slopes.append([torch.zeros(1) if p.grad is None else p.grad.clone() for p in MODEL.parameters()])
        for short, full in zip(*slopes, strict=True):
            assert torch.allclose(short, full, rtol=1e-8, atol=1e-11)

    @pytest.mark.parametrize("p", [0.3, 0.5])
    def test_attention_dropout_is_the_same_random_variable_on_both_ways(self, p):
        """Same mean as without dropout, and the same spread at the last position."""
        model = tiny_model(DATA, n_layers=1, attn_dropout_prob=p)
        items, attention = torch.tensor([[0, 2, 5, 7, 1, 3]]), model.blocks[0].attention
        attention.layer_norm = nn.Identity()  # what is left is linear in the attention weights
        x, mask = model.embed(items, model.draw_dropout(None)), model.attention_mask(items, causal=False)
        draws = 3000
        x, mask = x.expand(draws, -1, -1), mask.expand(draws, -1, -1)
        with torch.no_grad():
            sure = attention(x[:1], mask[:1], model.draw_dropout(None))[0, -1]
            last = attention(x, mask, model.draw_dropout(np.random.default_rng(0)), last_only=True)[:, 0]  # [draws, H]
            full = attention(x, mask, model.draw_dropout(np.random.default_rng(1)))[:, -1]
        for drawn in (last, full):
            error = drawn.std(dim=0) / draws**0.5
            assert ((drawn.mean(dim=0) - sure).abs() < 5 * error + 1e-12).all()
        assert torch.allclose(last.std(dim=0), full.std(dim=0), rtol=0.12)
        assert torch.allclose(torch.corrcoef(last.T), torch.corrcoef(full.T), atol=0.12)


class TestDropoutMode:
    def test_it_is_off_in_evaluation_and_without_a_generator(self):
        model, items = tiny_model(DATA, hidden_dropout_prob=0.5), torch.tensor([[1, 2, 3]])
        plain = model.encode(items)
        assert torch.equal(model.eval().encode(items, rng=np.random.default_rng(0)), plain)
        assert not torch.equal(model.train().encode(items, rng=np.random.default_rng(0)), plain)

    @pytest.mark.parametrize("call", ["encode", "encode_last"])
    def test_one_seed_gives_one_result(self, call):
        model = tiny_model(DATA, hidden_dropout_prob=0.5, attn_dropout_prob=0.2).train()
        items = torch.tensor([[1, 2, 3], [0, 4, 5]])
        first, again, other = (getattr(model, call)(items, rng=np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
