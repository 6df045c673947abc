"""Training: one seed one result, files, early stopping, and stopping with a clear word when it fails."""

import os
import re

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import make_data, short_pretraining, tiny_config

import s3rec_lite as s3
from s3rec_lite import FinetuneConfig, PretrainConfig, S3Rec, SettingError, TrainingError, load_model
from s3rec_lite.datasets import planted, planted_truth, toy
from s3rec_lite.runs.checkpoints import weights_fingerprint
from s3rec_lite.support.config import OBJECTIVES
from s3rec_lite.support.early_stopping import should_stop

DATA = planted(num_users=60, length=8, num_items=20, num_groups=4)


def new_model(seed: int = 0, data=DATA, **changes) -> S3Rec:
    dropout = {"hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2}
    return S3Rec(data.num_items, data.num_attributes, tiny_config(**{**dropout, **changes}), seed=seed)


def run(train, model, config, data=DATA, **options) -> pd.DataFrame:
    return train(model, data, config, device="cpu", progress=False, **options)


def short_finetuning(**changes) -> FinetuneConfig:
    return FinetuneConfig(**{"epochs": 3, "batch_size": 16, "learning_rate": 0.003, **changes})


BOTH = pytest.mark.parametrize(("train", "config"), [(s3.pretrain, short_pretraining), (s3.finetune, short_finetuning)])


def one_line(caught) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.training
class TestSeeds:
    @BOTH
    def test_one_seed_gives_the_same_bits(self, train, config):
        results = []
        for seed in (1, 1, 2):
            model = new_model()
            history = run(train, model, config(seed=seed))
            results.append((weights_fingerprint(model), history.drop(columns="seconds").to_csv()))
        assert results[0] == results[1]
        assert results[0][0] != results[2][0]
        assert results[0][1] != results[2][1]

    @BOTH
    def test_nothing_global_is_touched_and_nothing_global_matters(self, train, config):
        results = []
        for seed in (5, 6):
            with torch.random.fork_rng():
                torch.manual_seed(seed)
                np.random.seed(seed)
                before = torch.get_rng_state(), np.random.get_state()[1].copy()
                model = new_model()
                run(train, model, config(epochs=1))
                results.append(weights_fingerprint(model))
                assert torch.equal(before[0], torch.get_rng_state())
                assert np.array_equal(before[1], np.random.get_state()[1])
        assert results[0] == results[1]

    @BOTH
    def test_files_do_not_change_the_result(self, train, config, tmp_path):
        plain, written = new_model(), new_model()
        run(train, plain, config())
        run(train, written, config(), folder=tmp_path)
        assert weights_fingerprint(plain) == weights_fingerprint(written)

    @BOTH
    def test_every_epoch_draws_anew(self, train, config):
        """With weights that stand still only masks, negatives and dropout tell the epochs apart."""
        history = run(train, new_model(), config(epochs=5, learning_rate=1e-30))
        assert history["loss"].nunique() == 5

    @pytest.mark.parametrize("name", ["seed", "mask_ratio", "segment_negatives", "sp_weight", "length_window"])
    def test_settings_matter(self, name):
        other = {"seed": 9, "mask_ratio": 0.6, "segment_negatives": "leaky", "sp_weight": 0.1, "length_window": 0}
        found = []
        for changes in ({}, {name: other[name]}):
            model = new_model()
            run(s3.pretrain, model, short_pretraining(epochs=1, **changes))
            found.append(weights_fingerprint(model))
        assert found[0] != found[1]


@pytest.fixture(scope="module")
def trained():
    """Planted data, a model pre-trained on them, and its history."""
    data = planted(num_users=100, length=10, num_items=20, num_groups=4)
    sizes = tiny_config(hidden_size=16, inner_size=32, initializer_range=0.2)
    model = S3Rec(data.num_items, data.num_attributes, sizes)
    history = run(s3.pretrain, model, PretrainConfig(epochs=5, batch_size=25, learning_rate=0.01), data)
    return data, model, history


@pytest.mark.training
class TestLearning:
    def test_every_objective_goes_down(self, trained):
        _, _, history = trained
        for name in (*OBJECTIVES, "loss"):
            assert history[name].iloc[-1] < 0.9 * history[name].iloc[0], name

    def test_the_rows_add_up(self, trained):
        data, _, history = trained
        weighed = sum(weight * history[name] for name, weight in PretrainConfig().weights.items())
        assert np.allclose(history["loss"], weighed, rtol=1e-9)
        assert (history["sequences"] == data.num_users * 8).all()

    def test_fine_tuning_finds_the_planted_successor(self, trained):
        data, model, _ = trained
        run(s3.finetune, model, FinetuneConfig(epochs=8, batch_size=16, learning_rate=0.01), data)
        successor = planted_truth(num_items=20, num_groups=4).successor
        found = [model.recommend([item], 1, exclude_seen=True)[0][0] == successor[item] for item in range(1, 21)]
        assert np.mean(found) > 0.5, "chance is 1 in 19"
        report = s3.evaluate(model, data, split="test")
        assert report.metrics["NDCG@10"] > 0.6

    def test_the_padding_row_stays_what_it_was(self):
        for zero in (True, False):
            model = new_model(zero_padding_row=zero)
            before = model.item_embeddings.weight[0].detach().clone()
            run(s3.pretrain, model, short_pretraining(epochs=1))
            run(s3.finetune, model, short_finetuning(epochs=1))
            assert torch.equal(model.item_embeddings.weight[0], before)
            assert bool((before == 0).all()) == zero

    def test_an_objective_without_weight_leaves_its_head_alone(self):
        for name in OBJECTIVES:
            model = new_model()
            before = model.heads[name].weight.detach().clone()
            run(s3.pretrain, model, short_pretraining(epochs=1, **{f"{name}_weight": 0}))
            assert torch.equal(model.heads[name].weight, before)
            others = [other for other in OBJECTIVES if other != name]
            fresh = new_model()
            assert all(not torch.equal(model.heads[o].weight, fresh.heads[o].weight) for o in others)

    @pytest.mark.parametrize("form", ["authors", "pairwise", "infonce", "bce"])
    @pytest.mark.parametrize("reduction", ["sum", "mean"])
    def test_every_form_trains(self, form, reduction):
        forms = {f"{name}_form": form for name in OBJECTIVES}
        history = run(s3.pretrain, new_model(), short_pretraining(**forms, reduction=reduction, learning_rate=0.01))
        assert history["loss"].iloc[-1] < history["loss"].iloc[0]

    @pytest.mark.parametrize("loss", ["bce", "bpr", "ce"])
    @pytest.mark.parametrize("samples", ["sequences", "prefixes"])
    def test_every_fine_tuning_loss_trains(self, loss, samples):
        config = short_finetuning(loss=loss, samples=samples, learning_rate=0.01, epochs=4)
        history = run(s3.finetune, new_model(), config)
        assert history["loss"].iloc[-1] < history["loss"].iloc[0]

    @BOTH
    def test_bfloat16_trains_and_stores_single_precision(self, train, config):
        exact, rough = new_model(hidden_dropout_prob=0.0), new_model(hidden_dropout_prob=0.0)
        first, second = run(train, exact, config()), run(train, rough, config(precision="bf16"))
        assert {weight.dtype for weight in rough.parameters()} == {torch.float32}
        assert np.allclose(first["loss"], second["loss"], rtol=0.05)
        assert weights_fingerprint(exact) != weights_fingerprint(rough)

    def test_the_toy_trains_with_everything_default(self):
        data = toy()
        model = S3Rec(data.num_items, data.num_attributes)
        assert len(run(s3.pretrain, model, PretrainConfig(epochs=2), data)) == 2
        assert len(run(s3.finetune, model, FinetuneConfig(epochs=2), data)) == 2

    @BOTH
    def test_no_epochs_change_nothing(self, train, config, tmp_path):
        model = new_model()
        before = weights_fingerprint(model)
        history = run(train, model, config(epochs=0), folder=tmp_path)
        assert len(history) == 0
        assert weights_fingerprint(model) == before


@pytest.mark.training
class TestHistoryAndFiles:
    def test_pre_training(self, tmp_path):
        model = new_model()
        history = run(s3.pretrain, model, short_pretraining(epochs=4, save_step=2), folder=tmp_path)
        assert list(history.columns) == ["epoch", "aap", "mip", "map", "sp", "loss", "sequences", "seconds"]
        assert history["epoch"].tolist() == [1, 2, 3, 4]
        assert sorted(os.listdir(tmp_path)) == [
            "S3Rec-planted-2.pth", "S3Rec-planted-4.pth", "S3Rec-planted-best.pth", "S3Rec-planted-history.csv",
            "S3Rec-planted-last.pth",
        ]  # fmt: skip
        written = pd.read_csv(tmp_path / "S3Rec-planted-history.csv")
        pd.testing.assert_frame_equal(written, history, check_dtype=False)
        for name in ("4", "last"):
            assert weights_fingerprint(load_model(tmp_path / f"S3Rec-planted-{name}.pth")) == weights_fingerprint(model)
        shorter = new_model()
        run(s3.pretrain, shorter, short_pretraining(epochs=2))
        found = weights_fingerprint(load_model(tmp_path / "S3Rec-planted-2.pth"))
        assert found == weights_fingerprint(shorter)

    def test_fine_tuning_ends_with_its_best_epoch(self, tmp_path):
        model = new_model()
        config = short_finetuning(epochs=8, learning_rate=0.05, monitor="HR@5", save_step=3)
        history = run(s3.finetune, model, config, folder=tmp_path, name="control")
        assert list(history.columns) == ["epoch", "loss", "HR@5", "steps", "seconds"]
        assert history["steps"].tolist() == [4 * epoch for epoch in range(1, 9)]
        names = {f"S3Rec-planted-control-{what}.pth" for what in ("3", "6", "best", "last")}
        assert set(os.listdir(tmp_path)) == names | {"S3Rec-planted-control-history.csv"}
        best = load_model(tmp_path / "S3Rec-planted-control-best.pth")
        assert weights_fingerprint(best) == weights_fingerprint(model)
        reached = s3.evaluate(model, DATA, split="valid", cutoffs=(5,)).metrics["HR@5"]
        assert reached == history["HR@5"].max()
        assert history["HR@5"].iloc[-1] < history["HR@5"].max(), "the last epoch is not the best in this example"
        last = weights_fingerprint(load_model(tmp_path / "S3Rec-planted-control-last.pth"))
        assert last != weights_fingerprint(model)

    @pytest.mark.parametrize("monitor", ["MRR", "HR@1", "NDCG@3"])
    @pytest.mark.parametrize("protocol", ["full", "authors"])
    def test_any_validation_metric(self, monitor, protocol):
        history = run(s3.finetune, new_model(), short_finetuning(epochs=1, monitor=monitor, monitor_protocol=protocol))
        assert 0 <= history[monitor].iloc[0] <= 1

    @BOTH
    def test_another_run_in_the_folder_is_refused_and_kept(self, train, config, tmp_path):
        run(train, new_model(), config(epochs=1), folder=tmp_path)
        before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
        smaller = DATA.items.copy()
        smaller[:2] = smaller[1::-1]
        other_data = s3.SequenceData(DATA.name, smaller, DATA.offsets, DATA.attributes)
        cases = (
            (new_model(), config(epochs=1, seed=7), DATA, "seed"),
            (new_model(), config(epochs=1, learning_rate=0.5), DATA, "learning_rate"),
            (new_model(seed=1), config(epochs=1), DATA, "starting weights"),
            (new_model(), config(epochs=1), other_data, "data"),
            (new_model(n_heads=4), config(epochs=1), DATA, "n_heads"),
        )
        for model, changed, data, named in cases:
            with pytest.raises(SettingError, match=rf"another run \(different: {named}\).*--restart") as caught:
                run(train, model, changed, data, folder=tmp_path)
            one_line(caught)
        assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before

    @BOTH
    def test_restart_starts_over(self, train, config, tmp_path):
        run(train, new_model(), config(epochs=3, save_step=1), folder=tmp_path)
        restarted, fresh = new_model(), new_model()
        history = run(train, restarted, config(epochs=1, seed=7), folder=tmp_path, restart=True)
        run(train, fresh, config(epochs=1, seed=7))
        assert len(history) == 1
        assert weights_fingerprint(restarted) == weights_fingerprint(fresh)
        assert not [name for name in os.listdir(tmp_path) if "-2." in name or "-3." in name]

    def test_restarting_pre_training_keeps_the_fine_tuned_model(self, tmp_path):
        model = new_model()
        run(s3.pretrain, model, short_pretraining(epochs=1), folder=tmp_path)
        run(s3.finetune, model, short_finetuning(epochs=1), folder=tmp_path)
        run(s3.pretrain, new_model(), short_pretraining(epochs=1, seed=3), folder=tmp_path, restart=True)
        assert weights_fingerprint(load_model(tmp_path / "S3Rec-planted-finetuned-best.pth")) == weights_fingerprint(
            model
        )

    @BOTH
    def test_a_folder_that_cannot_be_written_fails_before_training(self, train, config, tmp_path):
        (tmp_path / "file").write_text("x")
        model = new_model()
        before = weights_fingerprint(model)
        with pytest.raises(s3.S3RecError, match="cannot write") as caught:
            run(train, model, config(), folder=tmp_path / "file" / "runs")
        assert "choose another folder" in one_line(caught)
        assert weights_fingerprint(model) == before

    @BOTH
    def test_a_model_of_other_data_is_refused(self, train, config):
        with pytest.raises(
            SettingError, match="the model has 6 items and 4 attributes, planted has 20 and 20"
        ) as caught:
            run(train, new_model(data=toy()), config())
        one_line(caught)

    @BOTH
    def test_a_device_that_is_not_there_is_one_clear_line(self, train, config):
        for device in ("tpu", "nonsense:3"):
            with pytest.raises(SettingError, match="not available here") as caught:
                train(new_model(), DATA, config(), device=device, progress=False)
            one_line(caught)


@pytest.mark.training
class TestFailure:
    """A loss that is not a number stops the run, names the place, and spoils no file."""

    @pytest.mark.parametrize("learning_rate", [1e12, 1e20, 3e38])
    @BOTH
    def test_it_names_epoch_term_rate_and_what_is_kept(self, train, config, learning_rate, tmp_path):
        settings = config(epochs=6, batch_size=1000, learning_rate=learning_rate, save_step=1)
        rate = re.escape(f"learning rate {learning_rate:g}")
        with pytest.raises(TrainingError, match=rf"epoch \d: .*{rate}") as caught:
            run(train, new_model(), settings, folder=tmp_path)
        message = one_line(caught)
        assert "lower" in message
        written = sorted(tmp_path.glob("*.pth"))
        if written:
            assert "is kept in" in message
            assert "last.pth" in message
        else:
            assert "nothing was saved" in message
        for path in written:
            for name, weight in load_model(path).state_dict().items():
                assert torch.isfinite(weight).all(), (path.name, name)

    def test_the_first_term_that_failed_is_named(self):
        model = new_model()
        with torch.no_grad():
            model.heads["map"].weight[0, 0] = torch.inf
        with pytest.raises(TrainingError, match="epoch 1: the map loss is (nan|inf) at learning rate 0.003"):
            run(s3.pretrain, model, short_pretraining())

    def test_the_fine_tuning_loss_is_named(self):
        model = new_model()
        with torch.no_grad():
            model.item_embeddings.weight[3] = torch.nan
        for loss in ("ce", "bpr", "bce"):
            with pytest.raises(TrainingError, match=f"epoch 1: the {loss} loss is nan at learning rate 0.003"):
                run(s3.finetune, model, short_finetuning(loss=loss))

    def test_an_error_in_a_later_epoch_keeps_the_earlier_ones(self, tmp_path, monkeypatch):
        from s3rec_lite import pretraining

        good = new_model()
        run(s3.pretrain, good, short_pretraining(epochs=2, save_step=0))
        plain, calls = pretraining.pretraining_losses, []

        def broken(*args, **kwargs):
            losses = plain(*args, **kwargs)
            calls.append(1)
            if len(calls) > 2 * 12 + 2:  # 360 prefixes in 6 batches of 2 shards: in the middle of epoch 3
                losses["sp"] = losses["sp"] * torch.nan
            return losses

        monkeypatch.setattr(pretraining, "pretraining_losses", broken)
        with pytest.raises(TrainingError, match="epoch 3: the sp loss is nan") as caught:
            run(s3.pretrain, new_model(), short_pretraining(epochs=5, save_step=0), folder=tmp_path)
        assert "state after epoch 2 is kept in" in one_line(caught)
        kept = load_model(tmp_path / "S3Rec-planted-last.pth")
        assert weights_fingerprint(kept) == weights_fingerprint(good)

    def test_a_user_without_negatives_is_a_data_error(self):
        data = make_data([[1, 2, 3, 1, 2], [1, 3, 2, 1]])
        with pytest.raises(s3.DataError, match="no negative is left"):
            run(s3.pretrain, S3Rec(3, 3, tiny_config()), short_pretraining(), data)
        with pytest.raises(s3.DataError, match="no negative is left"):
            run(s3.finetune, S3Rec(3, 3, tiny_config()), short_finetuning(loss="bpr"), data)
        assert len(run(s3.finetune, S3Rec(3, 3, tiny_config()), short_finetuning(loss="ce"), data)) == 3


class TestEarlyStopping:
    def history(self, values, steps_an_epoch=5):
        return [{"epoch": i + 1, "NDCG@10": value, "steps": (i + 1) * steps_an_epoch} for i, value in enumerate(values)]

    @pytest.mark.parametrize(
        ("values", "patience", "min_steps", "stop"),
        [
            ([], 1, 0, False),
            ([0.5], 1, 0, False),
            ([0.5, 0.4], 1, 0, True),
            ([0.5, 0.4], 2, 0, False),
            ([0.5, 0.4, 0.45], 2, 0, True),
            ([0.5, 0.4, 0.6], 2, 0, False),
            ([0.5, 0.5], 1, 0, True),  # as good is not better
            ([0.1, 0.2, 0.3, 0.3, 0.3], 2, 0, True),
            ([0.5, 0.4, 0.3], 0, 0, False),  # 0 switches it off
            ([0.5, 0.4], 1, 10, True),
            ([0.5, 0.4], 1, 11, False),  # 10 steps are not enough
            ([0.5] + [0.1] * 100, 10, 1000, False),
            ([0.5] + [0.1] * 199, 10, 1000, True),
            ([0.0, 0.0, 0.0], 2, 0, True),
        ],
    )
    def test_by_hand(self, values, patience, min_steps, stop):
        config = FinetuneConfig(patience=patience, min_steps=min_steps)
        assert should_stop(self.history(values), config) == stop

    def test_a_flat_start_does_not_end_a_small_run_by_default(self):
        """With 1,090 users an epoch is 5 steps, and the curve is flat for the first dozens."""
        flat = self.history([0.01] * 60)
        assert not should_stop(flat, FinetuneConfig())
        assert should_stop(flat, FinetuneConfig(min_steps=0))

    def test_it_ends_the_run(self, tmp_path):
        config = {"epochs": 40, "learning_rate": 1e-9, "patience": 2}
        stopped = run(s3.finetune, new_model(), short_finetuning(**config, min_steps=0), folder=tmp_path)
        assert len(stopped) == 3, "nothing changes, so two epochs without a better value follow the first"
        again = run(s3.finetune, new_model(), short_finetuning(**config, min_steps=0), folder=tmp_path)
        assert len(again) == 3, "a finished run stays finished"
        longer = run(s3.finetune, new_model(), short_finetuning(**config, min_steps=24))
        assert len(longer) == 6, "4 steps an epoch: not before step 24"
