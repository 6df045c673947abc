"""The model as a user meets it: weights, scores and recommendations."""

import numpy as np
import pytest
import torch
from helpers import make_data, sequence_data, tiny_config, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite import ModelConfig, S3Rec, SettingError
from s3rec_lite.datasets import toy
from s3rec_lite.runs.checkpoints import weights_fingerprint

DATA = toy()


class TestInitialWeights:
    def test_they_are_normal_with_identity_norms_and_zero_biases(self):
        model = S3Rec(2000, 300, ModelConfig(initializer_range=0.05))
        for name, weight in model.named_parameters():
            if "layer_norm.weight" in name:
                assert (weight == 1).all(), name
            elif name.endswith("bias"):
                assert (weight == 0).all(), name
            else:
                size = weight.numel()
                assert weight.std().item() == pytest.approx(0.05, abs=0.05 * 4 / np.sqrt(size)), name
                assert abs(weight.mean().item()) < 5 * 0.05 / np.sqrt(size), name

    def test_one_seed_gives_one_model_and_no_global_state_is_touched(self):
        before = torch.get_rng_state()
        first, again, other = (weights_fingerprint(S3Rec(9, 4, seed=seed)) for seed in (1, 1, 2))
        assert first == again != other
        assert torch.equal(before, torch.get_rng_state())

    def test_the_padding_row_is_zero_unless_asked_otherwise(self):
        """PyTorch's padding_idx alone does not do it: drawing all weights overwrites the row."""
        assert (S3Rec(5, 2).item_embeddings.weight[0] == 0).all()
        faithful = S3Rec(5, 2, ModelConfig(zero_padding_row=False))
        assert faithful.item_embeddings.weight[0].detach().norm() > 0.05

    def test_ids_have_their_rows(self):
        model = S3Rec(7, 3, ModelConfig(hidden_size=6, max_length=11))
        assert model.item_embeddings.weight.shape == (9, 6)
        assert model.attribute_embeddings.weight.shape == (4, 6)
        assert model.position_embeddings.weight.shape == (11, 6)
        assert (model.mask_token, model.max_length) == (8, 11)

    @pytest.mark.parametrize(("items", "attributes"), [(0, 3), (-1, 3), (4, -1)])
    def test_sizes_that_make_no_sense_are_refused(self, items, attributes):
        with pytest.raises(SettingError, match="at least one item"):
            S3Rec(items, attributes)


class TestScores:
    @given(sequence_data(), st.integers(0, 2**32 - 1))
    @settings(max_examples=20, deadline=None)
    def test_given_candidates_get_the_scores_of_the_full_ranking(self, data, seed):
        model, rng = tiny_model(data), np.random.default_rng(seed)
        histories = torch.from_numpy(rng.integers(1, data.num_items + 1, (5, 7)))
        histories[torch.from_numpy(np.arange(7) < rng.integers(0, 7, (5, 1)))] = 0
        candidates = torch.from_numpy(rng.integers(1, data.num_items + 1, (5, 4)))
        scores = model.score(histories)
        assert scores.shape == (5, data.num_items + 2)
        assert torch.allclose(model.score_candidates(histories, candidates), scores.gather(1, candidates), atol=1e-10)

    def test_a_score_is_the_product_of_the_last_state_and_the_item(self):
        model, history = tiny_model(DATA), torch.tensor([[6, 4, 1]])
        state = model.encode(history, causal=True)[0, -1]
        for item in range(DATA.num_items + 2):
            expected = float((state * model.item_embeddings.weight[item]).sum().detach())
            assert model.score(history)[0, item].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


class TestRecommend:
    @given(st.lists(st.integers(1, 6), min_size=1, max_size=30), st.integers(0, 9), st.booleans())
    @settings(max_examples=50, deadline=None)
    def test_best_first_no_special_ids_nothing_seen(self, history, k, exclude_seen):
        model = tiny_model(DATA)
        with torch.no_grad():
            model.item_embeddings.weight[[0, -1]] = 100.0  # tempting, but not items
        items, scores = model.recommend(history, k, exclude_seen=exclude_seen)
        allowed = set(range(1, 7)) - (set(history) if exclude_seen else set())
        assert len(items) == len(scores) == min(k, len(allowed))
        assert len(set(items)) == len(items)
        assert set(items) <= allowed
        assert scores == sorted(scores, reverse=True)
        plain = model.score(torch.tensor([history[-model.max_length :]]))[0]
        best = sorted(allowed, key=lambda item: -plain[item].item())[:k]
        assert items == best

    def test_items_before_the_longest_history_still_count_as_seen(self):
        model = tiny_model(DATA, max_length=2)
        assert set(model.recommend([1, 2, 3, 4], 10)[0]) == {5, 6}
        assert model.recommend([1, 2, 3, 4])[1] != model.recommend([1, 2, 4, 3])[1]

    def test_it_needs_no_evaluation_mode_and_leaves_the_mode_alone(self):
        model = tiny_model(DATA, hidden_dropout_prob=0.5).train()
        assert model.recommend([1, 2]) == model.recommend([1, 2])
        assert model.training
        assert model.eval().recommend([1, 2]) == model.train().recommend([1, 2])

    @pytest.mark.parametrize(
        ("history", "message"),
        [([], "empty"), ([0], "item 0 is not between 1 and 6"), ([1, 7], "item 7"), ([-2], "item -2")],
    )
    def test_bad_histories_get_one_clear_line(self, history, message):
        with pytest.raises(SettingError, match=message) as caught:
            tiny_model(DATA).recommend(history)
        assert "\n" not in str(caught.value)

    def test_a_user_who_has_seen_everything_gets_nothing(self):
        assert tiny_model(DATA).recommend([1, 2, 3, 4, 5, 6]) == ([], [])


def test_evaluating_restores_the_mode_after_an_error():
    model = S3Rec(5, 2, tiny_config()).train()
    with pytest.raises(RuntimeError, match="on purpose"), model.evaluating():
        assert not model.training
        assert torch.is_inference_mode_enabled()
        raise RuntimeError("on purpose")
    assert model.training
    assert not torch.is_inference_mode_enabled()


def test_data_without_attributes_make_a_model():
    data = make_data([[1, 2, 3, 4]], num_attributes=0)
    model = S3Rec(data.num_items, data.num_attributes, tiny_config())
    assert model.attribute_embeddings.weight.shape == (1, 8)
    assert len(model.recommend([1])[0]) == 3
