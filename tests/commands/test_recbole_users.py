"""The command for those who come from RecBole: its files, its names, and an answer to each of its options."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from helpers import RECBOLE

from s3rec_lite import load_dataset, load_model
from s3rec_lite.commands.cli import main
from s3rec_lite.experiments.presets import data_settings
from s3rec_lite.runs.interop import save_authors_checkpoint, save_recbole_checkpoint

FINETUNED, PRETRAINED = RECBOLE / "finetuned.pth", RECBOLE / "pretrained.pth"
SAID = json.loads((RECBOLE / "films.json").read_text())
QUIET = ("--device", "cpu", "--no-progress")
FILMS = ("--data", RECBOLE, *QUIET)
TINY = ("--hidden-size", "8", "--inner-size", "8", *QUIET)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test starts in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, code: int = 0):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, f"{result.exit_code}: {result.stderr}{result.exception!r}"
    return result


def fails(*arguments) -> str:
    """A command line that must exit 2 with one line: that line."""
    result = run(*arguments, code=2)
    (line,) = result.stderr.splitlines()
    assert result.stdout == ""
    return line


# --- its checkpoints --------------------------------------------------------------------------------------------


def test_the_preset_evaluates_its_checkpoint_to_its_numbers():
    report = json.loads(run("evaluate", "--checkpoint", FINETUNED, "--preset", "recbole", "--json", *FILMS).stdout)
    for kind, theirs in (("HR", "hit"), ("NDCG", "ndcg")):
        for cutoff in (5, 10):
            value = SAID["test"][f"{theirs}@{cutoff}"]
            assert report["metrics"][f"{kind}@{cutoff}"] == pytest.approx(value, abs=5.1e-5)


def test_without_an_order_of_items_it_is_refused_in_one_line():
    for command in (("evaluate",), ("recommend", "--history", "f894"), ("finetune", "--epochs", "1")):
        line = fails(*command, "--checkpoint", FINETUNED, *FILMS)
        assert "--id-order recbole" in line
        assert "--item-list" in line
    line = fails("evaluate", "--checkpoint", FINETUNED, "--data", "toy", *QUIET)
    assert "--id-order" not in line
    assert "--item-list" in line


def test_the_same_items_are_recommended_by_order_and_by_list():
    Path("items.txt").write_text("\n".join(SAID["item_id"]))
    texts = []
    for order in (("--id-order", "recbole"), ("--preset", "recbole"), ("--item-list", "items.txt")):
        arguments = ("recommend", "--history", "f894,f859", "-k", 5, "--checkpoint", FINETUNED, "--json")
        texts.append([row["item"] for row in json.loads(run(*arguments, *order, *FILMS).stdout)["recommendations"]])
    assert texts[0] == texts[1]
    taken = {line.split("\t")[1] for line in (RECBOLE / "films.inter").read_text().splitlines()}
    assert [item for item in texts[0] if item in taken] == texts[2][: len([i for i in texts[0] if i in taken])]


def test_the_kits_filter_is_off_for_its_checkpoints_and_the_size_error_names_it():
    common = ("evaluate", "--checkpoint", FINETUNED, "--id-order", "recbole", "--json", *FILMS)
    assert json.loads(run(*common).stdout)["candidates"]["most"] <= 30
    assert "add --k-core 0" in fails(*common, "--k-core", 8)


def test_a_list_is_for_others_checkpoints_only():
    run("pretrain", "--data", "toy", "--epochs", 1, *TINY)
    path = "data/runs/toy/S3Rec-toy-last.pth"
    assert "of this kit" in fails("evaluate", "--data", "toy", "--checkpoint", path, "--item-list", "x", *QUIET)


def test_fine_tuning_goes_on_from_its_pretraining_and_the_next_command_knows_the_data():
    result = run("finetune", "--pre_model_path", PRETRAINED, "--id-order", "recbole", "--epochs", 1, *FILMS)
    model = load_model("data/runs/films/S3Rec-films-finetuned-best.pth")
    assert (model.config.n_heads, model.config.finetune_positions, model.num_items) == (4, "left", 30)
    line = next(line for line in result.stdout.splitlines() if line.startswith("next"))
    assert "--k-core 0 --id-order recbole" in line
    run(*line.split()[2:], *QUIET)


@pytest.mark.filterwarnings("always")
def test_a_checkpoint_of_this_kit_on_another_numbering_is_a_warning():
    common = ("--data", RECBOLE, "--k-core", 0, "--item-attribute", "none")
    run("finetune", "--from-scratch", "--epochs", 1, "--id-order", "recbole", *common, *TINY)
    path = "data/runs/films/S3Rec-films-scratch-best.pth"
    arguments = ("evaluate", "--checkpoint", path, *common, *QUIET)
    assert "was trained on other data" in run(*arguments).stderr
    assert run(*arguments, "--id-order", "recbole").stderr == ""


def test_what_the_kit_exports_finds_its_items_again():
    run("finetune", "--from-scratch", "--epochs", 1, "--k-core", 0, *FILMS, *TINY)
    path, data = "data/runs/films/S3Rec-films-scratch-best.pth", load_dataset(RECBOLE, k_core=0)
    save_recbole_checkpoint(load_model(path), "out.pth", data)
    save_authors_checkpoint(load_model(path), "out.pt")
    wanted, found = (
        json.loads(run("evaluate", "--checkpoint", each, *order, "--k-core", 0, "--json", *FILMS).stdout)["metrics"]
        for each, order in ((path, ()), ("out.pth", ()))
    )
    assert wanted == found
    assert "--item-list" in fails("evaluate", "--checkpoint", "out.pt", "--k-core", 0, *FILMS)


def test_orders_are_for_its_files_only():
    for option in (("--id-order", "recbole"), ("--time-rounding", "scaled")):
        assert "need RecBole's .inter files" in fails("evaluate", "--data", "toy", *option, *QUIET)
    run(
        "pretrain", "--data", "toy", "--preset", "recbole", "--epochs", 1, *TINY
    )  # the preset's order counts for its files


def test_the_preset_says_what_it_changes_in_the_data():
    assert data_settings("recbole") == {"k_core": 0, "id_order": "recbole", "time_rounding": "scaled"}
    text = run("pretrain", "--preset", "recbole", "--explain").stdout
    assert all(f"data.{name}" in text for name in data_settings("recbole"))
    assert "normalize_all" in text


# --- its words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ("--config-files=a.yaml", "--preset recbole"),
        ("--config_files=a.yaml", "--preset recbole"),
        ("--dataset=ml-100k", "--data"),
        ("--train_stage=pretrain", "s3rec-lite pretrain"),
        ("--train_neg_sample_args=None", "--loss ce"),
        ("--learner=adam", "--learning-rate"),
        ("--topk=10", "--cutoffs"),
        ("--model=SASRec", "--from-scratch"),
        ("--params-file=x", "tune --params-file"),
    ],
)
def test_each_option_of_recbole_gets_an_answer(option, instead):
    line = fails("finetune", "--data", "toy", option, *QUIET)
    assert option.split("=")[0].replace("_", "-") in line
    assert instead in line


@pytest.mark.parametrize("name", ["Recall@10", "recall@5", "Hit@10"])
def test_its_other_names_of_the_hit_rate_say_what_to_write(name):
    instead = f"HR@{name.split('@')[1]}"
    for arguments in (
        ("finetune", "--data", "toy", "--valid_metric", name),
        ("tune", "--data", "toy", "--set", "pretrain_epochs=1", "--metric", name),
        ("tune", "--data", "toy", "--set", f"valid_metric={name}"),
        ("evaluate", "--data", "toy", "--metric", name),
    ):
        assert instead in fails(*arguments, *QUIET)


def test_a_second_checkpoint_to_start_from_needs_a_name():
    for seed in (1, 2):
        run("pretrain", "--data", "toy", "--epochs", 1, "--seed", seed, "--output", seed, *TINY)
    common = ("finetune", "--data", "toy", "--epochs", 1, *QUIET, "--pre_model_path")
    run(*common, "1/S3Rec-toy-last.pth")
    assert "--name" in fails(*common, "2/S3Rec-toy-last.pth")
    run(*common, "2/S3Rec-toy-last.pth", "--name", "second")


@pytest.mark.training
def test_tune_reads_its_file_and_its_metric():
    Path("hyper.test").write_text("pretrain_epochs choice [0, 1]\nloss_type choice ['CE']\n\nhidden_size choice [8]\n")
    arguments = ("--params-file", "hyper.test", "--set", "finetune.epochs=1", "--metric", "MRR@10", "--json")
    result = json.loads(run("tune", "--data", "toy", *arguments, *QUIET).stdout)
    assert [trial["params"] for trial in result["trials"]] == [{"pretrain.epochs": 0}, {"pretrain.epochs": 1}]
    assert result["fixed"] == {"finetune.loss": "ce", "model.hidden_size": 8, "finetune.epochs": 1}
    assert all(0 < trial["value"] <= 1 for trial in result["trials"])
    assert "leave one out" in fails("tune", "--data", "toy", *arguments, "--set", "loss_type=ce", *QUIET)
    assert "--params-file" in fails("tune", "--data", "toy", *QUIET)


@pytest.mark.training
def test_bench_takes_a_preset():
    arguments = ("bench", "--data", "toy", "--stage", "pretrain", "--batches", 2, "--batch-size", 4, "--rounds", 1)
    record = json.loads(run(*arguments, "--preset", "recbole", "--json", *QUIET).stdout)
    assert (record["preset"], record["name"]) == ("recbole", "bench-toy-recbole-pretrain")
    assert "reference" in fails(*arguments, "--preset", "recbole", "--against", "reference", *QUIET)
