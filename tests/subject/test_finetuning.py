"""Fine-tuning: what is an input, what a target, and the three losses."""

import math

import numpy as np
import pytest
import torch
from helpers import assert_same_gradients, gradients, make_data, sequence_data, tiny_config, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

import s3rec_lite as s3
from s3rec_lite import DataError, S3Rec
from s3rec_lite import plain as reference
from s3rec_lite.datasets import planted, toy
from s3rec_lite.finetuning import NextItemSamples, next_item_loss
from s3rec_lite.support.config import FinetuneConfig
from s3rec_lite.support.fast import like_lengths

DATA = toy()  # training items: Ada 6 4 1, Ben 3 5 6 3, Cleo 2 4 2 3 4


def everything(data, config, max_length=12, seed=0):
    samples = NextItemSamples(data, config, max_length)
    return samples, samples.batch(np.arange(len(samples)), np.random.default_rng(seed))


class TestSamples:
    def test_sequences_by_hand(self):
        _, (inputs, targets, negatives) = everything(DATA, FinetuneConfig(samples="sequences"))
        assert inputs.tolist() == [[0, 0, 6, 4], [0, 3, 5, 6], [2, 4, 2, 3]]
        assert targets.tolist() == [[0, 0, 4, 1], [0, 5, 6, 3], [4, 2, 3, 4]]
        assert negatives is None, "the softmax needs none"

    def test_prefixes_by_hand(self):
        _, (inputs, targets, _) = everything(DATA, FinetuneConfig(samples="prefixes"))
        assert inputs.tolist() == [
            [0, 0, 0, 6], [0, 0, 6, 4],
            [0, 0, 0, 3], [0, 0, 3, 5], [0, 3, 5, 6],
            [0, 0, 0, 2], [0, 0, 2, 4], [0, 2, 4, 2], [2, 4, 2, 3],
        ]  # fmt: skip
        assert targets[:, :-1].sum() == 0
        assert targets[:, -1].tolist() == [4, 1, 5, 6, 3, 4, 2, 3, 4]

    def test_long_histories_are_cut_to_their_newest_items(self):
        _, (inputs, targets, _) = everything(DATA, FinetuneConfig(samples="sequences"), max_length=2)
        assert inputs.tolist() == [[6, 4], [5, 6], [2, 3]]
        assert targets.tolist() == [[4, 1], [6, 3], [3, 4]]
        _, (inputs, targets, _) = everything(DATA, FinetuneConfig(samples="prefixes"), max_length=2)
        assert inputs[-2:].tolist() == [[4, 2], [2, 3]]
        assert targets[-2:].tolist() == [[0, 3], [0, 4]]

    @given(
        sequence_data(), st.sampled_from(["sequences", "prefixes"]), st.sampled_from(["ce", "bce"]),
        st.sampled_from(["training", "all"]), st.sampled_from(["training", "everything"]),
        st.integers(1, 9), st.integers(0, 2**32 - 1),
    )  # fmt: skip
    @settings(max_examples=60, deadline=None)
    def test_targets_follow_their_inputs_and_nothing_is_held_out(
        self, data, samples, loss, items, avoid, max_length, seed
    ):
        if all(length < 4 for length in data.lengths):
            return
        if avoid == "everything":
            items = "all"  # a user may have every item that occurs in training
        config = FinetuneConfig(samples=samples, loss=loss, negative_items=items, negatives_avoid=avoid)
        drawn, (inputs, targets, negatives) = everything(data, config, max_length, seed)
        assert inputs.shape == targets.shape
        assert drawn.num_targets(np.arange(len(drawn))) == int((targets != 0).sum())
        expected_targets = []
        for user in range(data.num_users):
            training = data.sequence(user)[:-2].tolist()
            newest = training[1:][-max_length:] if samples == "sequences" else training[1:]
            expected_targets += newest
        assert sorted(targets[targets != 0].tolist()) == sorted(expected_targets)
        for row, (user, history, wanted) in enumerate(zip(drawn.users, inputs.tolist(), targets.tolist(), strict=True)):
            training = data.sequence(user)[:-2].tolist()
            real = [item for item in history if item]
            assert history == [0] * (len(history) - len(real)) + real
            end = int(drawn.ends[row] - data.offsets[user])
            assert real == training[max(0, end - max_length) : end]
            assert wanted[-1] == training[end]
            if samples == "sequences":
                assert wanted[len(history) - len(real) :] == training[end - len(real) + 1 : end + 1]
            if negatives is not None:
                owned = data.sequence(user) if avoid == "everything" else training
                found = [negative for negative, item in zip(negatives[row].tolist(), wanted, strict=True) if item]
                assert not set(found) & set(owned)
                assert min(found) >= 1
                assert (negatives[row][targets[row] == 0] == 0).all()

    def test_negatives_leak_held_out_items_only_when_asked(self):
        """With "training" a user's own test item is a negative like any other; "everything" spares it."""
        held_out = {(user, item) for user in range(3) for item in DATA.sequence(user)[-2:].tolist()}
        found = {}
        for avoid in ("training", "everything"):
            config = FinetuneConfig(loss="bce", negatives_avoid=avoid)
            samples = NextItemSamples(DATA, config, 12)
            rng, pairs = np.random.default_rng(0), set()
            for _ in range(60):
                _, targets, negatives = samples.batch(np.arange(3), rng)
                for user in range(3):
                    pairs |= {(user, item) for item in negatives[user][targets[user] != 0].tolist()}
            found[avoid] = pairs & held_out
        assert found["training"] == held_out
        assert found["everything"] == set()

    def test_users_with_one_training_item_are_left_out(self):
        data = make_data([[1, 2, 3], [4, 5, 6, 7]])
        for kind in ("sequences", "prefixes"):
            samples, (inputs, targets, _) = everything(data, FinetuneConfig(samples=kind))
            assert samples.users.tolist() == [1]
            assert (inputs.tolist(), targets.tolist()) == ([[4]], [[5]])

    def test_nothing_to_learn_from_is_one_clear_line(self):
        with pytest.raises(DataError, match="nothing to fine-tune on") as caught:
            NextItemSamples(make_data([[1, 2, 3], [4, 5, 6]]), FinetuneConfig(), 12)
        assert "\n" not in str(caught.value)


@pytest.fixture(params=["sequences", "prefixes"])
def samples(request):
    return request.param


class TestLosses:
    def batch(self, samples, loss="bce"):
        config = FinetuneConfig(loss=loss, samples=samples)
        return config, everything(DATA, config)[1]

    @pytest.mark.parametrize("loss", ["bce", "bpr", "ce"])
    def test_values_by_hand(self, samples, loss):
        config, (inputs, targets, negatives) = self.batch(samples, loss)
        model = tiny_model(DATA)
        states, table, total = model.encode(inputs, causal=True), model.item_embeddings.weight, 0.0
        for row, column in (targets != 0).nonzero().tolist():
            scores = (table @ states[row, column]).tolist()
            good = scores[targets[row, column]]
            if loss == "ce":
                total += math.log(sum(math.exp(score) for score in scores[1:-1])) - good
                continue
            bad = scores[negatives[row, column]]
            if loss == "bpr":
                total += math.log1p(math.exp(bad - good))
            else:
                total += math.log1p(math.exp(-good)) + math.log1p(math.exp(bad))
        found = next_item_loss(model, inputs, targets, negatives, config).item()
        assert found == pytest.approx(total, rel=1e-6 if loss == "ce" else 1e-10)

    @pytest.mark.parametrize("changes", [{"loss": "bce"}, {"loss": "bce", "clamped_logs": True}, {"loss": "bpr"}])
    def test_gradients_against_central_differences(self, samples, changes):
        config, (inputs, targets, negatives) = self.batch(samples)
        config = FinetuneConfig(samples=samples, **changes)
        model = tiny_model(DATA)

        def loss():
            return next_item_loss(model, inputs, targets, negatives, config)

        slopes = gradients(model, loss())
        generator = torch.Generator().manual_seed(2)
        for _ in range(3):
            directions = {
                name: torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
                for name, weight in model.named_parameters()
            }
            directions["item_embeddings.weight"][0] = 0
            expected = sum(float((slopes[name] * direction).sum()) for name, direction in directions.items())
            values, step = [], 1e-5
            with torch.no_grad():
                for sign in (1, -2, 1):
                    for name, weight in model.named_parameters():
                        weight.add_(directions[name], alpha=sign * step)
                    values.append(loss().item())
            assert (values[0] - values[1]) / (2 * step) == pytest.approx(expected, rel=1e-5, abs=1e-6)

    @pytest.mark.parametrize("special", [False, True])
    def test_the_softmax_gradient_is_that_of_the_plain_encoder(self, samples, special):
        _, (inputs, targets, _) = self.batch(samples, "ce")
        config = FinetuneConfig(loss="ce", samples=samples, special_candidates=special)
        model = tiny_model(DATA, max_length=inputs.shape[1])
        places = targets != 0
        logits = reference.encode(model, inputs, causal=True)[places] @ model.item_embeddings.weight.T
        if special:
            plain = -F.log_softmax(logits, dim=1)[torch.arange(len(logits)), targets[places]].sum()
        else:
            plain = -F.log_softmax(logits[:, 1:-1], dim=1)[torch.arange(len(logits)), targets[places] - 1].sum()
        found = next_item_loss(model, inputs, targets, None, config)
        assert found.item() == pytest.approx(plain.item(), rel=1e-6)
        assert_same_gradients(gradients(model, found), gradients(model, plain), 1e-5)

    def test_padding_and_mask_token_compete_only_when_asked(self, samples):
        _, (inputs, targets, _) = self.batch(samples, "ce")
        model, losses = tiny_model(DATA), {}
        for special in (False, True):
            for push in (0.0, 3.0):
                with torch.no_grad():
                    states = model.encode(inputs, causal=True)[targets != 0]
                    model.item_embeddings.weight[-1] = push * states.mean(dim=0)
                config = FinetuneConfig(samples=samples, special_candidates=special)
                losses[special, push] = next_item_loss(model, inputs, targets, None, config).item()
        assert losses[False, 0.0] == losses[False, 3.0]
        assert losses[True, 3.0] > losses[True, 0.0] > losses[False, 0.0]

    def test_prefixes_hold_the_same_targets_as_sequences(self):
        """With positions counted from the left a prefix gives the state that the whole sequence has there."""
        data = planted(num_users=12, length=9)
        model, totals = tiny_model(data, finetune_positions="left"), []
        for samples in ("sequences", "prefixes"):
            config = FinetuneConfig(loss="ce", samples=samples)
            totals.append(next_item_loss(model, *everything(data, config)[1], config).item())
        assert totals[0] == pytest.approx(totals[1], rel=1e-6)

    def test_padding_changes_nothing(self, samples):
        config, tensors = self.batch(samples)
        model = tiny_model(DATA)
        plain = next_item_loss(model, *tensors, config).item()
        padded = next_item_loss(model, *(F.pad(tensor, (3, 0)) for tensor in tensors), config).item()
        assert padded == pytest.approx(plain, rel=1e-10)


class TestChunks:
    @given(st.integers(0, 2**32 - 1), st.integers(1, 150))
    @settings(max_examples=30, deadline=None)
    def test_each_sample_is_in_one_chunk(self, seed, size):
        data = planted(num_users=150, length=6)
        samples = NextItemSamples(data, FinetuneConfig(), 12)
        indices = np.random.default_rng(seed).permutation(len(samples))[:size]
        chunks = list(like_lengths(indices, samples.lengths))
        assert np.array_equal(np.sort(np.concatenate(chunks)), np.sort(indices))
        assert sum(samples.num_targets(chunk) for chunk in chunks) == samples.num_targets(indices)

    @pytest.mark.parametrize("loss", ["bpr", "ce"])
    @pytest.mark.parametrize("kind", ["sequences", "prefixes"])
    def test_chunks_give_the_gradient_of_the_whole_batch(self, loss, kind):
        rng = np.random.default_rng(0)
        data = make_data([rng.integers(1, 20, rng.integers(4, 14)) for _ in range(90)], num_items=30)
        config, model = FinetuneConfig(loss=loss, samples=kind), tiny_model(data, hidden_size=16)
        samples = NextItemSamples(data, config, 12)
        indices = rng.permutation(len(samples))[:90]
        whole = samples.batch(indices, np.random.default_rng(1))
        plain = next_item_loss(model, *whole, config) / samples.num_targets(indices)
        expected = gradients(model, plain)
        model.zero_grad()
        place, parts = {int(index): row for row, index in enumerate(indices)}, 0
        for chunk in like_lengths(indices, samples.lengths):
            inputs, targets, negatives = samples.batch(chunk, np.random.default_rng(2))
            if negatives is not None:  # the same negatives as in the whole batch
                rows = [place[int(index)] for index in chunk]
                negatives = whole[2][rows, -inputs.shape[1] :]
            (next_item_loss(model, inputs, targets, negatives, config) / samples.num_targets(indices)).backward()
            parts += 1
        assert parts > 1
        found = {
            name: torch.zeros_like(weight) if weight.grad is None else weight.grad
            for name, weight in model.named_parameters()
        }
        assert_same_gradients(found, expected, 1e-6)


class TestClampedLogs:
    """log(sigmoid(x) + 1e-24) in single precision stops learning where it is most wrong."""

    def losses(self, score: float, clamped: bool):
        data = make_data([[1, 2, 3, 4]], num_items=5)
        model = S3Rec(data.num_items, data.num_attributes, tiny_config())
        inputs, targets, negatives = torch.tensor([[1]]), torch.tensor([[2]]), torch.tensor([[5]])
        with torch.no_grad():
            state = model.encode(inputs, causal=True)[0, 0]
            model.item_embeddings.weight[2] = 0
            model.item_embeddings.weight[5] = score * state / state.dot(state)
        config = FinetuneConfig(loss="bce", clamped_logs=clamped)
        loss = next_item_loss(model, inputs, targets, negatives, config)
        slope = gradients(model, loss)["item_embeddings.weight"][5].norm().item()
        return loss.item() - math.log(2), slope

    @pytest.mark.parametrize("score", [20.0, 100.0])
    def test_it_freezes_at_55_and_the_other_form_does_not(self, score):
        value, slope = self.losses(score, clamped=True)
        assert value == pytest.approx(55.26, abs=0.01)
        assert slope == 0
        value, slope = self.losses(score, clamped=False)
        assert value == pytest.approx(score, rel=1e-4)
        assert slope > 1

    @pytest.mark.parametrize("score", [-5.0, 0.0, 3.0])
    def test_they_agree_at_moderate_scores(self, score):
        assert self.losses(score, clamped=True) == pytest.approx(self.losses(score, clamped=False), rel=1e-4)


def test_a_monitor_that_cannot_be_computed_is_refused_before_training(tmp_path):
    with pytest.raises(s3.SettingError, match="--monitor-protocol full"):
        config = s3.FinetuneConfig(epochs=1, monitor_protocol="sampled")
        s3.finetune(s3.S3Rec(6, 4), toy(), config, folder=tmp_path, progress=False)
    assert list(tmp_path.glob("*.pth")) == []


def test_names_that_are_no_file_names_are_refused(tmp_path):
    with pytest.raises(s3.SettingError, match="file names"):
        s3.finetune(s3.S3Rec(6, 4), toy(), s3.FinetuneConfig(epochs=1), folder=tmp_path, name="a/b", progress=False)


def test_the_padding_row_stays_zero_where_the_softmax_reaches_it():
    model = s3.S3Rec(6, 4)
    s3.finetune(model, toy(), s3.FinetuneConfig(epochs=2, special_candidates=True), progress=False)
    assert model.item_embeddings.weight[0].abs().max() == 0
