"""Presets: every entry is a real difference, valid and explained; "authors" computes what their code does."""

import dataclasses

import numpy as np
import pytest
import torch

from s3rec_lite import S3Rec
from s3rec_lite import plain as reference
from s3rec_lite.datasets import load_dataset, planted
from s3rec_lite.experiments.presets import CONFIG_CLASSES, PRESETS, configs, default_of, evaluation_settings, explain
from s3rec_lite.experiments.reports import evaluate
from s3rec_lite.objectives import pretraining_losses
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.errors import SettingError
from s3rec_lite.views import ViewSampler, list_prefixes

ENTRIES = [
    (name, stage, setting)
    for name, preset in PRESETS.items()
    for stage in ("data", *CONFIG_CLASSES, "evaluation")
    for setting in getattr(preset, stage)
]
SMALL = {"hidden_size": 16, "inner_size": 32, "max_length": 12}


@pytest.mark.parametrize(("name", "stage", "setting"), ENTRIES)
def test_every_entry_differs_from_the_default_and_says_why(name, stage, setting):
    change = getattr(PRESETS[name], stage)[setting]
    assert change.value != default_of(stage, setting)
    assert len(change.why) > 15
    assert "\n" not in change.why


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_valid_and_changes_nothing_else(name):
    for stage, config in zip(CONFIG_CLASSES, configs(name), strict=True):
        changed = PRESETS[name].values(stage)
        for field in dataclasses.fields(config):
            expected = changed.get(field.name, default_of(stage, field.name))
            assert getattr(config, field.name) == expected


def test_the_four_presets_are_four_different_runs():
    assert set(PRESETS) == {"default", "paper", "authors", "recbole"}
    assert configs("default") == (ModelConfig(), PretrainConfig(), FinetuneConfig())
    assert len({configs(name)[1] for name in PRESETS}) == 4


def test_given_settings_win_over_the_preset():
    model, pretrain, finetune = configs(
        "authors", model={"hidden_size": 32}, pretrain={"batch_size": 7}, finetune={"loss": "bpr"}
    )
    assert (model.hidden_size, pretrain.batch_size, finetune.loss) == (32, 7, "bpr")
    assert pretrain.mip_form == "authors"


@pytest.mark.parametrize("data", [load_dataset("toy"), planted(num_users=20, length=9)], ids=["toy", "planted"])
def test_authors_objectives_equal_the_plain_reference(data):
    model_config, config, _ = configs("authors", model=SMALL, pretrain={"batch_size": 30})
    model = S3Rec(data.num_items, data.num_attributes, model_config, seed=3)
    with torch.no_grad():  # larger weights than the initial ones, so that no score is near 0
        for parameter in model.parameters():
            parameter.mul_(3)
    model.eval()
    rng = np.random.default_rng(0)
    sampler = ViewSampler(data, config, model.max_length)
    views = sampler.batch(sampler.epoch(rng)[0], rng)
    ours = pretraining_losses(model, views, data.attributes, config)
    padded = [torch.nn.functional.pad(view, (model.max_length - view.shape[1], 0)) for view in views]
    theirs = reference.pretraining_losses(model, padded, data.attributes[padded[1]])
    for name in ("aap", "mip", "map", "sp"):
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-5, atol=0)


def test_authors_preset_draws_from_the_ranges_of_their_code():
    # The mask token as a negative item and held-out items as negative segments are theirs; the default has neither.
    data = planted(num_users=40, length=6, num_items=20, num_groups=4)
    drawn = {}
    for name in ("default", "authors"):
        sampler = ViewSampler(data, configs(name, pretrain={"batch_size": 160})[1], 50)
        rng = np.random.default_rng(1)
        batches = [sampler.batch(indices, rng) for _ in range(20) for indices in sampler.epoch(rng)]
        drawn[name] = sum(int((views.neg_items == data.mask_token).sum()) for views in batches)
    assert drawn["default"] == 0
    assert drawn["authors"] > 0


def test_recbole_preset_never_shows_the_last_training_item():
    data = load_dataset("toy")
    prefixes = list_prefixes(data, 50, configs("recbole")[1].prefixes)
    assert (prefixes.ends < data.history_ends("train")[prefixes.users]).all()


def test_paper_preset_stays_below_one_nat():
    # A squashed critic cannot certify more than 1 nat (equations 2 and 11), even with scores as good as can be.
    data = planted(num_users=30, length=8)
    model_config, config, _ = configs("paper", model=SMALL, pretrain={"batch_size": 60, "num_negatives": 50})
    model = S3Rec(data.num_items, data.num_attributes, model_config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(20)
    model.eval()
    rng = np.random.default_rng(0)
    sampler = ViewSampler(data, config, model.max_length)
    views = sampler.batch(sampler.epoch(rng)[0], rng)
    losses = pretraining_losses(model, views, data.attributes, config, rng=rng)
    unbounded = dataclasses.replace(config, bounded_critic=False)
    wild = pretraining_losses(model, views, data.attributes, unbounded, rng=rng)
    # At most 51 candidates: the loss lies within 1 nat of log 51; without the sigmoid it may be anything.
    assert 0 < losses["mip"].item() <= np.log(51) + 1
    assert wild["mip"].item() > np.log(51) + 1


@pytest.mark.parametrize("name", PRESETS)
def test_evaluation_settings_are_accepted_by_evaluate(name):
    data = planted(num_users=10, length=6, num_items=240)
    model = S3Rec(data.num_items, data.num_attributes, configs(name, model=SMALL)[0])
    report = evaluate(model, data, **evaluation_settings(name))
    assert report.protocol == evaluation_settings(name)["protocol"]


@pytest.mark.parametrize("name", PRESETS)
def test_explain_lists_every_difference_and_every_limit(name):
    text = explain(name)
    for stage in (*CONFIG_CLASSES, "evaluation"):
        for setting, change in getattr(PRESETS[name], stage).items():
            row = next(line for line in text.splitlines() if line.startswith(f"{stage}.{setting} "))
            assert str(change.value) in row
            assert str(default_of(stage, setting)) in row
    assert text.count("  * ") == len(PRESETS[name].limits)


def test_explain_shows_what_was_given_beside_the_preset():
    text = explain("authors", pretrain={"epochs": 20, "mask_ratio": 0.3})
    assert "pretrain.mask_ratio" in text
    assert "pretrain.epochs" not in text  # back at the default


def test_unknown_names_get_the_nearest():
    with pytest.raises(SettingError, match="did you mean 'authors'"):
        configs("author")
    with pytest.raises(SettingError, match="hidden_size"):
        configs("paper", model={"hiden_size": 3})
