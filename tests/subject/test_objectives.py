"""The objectives: parity with the plain reference, gradients, known values and bounds."""

import dataclasses
import math
import random

import numpy as np
import pytest
import torch
from helpers import (
    assert_same_gradients,
    authors_file,
    gradients,
    make_data,
    needs_mirror,
    tiny_model,
    to_views,
    trim,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import s3rec_lite as s3
from s3rec_lite import plain as reference
from s3rec_lite.datasets import planted, toy
from s3rec_lite.objectives import (
    attribute_rows,
    joint_loss,
    pair_loss,
    pretraining_losses,
    sampled_negatives,
    softmax_loss,
)
from s3rec_lite.support.config import OBJECTIVES, PretrainConfig
from s3rec_lite.views import Owners, Views, ViewSampler

FORMS = ("authors", "pairwise", "infonce", "bce")


def reference_batch(data, max_length: int, size: int, seed: int = 0):
    """Views and multi-hot attributes of the oracle; half of the rows are prefixes of one or two items."""
    samples, rng = reference.PlainSamples(data, max_length), random.Random(seed)
    indices = [rng.randrange(len(samples.prefixes)) for _ in range(size)]
    short = [i for i, prefix in enumerate(samples.prefixes) if len(prefix) <= 2]
    indices[::2] = rng.choices(short, k=len(indices[::2]))
    views, attributes = samples.batch(indices, rng)
    return to_views(views), attributes


def check_parity(model, data, views: Views, attributes: torch.Tensor, tolerance: float) -> None:
    expected = reference.pretraining_losses(model, list(views), attributes)
    found = pretraining_losses(model, trim(views), data.attributes, form="authors")
    assert found.keys() == expected.keys() == set(OBJECTIVES)
    weights = PretrainConfig().weights
    for name in OBJECTIVES:
        assert found[name].item() == pytest.approx(expected[name].item(), rel=tolerance)
        assert_same_gradients(
            gradients(model, pretraining_losses(model, trim(views), data.attributes)[name]),
            gradients(model, reference.pretraining_losses(model, list(views), attributes)[name]),
            tolerance,
        )
    joint = joint_loss(pretraining_losses(model, trim(views), data.attributes), PretrainConfig())
    plain = sum(
        weights[name] * value for name, value in reference.pretraining_losses(model, list(views), attributes).items()
    )
    assert_same_gradients(gradients(model, joint), gradients(model, plain), tolerance)


class TestParityWithTheReference:
    """Losses and gradients of every parameter equal those of the plain, one-sample-at-a-time code."""

    @pytest.mark.parametrize("seed", [0, 1])
    def test_toy(self, seed):
        data = toy()
        views, attributes = reference_batch(data, 12, 24, seed)
        check_parity(tiny_model(data, seed=seed), data, views, attributes, 1e-9)

    def test_planted(self):
        data = planted(num_users=60)
        model = tiny_model(data, hidden_size=32, inner_size=64, n_heads=4, max_length=20)
        views, attributes = reference_batch(data, 20, 40)
        check_parity(model, data, views, attributes, 1e-8)

    def test_single_precision_as_in_training(self):
        data = planted(num_users=60)
        model = tiny_model(data, scale=2.0, double=False, hidden_size=32, inner_size=64, max_length=20)
        views, attributes = reference_batch(data, 20, 40)
        found = pretraining_losses(model, trim(views), data.attributes)
        expected = reference.pretraining_losses(model, list(views), attributes)
        for name in OBJECTIVES:
            assert found[name].item() == pytest.approx(expected[name].item(), rel=1e-5)
        slopes = gradients(model, joint_loss(found, PretrainConfig()))
        assert_same_gradients(slopes, gradients(model, joint_loss(expected, PretrainConfig())), 1e-5)

    @needs_mirror
    def test_lastfm(self):
        authors_file("LastFM.txt")
        data = s3.load_dataset("lastfm")
        model = tiny_model(data, hidden_size=16, inner_size=32, max_length=50)
        views, attributes = reference_batch(data, 50, 12)
        check_parity(model, data, views, attributes, 1e-8)

    def test_prefixes_of_one_item_only(self):
        data = toy()
        samples = reference.PlainSamples(data, 12)
        single = [i for i, prefix in enumerate(samples.prefixes) if len(prefix) == 1]
        views, attributes = samples.batch(single, random.Random(0))
        check_parity(tiny_model(data), data, to_views(views), attributes, 1e-9)

    @pytest.mark.parametrize("activation", ["relu", "swish", "tanh", "sigmoid"])
    def test_every_activation(self, activation):
        data = toy()
        views, attributes = reference_batch(data, 12, 10)
        check_parity(tiny_model(data, hidden_act=activation), data, views, attributes, 1e-9)

    def test_the_views_of_the_package_too(self):
        data = planted(num_users=30)
        config = PretrainConfig(segment_negatives="leaky", negative_items="all", negatives_avoid="prefix")
        sampler = ViewSampler(data, config, max_length=12)
        views = sampler.batch(np.arange(0, len(sampler), 7), np.random.default_rng(0))
        padded = to_views([F.pad(view, (12 - view.shape[1], 0)) for view in views])
        check_parity(tiny_model(data), data, padded, data.attributes[padded.pos_items], 1e-8)


@pytest.fixture(scope="module")
def batch():
    """Toy data, a model with large weights, and the views of every prefix."""
    data = toy()
    sampler = ViewSampler(data, PretrainConfig(), max_length=12)
    return data, tiny_model(data), sampler.batch(np.arange(len(sampler)), np.random.default_rng(3))


def every_setting():
    """All forms with every switch that changes a loss."""
    for form in FORMS:
        yield PretrainConfig.of_form(form)
    for changes in (
        {"aap_view": "item"},
        {"attribute_column_zero": True},
        {"skip_single_items": False},
        {"reduction": "mean"},
        {"reduction": "mean", **{f"{name}_form": "infonce" for name in OBJECTIVES}, "num_negatives": 3},
        {"bounded_critic": True, **{f"{name}_form": "infonce" for name in OBJECTIVES}, "num_negatives": 3},
        {"aap_view": "item", "aap_form": "pairwise", "map_form": "infonce", "mip_form": "bce", "sp_form": "authors"},
    ):
        yield PretrainConfig(**changes)


def settings_id(config: PretrainConfig) -> str:
    default = PretrainConfig()
    changed = {name: value for name, value in vars(config).items() if getattr(default, name, value) != value}
    return " ".join(f"{name}={value}" for name, value in changed.items() if not name.startswith("_")) or "default"


class TestGradients:
    """What the optimiser gets is the slope of what is printed."""

    @pytest.mark.parametrize("config", list(every_setting()), ids=settings_id)
    def test_every_form_and_switch_against_central_differences(self, batch, config):
        data, model, views = batch

        def losses():
            rng = np.random.default_rng(7)  # the same sampled negatives every time; no dropout at p = 0
            return pretraining_losses(model, views, data.attributes, config, rng=rng)

        generator = torch.Generator().manual_seed(1)
        directions = {
            name: torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
            for name, weight in model.named_parameters()
        }
        directions["item_embeddings.weight"][0] = 0  # the padding row never learns
        for objective in OBJECTIVES:
            slopes = gradients(model, losses()[objective])
            step = 1e-5
            # One direction through all weights, and one through each table that the objective must reach.
            groups = [list(directions), ["item_embeddings.weight"], ["attribute_embeddings.weight"]]
            for names in groups:
                expected = sum(float((slopes[name] * directions[name]).sum()) for name in names)
                values = []
                with torch.no_grad():
                    for sign in (1, -2, 1):
                        for name in names:
                            dict(model.named_parameters())[name].add_(directions[name], alpha=sign * step)
                        values.append(losses()[objective].item())
                numeric = (values[0] - values[1]) / (2 * step)
                assert numeric == pytest.approx(expected, rel=1e-5, abs=1e-6), (objective, names)

    def test_each_objective_trains_its_own_head_and_no_other(self, batch):
        data, model, views = batch
        for objective in OBJECTIVES:
            slopes = gradients(model, pretraining_losses(model, views, data.attributes)[objective])
            for head in OBJECTIVES:
                assert (slopes[f"heads.{head}.weight"].abs().sum() > 0) == (head == objective)

    def test_aap_on_the_item_embedding_leaves_the_encoder_alone(self, batch):
        data, model, views = batch
        config = PretrainConfig(aap_view="item")
        slopes = gradients(model, pretraining_losses(model, views, data.attributes, config)["aap"])
        touched = {name for name, slope in slopes.items() if slope.abs().sum() > 0}
        assert touched == {
            "item_embeddings.weight", "attribute_embeddings.weight", "heads.aap.weight", "heads.aap.bias",
        }  # fmt: skip

    def test_the_padding_row_gets_no_gradient(self, batch):
        data, model, views = batch
        for config in every_setting():
            joint = joint_loss(pretraining_losses(model, views, data.attributes, config), config)
            assert gradients(model, joint)["item_embeddings.weight"][0].abs().sum() == 0

    @given(st.integers(1, 6), st.integers(1, 7), st.integers(0, 2**32 - 1))
    @settings(max_examples=30, deadline=None)
    def test_the_row_loss_is_binary_cross_entropy(self, rows, columns, seed):
        generator = torch.Generator().manual_seed(seed)
        scores = (torch.randn(rows, columns, generator=generator, dtype=torch.float64) * 20).requires_grad_()
        targets = torch.rand(rows, columns, generator=generator) < 0.4
        weights = torch.randn(rows, generator=generator, dtype=torch.float64)
        rng = np.random.default_rng(0)
        ours = attribute_rows(scores, targets, "bce", num_negatives=1, bounded=False, rng=rng)
        plain = F.binary_cross_entropy_with_logits(scores, targets.double(), reduction="none").sum(1)
        assert torch.allclose(ours, plain, rtol=1e-12, atol=1e-7)  # softplus(x) is x above 20
        (slope,) = torch.autograd.grad((ours * weights).sum(), scores)
        (expected,) = torch.autograd.grad((plain * weights).sum(), scores)
        assert torch.allclose(slope, expected, rtol=1e-12, atol=1e-8)


class TestInvariance:
    @given(st.integers(0, 2**32 - 1), st.sampled_from(FORMS[:2] + FORMS[3:]), st.integers(0, 5))
    @settings(max_examples=25, deadline=None)
    def test_padding_and_the_order_of_rows_change_nothing(self, batch, seed, form, extra):
        data, model, views = batch
        # AAP and MAP in the pairwise form draw negatives, which depend on the order.
        sampled = {"aap_form": "bce", "map_form": "bce"} if form == "pairwise" else {}
        config = dataclasses.replace(PretrainConfig.of_form(form), **sampled)
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(views.pos_items)))
        other = to_views([F.pad(view[order], (extra, 0)) for view in views])
        first = pretraining_losses(model, views, data.attributes, config)
        second = pretraining_losses(model, other, data.attributes, config)
        for name in OBJECTIVES:
            assert second[name].item() == pytest.approx(first[name].item(), rel=1e-10)

    def test_the_sum_of_two_halves_is_the_whole(self, batch):
        data, model, views = batch
        whole = pretraining_losses(model, views, data.attributes)
        parts = [
            pretraining_losses(model, to_views([view[rows] for view in views]), data.attributes)
            for rows in (slice(0, 5), slice(5, None))
        ]
        for name in OBJECTIVES:
            assert whole[name].item() == pytest.approx(sum(part[name].item() for part in parts), rel=1e-10)

    def test_mean_reduction_divides_by_what_was_scored(self, batch):
        data, model, views = batch
        sums = pretraining_losses(model, views, data.attributes, PretrainConfig())
        means = pretraining_losses(model, views, data.attributes, PretrainConfig(reduction="mean"))
        masked = int((views.masked_items == model.mask_token).sum())
        real = int((views.pos_items != 0).sum())
        several = int(((views.pos_items != 0).sum(1) > 1).sum())
        counts = {"aap": real - masked, "mip": masked, "map": masked, "sp": several}
        for name in OBJECTIVES:
            assert means[name].item() == pytest.approx(sums[name].item() / counts[name], rel=1e-10)

    def test_a_batch_without_masked_items_or_segments_gives_zeros_and_not_nan(self, batch):
        data, model, _ = batch
        item = torch.tensor([[3], [4]])
        views = Views(item, item, item, item, item, item)
        for form in FORMS:
            for reduction in ("sum", "mean"):
                forms = {f"{name}_form": form for name in OBJECTIVES}
                config = PretrainConfig(**forms, reduction=reduction)
                losses = pretraining_losses(model, views, data.attributes, config)
                assert losses["aap"].item() > 0
                assert losses["mip"].item() == losses["map"].item() == losses["sp"].item() == 0
                assert all(torch.isfinite(g).all() for g in gradients(model, joint_loss(losses, config)).values())

    def test_data_without_attributes_train_on_items_and_segments_alone(self):
        data = make_data([[1, 2, 3, 4, 5, 6]] * 2 + [[6, 5, 7, 8, 2, 1]], num_attributes=0)
        model = tiny_model(data)
        sampler = ViewSampler(data, PretrainConfig(), 12)
        views = sampler.batch(np.arange(len(sampler)), np.random.default_rng(0))
        losses = pretraining_losses(model, views, data.attributes, PretrainConfig())
        assert losses["aap"].item() == losses["map"].item() == 0
        assert losses["mip"].item() > 0 and losses["sp"].item() > 0


class TestSwitches:
    def test_the_unused_attribute_counts_only_when_asked(self, batch):
        data, model, views = batch
        without, with_zero = (
            pretraining_losses(model, views, data.attributes, PretrainConfig(attribute_column_zero=switch))
            for switch in (False, True)
        )
        states = model.encode(views.masked_items)
        known = (views.masked_items != 0) & (views.masked_items != model.mask_token)
        extra = F.softplus(model.heads["aap"](states[known]) @ model.attribute_embeddings.weight[0]).sum()
        assert with_zero["aap"].item() - without["aap"].item() == pytest.approx(extra.item(), rel=1e-9)

    def test_single_items_are_left_out_of_sp_only_when_asked(self, batch):
        data, model, views = batch
        single = int(((views.pos_items != 0).sum(1) == 1).sum())
        assert single == data.num_users
        kept, left_out = (
            pretraining_losses(
                model, views, data.attributes, PretrainConfig(skip_single_items=switch, sp_form="authors")
            )["sp"].item()
            for switch in (False, True)
        )
        assert kept - left_out == pytest.approx(single * math.log(2), rel=1e-9)

    def test_aap_on_the_item_embedding_by_hand(self, batch):
        data, model, views = batch
        found = pretraining_losses(model, views, data.attributes, PretrainConfig(aap_view="item"))["aap"].item()
        expected = 0.0
        for masked, item in zip(views.masked_items.flatten(), views.pos_items.flatten(), strict=True):
            if masked not in (0, model.mask_token):
                state = model.heads["aap"](model.item_embeddings.weight[item])
                for attribute in range(1, data.num_attributes + 1):
                    score = (state @ model.attribute_embeddings.weight[attribute]).item()
                    sign = 1 if data.attributes[item, attribute] else -1
                    expected += math.log1p(math.exp(-sign * score))
        assert found == pytest.approx(expected, rel=1e-9)

    def test_infonce_of_items_by_hand(self, batch):
        data, model, views = batch
        config = PretrainConfig(mip_form="infonce", num_negatives=100)  # more than there are: all candidates
        candidates = torch.tensor([1, 3, 6])
        found = pretraining_losses(model, views, data.attributes, config, candidates=candidates)["mip"].item()
        states, expected = model.heads["mip"](model.encode(views.masked_items)), 0.0
        for row, column in (views.masked_items == model.mask_token).nonzero().tolist():
            prefix = {item for item in views.pos_items[row].tolist() if item}
            item = int(views.pos_items[row, column])
            logits = [(states[row, column] @ model.item_embeddings.weight[item]).item()]
            logits += [
                (states[row, column] @ model.item_embeddings.weight[other]).item()
                for other in candidates.tolist()
                if other not in prefix
            ]
            expected += math.log(sum(map(math.exp, logits))) - logits[0]
        assert found == pytest.approx(expected, rel=1e-9)

    def test_infonce_of_segments_uses_the_batch(self, batch):
        data, model, views = batch
        found = pretraining_losses(model, views, data.attributes, PretrainConfig(sp_form="infonce"))["sp"].item()
        several = (views.pos_items != 0).sum(1) > 1
        context, positive, negative = (
            model.encode(view[several])[:, -1] for view in (views.masked_segment, views.pos_segment, views.neg_segment)
        )
        context, expected = model.heads["sp"](context), 0.0
        for row in range(len(context)):
            logits = [*(context[row] @ positive.T).tolist(), (context[row] @ negative[row]).item()]
            expected += math.log(sum(map(math.exp, logits))) - logits[row]
        assert found == pytest.approx(expected, rel=1e-9)

    def test_attribute_contrasts_by_hand(self, batch):
        """Infonce with every attribute drawn: the mean over an item's attributes, those it has never negatives."""
        data, model, views = batch
        config = PretrainConfig(map_form="infonce", num_negatives=100)
        found = pretraining_losses(model, views, data.attributes, config)["map"].item()
        states, expected = model.heads["map"](model.encode(views.masked_items)), 0.0
        for row, column in (views.masked_items == model.mask_token).nonzero().tolist():
            owned = data.attributes[views.pos_items[row, column]]
            scores = (states[row, column] @ model.attribute_embeddings.weight.T).tolist()
            foreign = sum(math.exp(scores[a]) for a in range(1, data.num_attributes + 1) if not owned[a])
            terms = [math.log(math.exp(scores[a]) + foreign) - scores[a] for a in owned.nonzero().flatten().tolist()]
            expected += sum(terms) / len(terms)
        assert found == pytest.approx(expected, rel=1e-7)

    @given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**32 - 1))
    @settings(max_examples=40, deadline=None)
    def test_sampled_attributes_are_never_owned(self, num_rows, width, seed):
        rng = np.random.default_rng(seed)
        targets = torch.from_numpy(rng.random((num_rows, width)) < 0.6)
        rows = torch.from_numpy(rng.integers(num_rows, size=40))
        drawn, found = sampled_negatives(targets, rows, rng)
        assert not targets[rows, drawn][found].any()
        assert torch.equal(found, ~targets.all(dim=1)[rows])


class TestKnownValues:
    def test_the_double_sigmoid_is_bounded_and_log_two_at_equality(self):
        scores = torch.tensor([-1e4, -30.0, -1.0, 0.0, 2.0, 30.0, 1e4], dtype=torch.float64)
        grid = pair_loss(scores[:, None], scores[None, :], "authors")
        assert grid.min().item() == pytest.approx(0.31326, abs=1e-5)
        assert grid.max().item() == pytest.approx(1.31326, abs=1e-5)
        assert torch.allclose(grid.diagonal(), torch.tensor(math.log(2), dtype=torch.float64))
        certified = math.log(2) - grid.min().item()
        assert certified == pytest.approx(0.380, abs=5e-4), "log 2 minus the loss can never pass this"

    @pytest.mark.parametrize(
        ("form", "at_zero", "at_minus_six"), [("authors", 0.125, 0.0015), ("pairwise", 0.5, 0.9975)]
    )
    def test_the_double_sigmoid_has_a_quarter_of_the_gradient_and_dies(self, form, at_zero, at_minus_six):
        positive = torch.tensor([0.0, -6.0], dtype=torch.float64, requires_grad=True)
        pair_loss(positive, torch.zeros(2, dtype=torch.float64), form).sum().backward()
        assert -positive.grad[0].item() == pytest.approx(at_zero, abs=1e-12)
        assert -positive.grad[1].item() == pytest.approx(at_minus_six, abs=1e-4)

    @given(st.floats(-30, 30), st.floats(-30, 30))
    @settings(max_examples=50, deadline=None)
    def test_pairwise_is_infonce_with_one_negative(self, first, second):
        positive, negative = torch.tensor([first]).double(), torch.tensor([second]).double()
        none = torch.zeros(1, 1, dtype=torch.bool)
        pair = pair_loss(positive, negative, "pairwise")
        assert torch.allclose(pair, softmax_loss(positive, negative[:, None], none, bounded=False), atol=1e-12)

    def test_pairwise_items_are_infonce_over_one_candidate(self):
        """The same through the whole model: every masked position against item 7, which nobody has."""
        data = make_data([[1, 2, 3, 4, 5], [2, 4, 1, 6, 3]], num_items=7)
        model, sampler = tiny_model(data), ViewSampler(data, PretrainConfig(), 12)
        views = sampler.batch(np.arange(len(sampler)), np.random.default_rng(0))
        masked = views.masked_items == model.mask_token
        views = views._replace(neg_items=torch.where(masked, 7, views.pos_items))
        pairwise, infonce = (
            pretraining_losses(
                model, views, data.attributes, PretrainConfig(mip_form=form, sp_form=form), candidates=torch.tensor([7])
            )
            for form in ("pairwise", "infonce")
        )
        assert pairwise["mip"].item() == pytest.approx(infonce["mip"].item(), rel=1e-10)

    @pytest.mark.parametrize(
        ("candidates", "log_k", "bounded_cap"),
        [(2, 0.693, 0.380), (10, 2.303, 0.841), (64, 4.159, 0.974), (100, 4.605, 0.983), (1000, 6.908, 0.998)],
    )
    def test_what_infonce_can_certify(self, candidates, log_k, bounded_cap):
        """A perfect critic reaches log K; squashed by a sigmoid it stays below 1 nat, however large K is."""
        positive = torch.full((3,), 1e4, dtype=torch.float64)
        negatives = torch.full((3, candidates - 1), -1e4, dtype=torch.float64)
        none = torch.zeros(3, candidates - 1, dtype=torch.bool)
        free = math.log(candidates) - softmax_loss(positive, negatives, none, bounded=False)
        squashed = math.log(candidates) - softmax_loss(positive, negatives, none, bounded=True)
        assert free.mean().item() == pytest.approx(log_k, abs=5e-4)
        assert squashed.mean().item() == pytest.approx(bounded_cap, abs=6e-4)
        assert squashed.max().item() < 1

    @given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.floats(0.1, 100))
    @settings(max_examples=50, deadline=None)
    def test_infonce_never_certifies_more_than_log_k(self, seed, num_negatives, spread):
        rng = np.random.default_rng(seed)
        positive = torch.from_numpy(rng.normal(0, spread, 20))
        negatives = torch.from_numpy(rng.normal(0, spread, (20, num_negatives)))
        none = torch.zeros(20, num_negatives, dtype=torch.bool)
        for bounded in (False, True):
            losses = softmax_loss(positive, negatives, none, bounded)
            assert (losses >= -1e-12).all()
            if bounded:
                size = num_negatives + 1
                cap = 1 - math.log((math.e + size - 1) / size)
                assert (math.log(size) - losses).max().item() <= cap + 1e-12 < 1

    def test_bounding_the_critic_bounds_all_four_objectives(self):
        data = planted(num_users=40, length=10)
        model = tiny_model(data, scale=60.0)
        sampler = ViewSampler(data, PretrainConfig(), 12)
        views = sampler.batch(np.arange(40), np.random.default_rng(0))
        forms = {f"{name}_form": "infonce" for name in OBJECTIVES}
        for bounded in (False, True):
            config = PretrainConfig(**forms, reduction="mean", bounded_critic=bounded, num_negatives=20)
            losses = pretraining_losses(model, views, data.attributes, config)
            span = max(value.item() for value in losses.values())
            # With critics in (0, 1) no loss leaves [log(1 + K / e), log(1 + K e)].
            assert (span <= math.log(1 + 200 * math.e)) == bounded

    def test_joint_loss_weighs_the_four(self):
        losses = {name: torch.tensor(float(10**i)) for i, name in enumerate(OBJECTIVES)}
        assert joint_loss(losses, PretrainConfig()).item() == pytest.approx(0.2 * 1 + 10 + 100 + 0.5 * 1000)


def test_bfloat16_gives_the_same_losses_roughly(batch):
    data, _, views = batch
    model = tiny_model(data, double=False, scale=4.0, hidden_size=32)
    exact = pretraining_losses(model, views, data.attributes, PretrainConfig())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = pretraining_losses(model, views, data.attributes, PretrainConfig())
    for name in OBJECTIVES:
        assert rough[name].item() == pytest.approx(exact[name].item(), rel=0.03)


class TestOwners:
    """The infonce forms and whose sequences a batch holds."""

    def config(self, **settings):
        return PretrainConfig(mip_form="infonce", sp_form="infonce", num_negatives=6, **settings)

    def test_negatives_of_mip_avoid_the_whole_training_history(self):
        data = toy()
        config = self.config(aap_weight=0, map_weight=0, sp_weight=0)
        sampler = ViewSampler(data, config, 10)
        first = np.flatnonzero(sampler.prefixes.users == 0)[:1]
        views, owners = sampler.batch(first, np.random.default_rng(0)), sampler.owners(first)
        model = s3.S3Rec(data.num_items, data.num_attributes)
        other = sorted(set(range(1, 7)) - set(data.history(0, "train").tolist()))
        state = model.encode(views.masked_items)[0, -1]
        context = model.heads["mip"](state)
        scores = model.item_embeddings.weight[[int(views.pos_items[0, -1]), *other]] @ context
        expected = torch.logsumexp(scores, 0) - scores[0]
        found = s3.objectives.pretraining_losses(model, views, data.attributes, config, owners=owners)["mip"]
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)

    def test_negatives_of_sp_are_of_other_users(self):
        data = toy()
        sampler = ViewSampler(data, self.config(), 10)
        everything = np.arange(len(sampler))
        views = sampler.batch(everything, np.random.default_rng(0))
        model = s3.S3Rec(data.num_items, data.num_attributes)
        one_user = Owners(torch.zeros(len(everything), dtype=torch.int64), sampler.owners(everything).history)
        two = self.config(aap_weight=0, map_weight=0, mip_weight=0)
        found = s3.objectives.pretraining_losses(model, views, data.attributes, two, owners=one_user)["sp"]
        pairs = s3.objectives.pretraining_losses(model, views, data.attributes, "pairwise")["sp"]
        assert found.item() == pytest.approx(pairs.item(), rel=1e-5), "only the own foreign segment is left"

    def test_only_asked_for_where_a_form_needs_it(self):
        assert ViewSampler(toy(), PretrainConfig(), 10).owners(np.arange(2)) is None
        assert ViewSampler(toy(), self.config(negatives_avoid="prefix"), 10).owners(np.arange(2)) is None


@pytest.mark.parametrize("name", ["aap", "mip", "map", "sp"])
def test_an_objective_without_weight_is_not_computed_and_changes_no_other(name):
    data, model = toy(), s3.S3Rec(6, 4)
    views = ViewSampler(data, PretrainConfig(), 10).batch(np.arange(8), np.random.default_rng(0))
    every = s3.objectives.pretraining_losses(model, views, data.attributes, PretrainConfig())
    without = PretrainConfig(**{f"{name}_weight": 0.0})
    some = s3.objectives.pretraining_losses(model, views, data.attributes, without)
    assert some[name].item() == 0 and every[name].item() != 0
    for other in set(every) - {name}:
        assert some[other].item() == pytest.approx(every[other].item(), rel=1e-5)


@pytest.mark.parametrize("form", ["authors", "pairwise", "infonce", "bce"])
def test_every_form_trains_in_bfloat16(form):
    data, model = toy(), s3.S3Rec(6, 4)
    forms = {f"{name}_form": form for name in ("aap", "mip", "map", "sp")}
    history = s3.pretrain(
        model, data, PretrainConfig(epochs=1, precision="bf16", **forms), device="cpu", progress=False
    )
    assert np.isfinite(history[["aap", "mip", "map", "sp"]].to_numpy()).all()
