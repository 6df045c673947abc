"""Tuning: grids and ranges on validation, shared pre-training, and going on after a kill."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite import S3Rec, evaluate, load_dataset, load_model, pretrain
from s3rec_lite.commands.cli import main
from s3rec_lite.experiments.presets import configs
from s3rec_lite.experiments.search_space import Range, parse_space, read_params_file
from s3rec_lite.experiments.tune import Search, tune
from s3rec_lite.runs.checkpoints import weights_fingerprint
from s3rec_lite.support.errors import S3RecError, SettingError

TINY = {"model.hidden_size": [8], "model.inner_size": [8], "finetune.epochs": [2], "finetune.min_steps": [0]}


@pytest.fixture
def toy():
    return load_dataset("toy")


def quiet_tune(data, space, folder, **options):
    return tune(Search(data, {**TINY, **space}, runs=Path(folder), device="cpu", progress=False, **options))


# --- the space --------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=6, unique=True))
def test_lists_are_read_in_the_type_of_the_setting(values):
    text = ",".join(map(str, values))
    assert parse_space([f"pretrain.epochs={text}"]) == {"pretrain.epochs": values}
    assert parse_space([f"pretrain.sp_weight={text}"]) == {"pretrain.sp_weight": [float(value) for value in values]}


def test_all_kinds_of_values():
    space = parse_space(
        [
            "finetune.learning_rate=log:1e-4:1e-2",
            "model.n_layers=range:1:3",
            "finetune.loss=ce, bpr",
            "mask_last=true",
        ]
    )
    assert space == {
        "finetune.learning_rate": Range(1e-4, 1e-2, log=True),
        "model.n_layers": Range(1, 3, whole=True),
        "finetune.loss": ["ce", "bpr"],
        "pretrain.mask_last": [True],
    }


def test_recboles_names_are_known():
    assert parse_space(["pretrain_epochs=50,100,150"]) == {"pretrain.epochs": [50, 100, 150]}
    texts = ["MAX_ITEM_LIST_LENGTH=20,50", "loss_type=CE,BPR", "stopping_step=3", "valid_metric=MRR@10"]
    assert parse_space(texts) == {
        "model.max_length": [20, 50], "finetune.loss": ["ce", "bpr"], "finetune.patience": [3],
        "finetune.monitor": ["MRR@10"],
    }  # fmt: skip
    with pytest.raises(SettingError, match="pretrain.batch_size or finetune.batch_size"):
        parse_space(["train_batch_size=2048"])
    with pytest.raises(SettingError, match="--learning-rate"):
        parse_space(["learner=adam"])


def test_the_lines_of_recboles_parameter_file_are_read(tmp_path):
    path = tmp_path / "hyper.test"
    path.write_text(
        "# comment\npretrain_epochs choice [50, 100, 150]\nloss_type choice ['CE', 'BPR']\n\n"
        "hidden_dropout_prob uniform 0.1, 0.5\nfinetune.learning_rate loguniform -8,0\n"
        "mask_ratio quniform 0.1,0.3,0.1\nn_layers quniform 1,3,1\n"
    )
    space = read_params_file(path)
    rate = space.pop("finetune.learning_rate")
    assert (rate.low, rate.high, rate.log) == (pytest.approx(np.exp(-8)), 1, True)
    assert space == {
        "pretrain.epochs": [50, 100, 150],
        "finetune.loss": ["ce", "bpr"],
        "model.hidden_dropout_prob": Range(0.1, 0.5),
        "pretrain.mask_ratio": [0.1, 0.2, 0.3],
        "model.n_layers": [1, 2, 3],
    }


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("pretrain_epochs choice", "SETTING KIND VALUES"),
        ("pretrain_epochs choice 50,x", "not a list"),
        ("pretrain_epochs choice __import__('os').getcwd()", "not a list"),
        ("pretrain_epochs choice []", "not a list"),
        ("mask_ratio normal 0,1", "choice, uniform, loguniform or quniform"),
        ("mask_ratio uniform a,b", "not a list of numbers"),
        ("mask_ratio uniform 0.5,0.1", "must rise"),
        ("mask_ratio quniform 0,1,0", "LOW,HIGH,STEP"),
        ("learner choice ['adam']", "Adam is the only optimizer"),
        ("hidden_size choice [8]\nhidden_size choice [9]", "given twice"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    path = tmp_path / "hyper.test"
    path.write_text("n_layers choice [1]\n" + line + "\n")
    with pytest.raises(SettingError, match=rf"hyper\.test:[23]: .*{message}"):
        read_params_file(path)
    with pytest.raises(SettingError, match="none"):
        read_params_file(tmp_path / "none")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pretrain.epochs", "STAGE.SETTING=VALUES"),
        ("pretrain.epoch=3", "did you mean 'pretrain.epochs'"),
        ("epochs=3", "pretrain.epochs or finetune.epochs"),
        ("pretrain.mask_ratio=0.2,1.5", "mask_ratio=1.5"),
        ("pretrain.epochs=ten", "epochs=ten"),
        ("finetune.loss=mse", "loss=mse"),
        ("finetune.loss=log:1:2", "numbers only"),
        ("finetune.learning_rate=log:1e-2:1e-4", "must rise"),
        ("finetune.weight_decay=log:0:0.1", "above 0"),
    ],
)
def test_bad_values_are_named(text, message):
    with pytest.raises(SettingError, match=message):
        parse_space([text])


def test_a_setting_is_given_once():
    with pytest.raises(SettingError, match="given twice"):
        parse_space(["pretrain.epochs=1", "pretrain.epochs=2"])


# --- the search -------------------------------------------------------------------------------------------


@pytest.mark.training
def test_a_grid_is_tried_point_by_point_and_only_once(toy, tmp_path):
    space = {"pretrain.epochs": [2, 0], "finetune.learning_rate": [0.01, 0.001]}
    result = quiet_tune(toy, space, tmp_path)
    tried = [(trial["params"]["pretrain.epochs"], trial["params"]["finetune.learning_rate"]) for trial in result.trials]
    assert sorted(tried) == [(0, 0.001), (0, 0.01), (2, 0.001), (2, 0.01)]
    assert result.best["value"] == max(trial["value"] for trial in result.trials)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pth")}
    again = quiet_tune(toy, space, tmp_path)
    assert again.trials == result.trials
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.pth")} == files


@pytest.mark.training
@pytest.mark.parametrize("metric", ["MRR", "MRR@10", "NDCG@1"])
def test_the_value_is_the_validation_metric_of_the_kept_checkpoint(toy, tmp_path, metric):
    result = quiet_tune(toy, {"pretrain.epochs": [0, 1]}, tmp_path, metric=metric)
    for trial in result.trials:
        report = evaluate(load_model(trial["checkpoint"]), toy, "valid")
        assert trial["value"] == pytest.approx(report.per_user(metric).mean(), abs=1e-12)


@pytest.mark.training
@pytest.mark.parametrize("order", [[1, 3], [3, 1]])
def test_pretraining_is_shared_and_ends_as_if_it_were_not(toy, tmp_path, order):
    quiet_tune(toy, {"pretrain.epochs": order}, tmp_path)
    (folder,) = (tmp_path / "tune").glob("pretrain-*")
    for epochs in order:
        model_config, config, _ = configs(model={"hidden_size": 8, "inner_size": 8}, pretrain={"epochs": epochs})
        alone = S3Rec(toy.num_items, toy.num_attributes, model_config, seed=config.seed)
        pretrain(alone, toy, config, device="cpu", progress=False)
        shared = load_model(folder / f"S3Rec-toy-{epochs}.pth")
        assert weights_fingerprint(shared) == weights_fingerprint(alone)


@pytest.mark.training
def test_fewer_epochs_than_the_shared_run_has_get_a_run_of_their_own(toy, tmp_path):
    first = quiet_tune(toy, {"pretrain.epochs": [3]}, tmp_path)
    second = quiet_tune(toy, {"pretrain.epochs": [2]}, tmp_path)
    assert first.search.study_name != second.search.study_name
    assert len(list((tmp_path / "tune").glob("pretrain-*"))) == 2


@pytest.mark.training
def test_a_range_is_searched_within_its_ends_and_goes_on(toy, tmp_path):
    space = {"finetune.learning_rate": Range(1e-4, 1e-2, log=True), "pretrain.epochs": [0]}
    assert len(quiet_tune(toy, space, tmp_path, trials=2).trials) == 2
    trials = quiet_tune(toy, space, tmp_path, trials=4).trials
    rates = [trial["params"]["finetune.learning_rate"] for trial in trials]
    assert len(set(rates)) == 4
    assert all(1e-4 <= rate <= 1e-2 for rate in rates)


@pytest.mark.training
def test_a_trial_that_ctrl_c_stops_is_tried_again(toy, tmp_path, monkeypatch):
    space = {"finetune.learning_rate": Range(1e-4, 1e-2, log=True), "pretrain.epochs": [0]}

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch.optim.Adam, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            quiet_tune(toy, space, tmp_path, trials=1)
    (again,) = quiet_tune(toy, space, tmp_path, trials=1).trials
    (unbroken,) = quiet_tune(toy, space, tmp_path / "unbroken", trials=1).trials
    assert again["params"] == unbroken["params"]


@pytest.mark.training
def test_settings_that_do_not_fit_end_their_trial_only(toy, tmp_path):
    space = {"model.n_heads": [3, 2], "pretrain.epochs": [0]}
    result = quiet_tune(toy, space, tmp_path)
    values = {trial["params"]["model.n_heads"]: trial for trial in result.trials}
    assert values[3]["value"] is None
    assert "does not divide" in values[3]["reason"]
    assert result.best is values[2]
    assert "does not divide" in str(result)
    with pytest.raises(SettingError, match="no trial could be finished"):
        quiet_tune(toy, {"model.n_heads": [3, 5], "pretrain.epochs": [0]}, tmp_path)


@pytest.mark.training
def test_a_diverging_trial_ends_alone(toy, tmp_path):
    space = {"pretrain.epochs": [0], "finetune.learning_rate": [1e38, 0.001], "finetune.batch_size": [1]}
    result = quiet_tune(toy, space, tmp_path)
    values = {trial["params"]["finetune.learning_rate"]: trial for trial in result.trials}
    assert "learning rate" in values[1e38]["reason"]
    assert result.best is values[0.001]


@pytest.mark.training
def test_a_study_name_belongs_to_one_search(toy, tmp_path):
    quiet_tune(toy, {"pretrain.epochs": [0]}, tmp_path, study="mine")
    with pytest.raises(SettingError, match="searches something else"):
        quiet_tune(toy, {"pretrain.epochs": [1]}, tmp_path, study="mine")


def test_bad_storage_is_one_line(toy, tmp_path):
    (tmp_path / "file").write_text("x")
    for storage in (f"sqlite:///{tmp_path}/file/tune.db", f"sqlite:///{tmp_path}", "nonsense://x"):
        with pytest.raises(S3RecError, match="cannot use the storage") as caught:
            quiet_tune(toy, {"pretrain.epochs": [0]}, tmp_path, storage=storage)
        assert "\n" not in str(caught.value)


@pytest.mark.training
@pytest.mark.parametrize("epochs", [0, 2])
def test_the_printed_command_trains_the_best_model_again(toy, tmp_path, monkeypatch, epochs):
    monkeypatch.chdir(tmp_path)
    space = {"pretrain.epochs": [epochs], "finetune.clamped_logs": [True, False], "finetune.loss": ["bce"]}
    result = quiet_tune(toy, space, "data/runs/toy")
    for command in result.command.split(" && "):
        run = CliRunner().invoke(main, [*shlex.split(command)[1:], "--device", "cpu", "--no-progress"])
        assert run.exit_code == 0, run.stderr
    (again,) = (
        Path("data/runs/toy/best").glob("*-best.pth")
        if epochs == 0
        else Path("data/runs/toy/best").glob("*finetuned-best.pth")
    )
    assert weights_fingerprint(load_model(again)) == weights_fingerprint(load_model(result.best["checkpoint"]))


@pytest.mark.training
def test_a_killed_search_goes_on_to_the_same_end(toy, tmp_path):
    arguments = [
        "--set",
        "pretrain.epochs=0,50",
        "--set",
        "model.hidden_size=8",
        "--set",
        "model.inner_size=8",
    ]
    arguments += ["--set", "finetune.epochs=2", "--set", "finetune.min_steps=0", "--device", "cpu"]
    command = [sys.executable, "-m", "s3rec_lite", "tune", "--data", "toy", "--no-progress", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen([*command, "--output", str(tmp_path / "a")], env=environment)
    state = tmp_path / "a" / "tune"
    while process.poll() is None and not list(state.glob("pretrain-*/S3Rec-toy-last.pth")):
        time.sleep(0.01)
    assert process.poll() is None, "the search ended before it could be killed"
    process.kill()
    process.wait()
    space = parse_space([text for text in arguments if "=" in text])
    after, whole = (
        tune(Search(toy, space, runs=tmp_path / folder, device="cpu", progress=False)) for folder in ("a", "b")
    )
    assert sorted(trial["params"]["pretrain.epochs"] for trial in after.trials) == [0, 50]
    for one, other in zip(after.trials, whole.trials, strict=True):
        first, second = load_model(one["checkpoint"]), load_model(other["checkpoint"])
        assert (one["params"], one["value"]) == (other["params"], other["value"])
        assert weights_fingerprint(first) == weights_fingerprint(second)
