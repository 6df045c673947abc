"""The command as a user types it: the whole way, its output, and every mistake as one clear line."""

import dataclasses
import json
import os
import pickle
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from helpers import answer_ctrl_c, authors_file, needs_mirror, signed

from s3rec_lite import load_dataset, load_model, save_model
from s3rec_lite.commands.cli import main
from s3rec_lite.commands.start import STOPPED
from s3rec_lite.experiments.presets import PRESETS
from s3rec_lite.runs.checkpoints import weights_fingerprint
from s3rec_lite.runs.interop import save_authors_checkpoint, save_recbole_checkpoint
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "fetch", "pretrain", "finetune", "evaluate", "reproduce", "recommend", "tune", "study", "lab", "bench", "check",
)  # fmt: skip
TINY = ("--hidden-size", "8", "--inner-size", "8", "--device", "cpu", "--no-progress")
QUIET = ("--device", "cpu", "--no-progress")
PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from s3rec_lite.commands.start import main
main()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test starts in an empty folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments, code: int = 0):
    """Run a command line in this process; its exit code must be ``code``."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, f"{result.exit_code}: {result.stderr}{result.exception!r}"
    return result


def fails(*arguments) -> str:
    """Run a command line that must exit 2 with one line; the line without the program's name."""
    result = run(*arguments, code=2)
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("s3rec-lite: ")
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return lines[0].removeprefix("s3rec-lite: ")


def program(*arguments, code: str = PROGRAM, **options) -> subprocess.Popen:
    """The command as a process of its own, which heeds Ctrl-C even below a parent that ignores it, such as nohup."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes, **options)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write_authors(folder: Path, lines: str, attributes: object) -> Path:
    """A data set in the authors' format."""
    (folder / "X.txt").write_text(lines)
    (folder / "X_item2attributes.json").write_text(
        attributes if isinstance(attributes, str) else json.dumps(attributes)
    )
    return folder / "X.txt"


@pytest.fixture
def trained(folder):
    """A folder with a pre-trained and a fine-tuned model of the toy."""
    run("pretrain", "--data", "toy", "--epochs", 2, *TINY)
    run("finetune", "--data", "toy", "--epochs", 2, *QUIET)
    return folder / "data" / "runs" / "toy"


# --- help and settings ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command):
    text = run(command, "--help").stdout
    assert text.startswith(f"Usage: s3rec-lite {command}")
    assert "--debug" in text
    assert command in run("--help").stdout


def test_the_bare_command_prints_its_help():
    assert run().stdout == run("--help").stdout


@pytest.mark.parametrize(("package", "extra", "arguments"), [
    ("optuna", "tune", ("tune", "--data", "toy", "--set", "pretrain.epochs=1")),
    ("psutil", "bench", ("bench", "--data", "toy")),
])  # fmt: skip
def test_a_package_of_an_extra_that_is_missing_is_one_line(monkeypatch, package, extra, arguments):
    for module in ("s3rec_lite.experiments.tune", "s3rec_lite.experiments.benchmark"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    message = fails(*arguments, *QUIET)
    assert message == f'{package} is not installed; run: pip install "s3rec-lite[{extra}]"'
    run("check")


def test_help_needs_no_heavy_module():
    code = "import sys, s3rec_lite.commands.cli; print([n for n in ('torch', 'pandas', 'optuna') if n in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("command", "settings"), [("pretrain", (ModelConfig, PretrainConfig)), ("finetune", (FinetuneConfig, ModelConfig))]
)
def test_every_setting_has_an_option_with_its_default(command, settings):
    text = " ".join(run(command, "--help").stdout.partition("Options:")[2].split())
    for cls in settings:
        for field in dataclasses.fields(cls):
            value = getattr(cls(), field.name)
            shown = ("on" if value else "off") if isinstance(value, bool) else str(value)
            after = text[text.index(f"--{field.name.replace('_', '-')}") :]
            assert f"[default: {shown}]" in after[: after.index("[default:") + 60]


@pytest.mark.training
def test_settings_reach_the_run():
    result = run(
        "pretrain", "--data", "toy", "--epochs", 1, "--mask-ratio", 0.5, "--no-mask-last", "--sp-form", "infonce",
        "--precision", "fp32", "--json", *TINY,
    )  # fmt: skip
    settings = json.loads(result.stdout)["settings"]
    assert settings["model"] == dataclasses.asdict(ModelConfig(hidden_size=8, inner_size=8))
    expected = PretrainConfig(epochs=1, mask_ratio=0.5, mask_last=False, sp_form="infonce")
    assert settings["pretrain"] == dataclasses.asdict(expected)


def test_recboles_spellings_are_understood():
    result = run(
        "pretrain", "--data", "toy", "--pretrain_epochs", 1, "--hidden_size", 8, "--MAX_ITEM_LIST_LENGTH", 6,
        "--train_batch_size", 4, "--inner_size", 8, "--json", *QUIET,
    )  # fmt: skip
    settings = json.loads(result.stdout)["settings"]
    assert (settings["model"]["hidden_size"], settings["model"]["max_length"]) == (8, 6)
    assert (settings["pretrain"]["epochs"], settings["pretrain"]["batch_size"]) == (1, 4)
    path = "data/runs/toy/S3Rec-toy-last.pth"
    result = run(
        "finetune", "--data", "toy", "--pre_model_path", path, "--epochs", 1, "--loss_type", "BPR",
        "--stopping_step", 3, "--valid_metric", "MRR", "--json", *QUIET,
    )  # fmt: skip
    settings = json.loads(result.stdout)["settings"]["finetune"]
    assert (settings["loss"], settings["patience"], settings["monitor"]) == ("bpr", 3, "MRR")


@pytest.mark.parametrize("preset", PRESETS)
def test_explain_prints_the_preset_and_trains_nothing(folder, preset):
    for command in ("pretrain", "finetune", "reproduce"):
        text = run(command, "--preset", preset, "--explain", "--data", "not-there").stdout
        assert text.startswith(preset)
        assert all(f"pretrain.{name} " in text for name in PRESETS[preset].pretrain)
    assert files(folder) == {}


def test_a_preset_lies_below_the_options():
    result = run(
        "pretrain", "--preset", "authors", "--data", "toy", "--epochs", 1, "--mip-form", "bce", "--json", *TINY
    )
    settings = json.loads(result.stdout)["settings"]["pretrain"]
    assert (settings["mip_form"], settings["sp_form"], settings["batch_size"]) == ("bce", "authors", 100)


# --- the whole way ----------------------------------------------------------------------------------------


@pytest.mark.training
def test_from_pretraining_to_recommendations(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        *(f"S3Rec-toy-{what}" for what in ("last.pth", "best.pth", "history.csv")),
        *(f"S3Rec-toy-finetuned-{what}" for what in ("last.pth", "best.pth", "history.csv")),
    }
    run("finetune", "--data", "toy", "--from-scratch", "--epochs", 2, *TINY)
    text = run("evaluate", "--data", "toy", "--cutoffs", "1,2", *QUIET).stdout
    assert "HR@2" in text
    assert "95% interval" in text
    text = run(
        "evaluate", "--data", "toy", "--against", trained / "S3Rec-toy-scratch-best.pth", "--metric", "MRR", *QUIET
    ).stdout
    assert "MRR over 3 users" in text
    lines = run("recommend", "--data", "toy", "--history", "6,4,1", "-k", 2, *QUIET).stdout.splitlines()
    assert "Who Stole the Moon?" in lines[0]
    toy = load_dataset("toy")
    model = load_model(trained / "S3Rec-toy-finetuned-best.pth")
    items, _ = model.recommend([6, 4, 1], 2)
    assert [line.split()[:2] for line in lines[2:]] == [[str(i + 1), str(item)] for i, item in enumerate(items)]
    assert all(toy.title(item) in line for item, line in zip(items, lines[2:], strict=True))


@pytest.mark.training
def test_results_as_json_and_nothing_else_on_stdout(trained):
    pretrained = json.loads(run("pretrain", "--data", "toy", "--epochs", 3, "--json", *TINY).stdout)
    assert [row["epoch"] for row in pretrained["history"]] == [1, 2, 3]
    assert Path(pretrained["checkpoint"]).is_file()
    tuned = json.loads(run("finetune", "--data", "toy", "--name", "other", "--epochs", 2, "--json", *QUIET).stdout)
    assert tuned["best"] == max(tuned["history"], key=lambda row: row["NDCG@10"])
    report = json.loads(run("evaluate", "--data", "toy", "--against", tuned["checkpoint"], "--json", *QUIET).stdout)
    assert set(report["metrics"]) == {"HR@5", "HR@10", "HR@20", "NDCG@5", "NDCG@10", "NDCG@20", "MRR"}
    assert report["comparison"]["num_users"] == 3
    recommended = json.loads(run("recommend", "--data", "toy", "--history", "1", "--json", *QUIET).stdout)
    assert [row["rank"] for row in recommended["recommendations"]] == [1, 2, 3, 4, 5]
    assert recommended["history"] == [{"item": "1", "title": "A Cat on Mars"}]
    assert json.loads(run("fetch", "toy", "--json").stdout) == {"toy": []}
    facts = json.loads(run("check", "--json").stdout)
    assert facts["versions"]["torch"] == torch.__version__
    assert set(facts) == {"versions", "machine", "data"}
    swept = json.loads(
        run(
            "tune", "--data", "toy", "--set", "pretrain.epochs=0,1", "--set", "finetune.epochs=1", "--set",
            "model.hidden_size=8", "--json", *QUIET,
        ).stdout
    )  # fmt: skip
    assert [trial["params"] for trial in swept["trials"]] == [{"pretrain.epochs": 0}, {"pretrain.epochs": 1}]


@pytest.mark.training
def test_reproduce_leaves_table_records_and_figures(folder):
    arguments = ("reproduce", "--data", "toy", "--epochs", 2, "--finetune-epochs", 2, "--seed", 7, *TINY)
    text = run(*arguments).stdout
    assert "SASRec" in text
    records = [json.loads(path.read_text()) for path in (folder / "data/results").glob("*.json")]
    runs = [record for record in records if record["kind"] == "run"]
    assert sorted(record["settings"]["finetune"]["seed"] for record in runs) == [7, 7]
    assert list((folder / "figures").iterdir())
    before = files(folder / "data")
    assert isinstance(json.loads(run(*arguments, "--json").stdout), list)
    assert files(folder / "data") == before
    result = run("recommend", "--data", "toy", "--history", "1", "--json", *QUIET)  # without a name: the latest
    assert "after-2-epochs-best.pth" in json.loads(result.stdout)["checkpoint"]


@pytest.mark.training
@pytest.mark.parametrize("stage", ["pretrain", "evaluate", "all"])
def test_bench_measures_what_was_asked(stage):
    arguments = ("--batches", 2, "--batch-size", 4, "--rounds", 1)
    result = json.loads(run("bench", "--data", "toy", "--stage", stage, *arguments, "--json", *QUIET).stdout)
    measured = result if stage == "all" else {stage: result}
    assert set(measured) == ({"pretrain", "evaluate"} if stage == "all" else {stage})
    if "pretrain" in measured:
        assert measured["pretrain"]["fast"]["sequences_per_second"] > 0
    if "evaluate" in measured:
        assert measured["evaluate"]["full"]["users_per_second"] > 0
    assert (
        stage.replace("all", "pretrain") in run("bench", "--data", "toy", "--stage", stage, *arguments, *QUIET).stdout
    )


@pytest.mark.training
def test_bench_scale_leaves_a_record_and_a_figure(folder):
    result = run("bench", "--stage", "scale", "--sizes", "0.0005", "--json", *QUIET)
    assert json.loads(result.stdout) == json.loads((folder / "data/results/bench-scale.json").read_text())
    assert (folder / "figures/bench-scale.png").stat().st_size > 1000
    assert "wrote" in result.stderr
    assert "millions of interactions" in fails("bench", "--stage", "scale", "--sizes", "0,1")


@pytest.mark.training
def test_the_same_command_again_goes_on(trained):
    before = files(trained)
    run("pretrain", "--data", "toy", "--epochs", 2, *TINY)
    assert files(trained) == before
    run("pretrain", "--data", "toy", "--epochs", 4, *TINY)
    continued = weights_fingerprint(load_model(trained / "S3Rec-toy-last.pth"))
    run("pretrain", "--data", "toy", "--epochs", 4, "--output", "other", *TINY)
    assert weights_fingerprint(load_model("other/S3Rec-toy-last.pth")) == continued


@pytest.mark.training
def test_another_run_in_the_folder_is_refused_until_restart(trained):
    message = fails("pretrain", "--data", "toy", "--epochs", 2, "--mask-ratio", 0.3, *TINY)
    assert "mask_ratio" in message
    assert "--restart" in message
    run("pretrain", "--data", "toy", "--epochs", 2, "--mask-ratio", 0.3, "--restart", *TINY)


@pytest.mark.training
def test_presets_choose_the_protocol(trained):
    path = trained / "S3Rec-toy-finetuned-best.pth"
    common = ("evaluate", "--data", "toy", "--checkpoint", path, "--json", *QUIET)
    assert json.loads(run(*common, "--preset", "authors").stdout)["protocol"] == "authors"
    kept = json.loads(run(*common, "--preset", "recbole").stdout)
    assert kept["candidates"]["least"] == 6  # the history stays among the six items
    assert json.loads(run(*common).stdout)["candidates"]["most"] < 6
    sampled = run(*common, "--preset", "recbole", "--protocol", "sampled", "--num-negatives", 1)
    assert json.loads(sampled.stdout)["candidates"]["most"] == 2


@pytest.mark.training
def test_checkpoints_of_others_are_told_apart_by_content(trained):
    model = load_model(trained / "S3Rec-toy-finetuned-best.pth")
    save_authors_checkpoint(model, "authors.pt")
    save_recbole_checkpoint(model, "recbole.pth", load_dataset("toy"))
    texts = []
    for path in (trained / "S3Rec-toy-finetuned-best.pth", "authors.pt", "recbole.pth"):
        result = run("evaluate", "--data", "toy", "--checkpoint", path, "--json", *QUIET)
        texts.append(json.loads(result.stdout)["metrics"])
        run("finetune", "--data", "toy", "--checkpoint", path, "--epochs", 1, "--output", Path(path).stem, *QUIET)
    assert texts[0] == texts[1] == texts[2]


@pytest.mark.training
@needs_mirror
def test_the_authors_released_weights_can_be_used(folder):
    weights, data = authors_file("LastFM-epochs-150.pt"), authors_file("LastFM.txt")
    result = run("evaluate", "--data", data, "--checkpoint", weights, "--protocol", "authors", "--json", *QUIET)
    report = json.loads(result.stdout)
    assert (report["num_users"], report["candidates"]["most"]) == (1090, 3648)
    result = run(
        "evaluate", "--data", data, "--checkpoint", weights, "--protocol", "sampled", "--negatives", "given", *QUIET
    )
    assert "100 candidates" in result.stdout


@pytest.mark.training
def test_dropout_may_change_after_pretraining_but_sizes_may_not(trained):
    common = ("finetune", "--data", "toy", "--epochs", 1, "--name", "other", "--json", *QUIET)
    settings = json.loads(run(*common, "--hidden-dropout-prob", 0.1).stdout)["settings"]["model"]
    assert (settings["hidden_dropout_prob"], settings["hidden_size"]) == (0.1, 8)
    assert "hidden_size=8" in fails(*common, "--hidden-size", 16)
    result = run(*common, "--preset", "paper", "--restart")
    assert "s3rec-lite: warning: " in result.stderr
    assert "hidden_act=gelu" in result.stderr


def test_a_csv_file_with_names(folder):
    rows = [(user, f"book {item}", time) for user in range(6) for time, item in enumerate((user % 4, 4, 5, 6, 7))]
    (folder / "shop.csv").write_text("who,what,when\n" + "\n".join(",".join(map(str, row)) for row in rows))
    columns = ("--user-column", "who", "--item-column", "what", "--time-column", "when", "--k-core", 0)
    run("pretrain", "--data", "shop.csv", *columns, "--epochs", 1, *TINY)
    run("finetune", "--data", "shop.csv", *columns, "--epochs", 1, *QUIET)
    text = run("recommend", "--data", "shop.csv", *columns, "--history", "book 4,book 5", *QUIET).stdout
    assert "book 6" in text
    message = fails("recommend", "--data", "shop.csv", *columns, "--history", "book 4,bok 5", *QUIET)
    assert "'bok 5'" in message
    assert "did you mean book 5" in message


def test_items_without_attributes_are_a_warning_of_one_line(folder):
    path = write_authors(folder, "1 1 2 3 4\n2 2 3 4 1\n", {"1": [1], "2": [1, 2]})
    result = run("pretrain", "--data", path, "--epochs", 1, *TINY)
    (line,) = result.stderr.splitlines()
    assert line.startswith("s3rec-lite: warning: ")
    assert " 2 " in line


# --- mistakes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pretrian",), "'pretrain'"),
        (("pretrain", "--epoch", 3), "--epochs"),
        (("pretrain", "--epochs", "three"), "'three' is not a valid integer"),
        (("pretrain", "--data", "lastfn"), "did you mean lastfm"),
        (("pretrain", "--data", "missing.txt"), "missing.txt"),
        (("pretrain", "--data", "toy", "--mask-ratio", 1.5), "mask_ratio=1.5"),
        (("pretrain", "--data", "toy", "--n-heads", 3), "n_heads=3 does not divide hidden_size=64"),
        (("pretrain", "--data", "toy", "--learning-rate", -1), "learning_rate=-1.0"),
        (("pretrain", "--data", "toy", "--preset", "author"), "author"),
        (("pretrain", "--data", "toy", "--device", "gpu"), "'gpu'"),
        (("finetune", "--data", "toy"), "s3rec-lite pretrain --data toy"),
        (("finetune", "--data", "toy", "--output", "a b"), "s3rec-lite pretrain --data toy --output 'a b'"),
        (("finetune", "--data", "toy", "--from-scratch", "--checkpoint", "x.pth"), "leave one out"),
        (("finetune", "--data", "toy", "--monitor", "AUC@3"), "AUC@3"),
        (("finetune", "--data", "toy", "--checkpoint", "x.pth"), "x.pth"),
        (("evaluate", "--data", "toy"), "s3rec-lite finetune --data toy"),
        (("evaluate", "--data", "toy", "--cutoffs", "5,x"), "5,10,20"),
        (("evaluate", "--data", "toy", "--split", "train"), "train"),
        (("recommend", "--data", "toy"), "--history"),
        (("recommend", "--data", "toy", "--history", " , "), "holds no item"),
        (("recommend", "--data", "toy", "--history", "1,9"), "item ids are 1 to 6"),
        (("recommend", "--data", "toy", "--history", "1", "-k", 0), "0"),
        (("tune", "--data", "toy"), "--set"),
        (("tune", "--data", "toy", "--set", "pretrain.epoch=1"), "'pretrain.epochs'"),
        (("tune", "--data", "toy", "--set", "pretrain.epochs=1", "--metric", "NDGC@10"), "NDGC@10"),
        (("tune", "--data", "toy", "--set", "pretrain.epochs=1", "--storage", "sqlite:///."), "--storage"),
        (("fetch", "lastfn"), "did you mean lastfm"),
        (("reproduce", "--data", "toy", "--pretrain-mask-ratio", 2), "mask_ratio=2.0"),
        (("bench", "--data", "toy", "--batches", 0), "0"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(folder, arguments, message):
    assert message in fails(*arguments)
    assert files(folder) == {}


@pytest.mark.parametrize(
    ("lines", "attributes", "message"),
    [
        ("1 1 2 3\n2 1 x 3\n", {"1": [1], "2": [1], "3": [1]}, "X.txt:2: "),
        ("1 1 2 3\n\n2 1 2 3\n", {"1": [1], "2": [1], "3": [1]}, "X.txt:2: "),
        ("1 1 2 3\n2 1 -2 3\n", {"1": [1], "2": [1], "3": [1]}, "X.txt:2: "),
        ("1 1 2 3\n2 1 2.5 3\n", {"1": [1], "2": [1], "3": [1]}, "X.txt:2: "),
        ("1 1 2 3\n2 1 2\n", {"1": [1], "2": [1], "3": [1]}, "X.txt:2: "),
        ("1 1 2 3\n", {"1": [1], "9": [1]}, "9"),
        ("1 1 2 3\n", "{not json", "X_item2attributes.json"),
        ("", {}, "X.txt"),
    ],
    ids=["letters", "empty line", "negative", "fraction", "short", "unknown item", "no json", "empty file"],
)
def test_malformed_data_are_named_with_file_and_line(folder, lines, attributes, message):
    path = write_authors(folder, lines, attributes)
    before = files(folder)
    line = fails("pretrain", "--data", path, "--epochs", 1, *TINY)
    assert message in line
    assert "X" in line
    assert files(folder) == before


def test_damaged_and_foreign_checkpoints(trained, folder):
    whole = (trained / "S3Rec-toy-finetuned-best.pth").read_bytes()
    (folder / "truncated.pth").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.pth").write_bytes(b"")
    (folder / "text.pth").write_text("not a checkpoint")
    (folder / "pickle.pth").write_bytes(pickle.dumps({"format": print}))
    torch.save({"some": torch.zeros(2)}, folder / "tensors.pth")
    before = files(folder)
    for name in ("truncated.pth", "empty.pth", "text.pth", "pickle.pth", "tensors.pth", "missing.pth"):
        for command in (("finetune",), ("evaluate",), ("recommend", "--history", "1")):
            assert name in fails(*command, "--data", "toy", "--checkpoint", name, *QUIET)
    assert files(folder) == before


def test_a_checkpoint_of_other_data_names_both_sizes(trained):
    path = trained / "S3Rec-toy-last.pth"
    message = fails("finetune", "--data", "planted", "--checkpoint", path, *QUIET)
    assert "6 items and 4 attributes" in message
    assert "120" in message


def test_a_damaged_state_is_not_overwritten(trained):
    path = trained / "S3Rec-toy-last.pth"
    path.write_bytes(path.read_bytes()[:1000])
    before = files(trained)
    assert "S3Rec-toy-last.pth" in fails("pretrain", "--data", "toy", "--epochs", 3, *TINY)
    assert files(trained) == before


@pytest.mark.training
def test_a_damaged_state_says_which_checkpoint_is_good_and_restart_begins_anew(trained):
    run("pretrain", "--data", "toy", "--epochs", 4, "--save-step", 3, *TINY)
    path = trained / "S3Rec-toy-last.pth"
    whole = path.read_bytes()
    path.write_bytes(whole[:9000] + bytes(2000) + whole[11_000:])  # a block of zeros
    line = fails("pretrain", "--data", "toy", "--epochs", 5, *TINY)
    assert "S3Rec-toy-3.pth beside it is good (epoch 3): use it as --checkpoint, or train with --restart" in line
    run("finetune", "--data", "toy", "--epochs", 1, "--checkpoint", trained / "S3Rec-toy-3.pth", "--name", "x", *QUIET)
    (trained / ".S3Rec-toy-last.pth.123.part").write_bytes(b"half")
    (trained / ".probe.123").write_bytes(b"x")
    run("pretrain", "--data", "toy", "--epochs", 1, "--restart", *TINY)
    assert not [path for path in trained.iterdir() if path.name.startswith(".")]


@pytest.mark.training
def test_an_optimizer_state_of_another_shape_is_refused(trained):
    """The process used to end with a segmentation fault."""
    path = trained / "S3Rec-toy-last.pth"
    content = torch.load(path, weights_only=True)
    content["optimizer"]["weights"]["state"][0]["exp_avg"] = torch.zeros(2)
    torch.save(signed(content), path)
    assert "optimizer.state[0].exp_avg has sizes [2] instead of" in fails(
        "pretrain", "--data", "toy", "--epochs", 5, *TINY
    )


@pytest.mark.training
def test_weights_that_are_nan_recommend_nothing(trained):
    model = load_model(trained / "S3Rec-toy-finetuned-best.pth")
    with torch.no_grad():
        model.layer_norm.bias[0] = torch.nan
    save_authors_checkpoint(model, "authors.pt")
    save_model(model, "ours.pth")
    for name in ("authors.pt", "ours.pth"):
        for command in (("recommend", "--history", 1), ("evaluate",), ("finetune",)):
            assert "layer_norm.bias holds NaN" in fails(*command, "--data", "toy", "--checkpoint", name, *QUIET)


@pytest.mark.training
@pytest.mark.parametrize("command", ["pretrain", "finetune"])
def test_fewer_epochs_than_the_folder_holds_are_said_to_be_fewer(trained, command):
    before = files(trained)
    result = run(command, "--data", "toy", "--epochs", 1, "--json", *(TINY if command == "pretrain" else QUIET))
    (line,) = result.stderr.splitlines()
    assert line.startswith("s3rec-lite: warning: ") and "holds 2 epochs" in line and "epochs=1" in line
    assert "nothing was trained" in line and "--restart" in line
    assert json.loads(result.stdout)["epochs"] == 2 and files(trained) == before


@pytest.mark.parametrize("name", ["...csv", "....csv", "..csv"])
def test_a_data_file_named_by_dots_has_a_folder_of_its_own(folder, name):
    rows = [f"{user},{item},{time}" for user in range(6) for time, item in enumerate((user % 4, 4, 5, 6, 7))]
    (folder / name).write_text("\n".join(["user,item,time", *rows]) + "\n")
    run("pretrain", "--data", name, "--k-core", 0, "--epochs", 1, *TINY)
    (state,) = folder.rglob("*-last.pth")
    assert state.parent.parent == folder / "data" / "runs"


def test_a_table_of_titles_names_the_column_that_it_needs(folder):
    rows = [f"{user},{item},{item}" for user in range(6) for item in range(6)]
    (folder / "X.csv").write_text("\n".join(["user,item,time", *rows]) + "\n")
    (folder / "X_titles.csv").write_text("item,name\n0,A\n")
    message = fails("pretrain", "--data", "X.csv", "--epochs", 1, *TINY)
    assert "X_titles.csv:1: no column 'title'; rename the right one of item, name to 'title'" in message


def test_check_hides_the_password_of_the_mirror(monkeypatch):
    monkeypatch.setenv("S3REC_MIRROR", "https://me:secret@host/x?token=secret")
    for arguments in ((), ("--json",)):
        text = run("check", *arguments).stdout
        assert "https://...@host/x?..." in text and "secret" not in text


@pytest.mark.parametrize("debug", [(), ("--debug",)])
def test_no_password_of_a_storage_is_printed(debug):
    for url in ("postgresql://me:secret@127.0.0.1:9/x", "nodatabase://me:secret@host/x?password=secret"):
        search = ("tune", "--data", "toy", "--set", "pretrain.epochs=0", "--storage", url, *QUIET, *debug)
        result = run(*search, code=2)
        assert "secret" not in result.stderr + result.stdout
        assert "://...@" in result.stderr.splitlines()[-1]


def test_an_unwritable_folder_fails_before_training(folder):
    (folder / "file").write_text("x")
    for command in (("pretrain",), ("finetune", "--from-scratch")):
        line = fails(*command, "--data", "toy", "--epochs", 1, "--output", "file/below", *TINY)
        assert "file/below" in line
    line = fails("tune", "--data", "toy", "--set", "pretrain.epochs=0", "--output", "file/below", *QUIET)
    assert "file" in line
    assert files(folder) == {"file": b"x"}


def test_given_negatives_must_be_there(trained):
    line = fails("evaluate", "--data", "toy", "--protocol", "sampled", "--negatives", "given", *QUIET)
    assert "no sampled negatives" in line


def test_debug_shows_the_traceback_as_well(folder):
    result = run("pretrain", "--data", "lastfn", "--debug", code=2)
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("s3rec-lite: ")
    assert "Traceback" in run("--debug", "pretrain", "--data", "lastfn", code=2).stderr


@pytest.mark.training
@pytest.mark.skipif(sys.platform == "win32", reason="no limit on file sizes there")
def test_a_full_disk_leaves_nothing_half_written(folder):
    import resource

    def small_files():
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    process = program("pretrain", "--data", "toy", "--epochs", 2, *QUIET, preexec_fn=small_files)
    stdout, stderr = process.communicate()
    assert process.returncode == 2
    (line,) = stderr.splitlines()
    assert line.startswith("s3rec-lite: cannot write ")
    assert stdout == ""
    assert files(folder) == {}


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process there")
def test_ctrl_c_in_the_first_seconds_is_one_line_too(folder):
    """While modules are still imported, at moments all over that time."""
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    code += "from s3rec_lite.commands import start; heed = start.heed_ctrl_c\n"
    code += "start.heed_ctrl_c = lambda: (heed(), print('go', flush=True)); start.main()"
    arguments = ("pretrain", "--data", "planted", "--epochs", "1000", *TINY)
    for delay in (0, 0.03, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2, 1.6):
        process = program(*arguments, code=code, preexec_fn=answer_ctrl_c)
        assert process.stdout.readline() == "go\n"
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
        assert (process.returncode, stderr) == (130, f"s3rec-lite: {STOPPED}\n"), delay


@pytest.mark.training
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to another process there")
def test_ctrl_c_is_one_line_and_the_same_command_goes_on(folder):
    arguments = ("pretrain", "--data", "toy", "--epochs", 100_000, *TINY)
    process = program(*arguments, preexec_fn=answer_ctrl_c)
    state = folder / "data/runs/toy/S3Rec-toy-last.pth"
    try:
        while process.poll() is None and not state.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stderr == "s3rec-lite: stopped; the same command again goes on where it stopped\n"
    done = json.loads(torch.load(state, weights_only=True)["history"])
    history = json.loads(run("pretrain", "--data", "toy", "--epochs", len(done) + 1, "--json", *TINY).stdout)["history"]
    assert history[:-1] == done
    assert not list(folder.rglob("*.part"))


def test_printed_commands_load_the_same_data_with_the_same_preset(tmp_path):
    table = tmp_path / "my films.csv"
    rows = [f"{user},{item},{item}" for user in range(6) for item in range(6)]
    table.write_text("\n".join(["who,item,time", *rows]) + "\n")
    (tmp_path / "my films_attributes.csv").write_text("item,attribute\n0,a\n1,b\n")
    words = ["--data", str(table), "--user-column", "who", "--k-core", "3", "--preset", "authors"]
    short = ["--epochs", "1", "--device", "cpu", "--no-progress"]
    result = CliRunner().invoke(main, ["pretrain", *words, *short, "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    printed = next(line for line in result.output.splitlines() if line.startswith("next"))
    pasted = shlex.split(printed.removeprefix("next"))[1:]
    assert pasted[0] == "finetune" and pasted[pasted.index("--preset") + 1] == "authors"
    again = CliRunner().invoke(main, [*pasted, *short])
    assert again.exit_code == 0, again.output
