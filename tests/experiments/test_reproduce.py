"""The whole way on a small planted world: complete records, nothing done twice, nothing lost by Ctrl-C."""

import dataclasses
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch

from s3rec_lite import evaluate, load_model, training
from s3rec_lite.datasets import planted, toy
from s3rec_lite.evaluation import draw_negatives
from s3rec_lite.experiments.reproduce import default_epochs, estimated_minutes, reproduce, results_table
from s3rec_lite.runs.records import (
    history_columns,
    make_record,
    markdown_bench,
    markdown_table,
    read_records,
    replace_blocks,
    to_json,
    write_record,
)
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.errors import DataError, S3RecError, SettingError

DATA = planted(num_users=40, num_items=120, length=9)
SMALL = {
    "model": {"hidden_size": 8, "inner_size": 16, "n_layers": 1, "n_heads": 1, "max_length": 10},
    "pretrain": {"epochs": 2, "save_step": 0},
    "finetune": {"epochs": 3},
    "device": "cpu",
    "progress": False,
}


def run(folder, data=DATA, **changes):
    places = {name: folder / name for name in ("results", "figures", "runs")}
    return reproduce(data, **{**SMALL, **places, **changes})


def forbid_training(monkeypatch):
    def step(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(training.PretrainStep, "epoch", step)
    monkeypatch.setattr(training, "finetune_epoch", step)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduced")
    return folder, run(folder)


@pytest.fixture
def no_figures(monkeypatch):
    """Leave out the figures, which take longer than the training of these small models."""
    monkeypatch.setattr("s3rec_lite.experiments.reproduce.record_figures", lambda *_: [])


def test_records_hold_what_a_reader_needs_to_judge_the_run(finished):
    folder, (s3rec, sasrec, comparison) = finished
    assert [path.name for path in sorted((folder / "results").iterdir())] == [
        "planted-comparison-seed42.json",
        "planted-s3rec-seed42.json",
        "planted-sasrec-seed42.json",
    ]
    assert read_records(folder / "results") == json.loads(json.dumps([comparison, s3rec, sasrec]))
    for record in (s3rec, sasrec):
        assert record["data"]["users"] == 40
        assert record["settings"]["model"]["hidden_size"] == 8
        assert record["settings"]["finetune"]["epochs"] == 3
        assert set(record["minutes"]) == {"pretraining", "finetuning", "evaluation"}
        assert record["machine"]["torch"] == torch.__version__
        assert record["history"]["finetuning"]["epoch"] == [1, 2, 3]
        assert record["validation"]["value"] == pytest.approx(max(record["history"]["finetuning"]["NDCG@10"]), rel=1e-5)
        assert set(record["test"]) == {"full", "sampled"}
    assert s3rec["history"]["pretraining"]["epoch"] == [1, 2]
    assert sasrec["settings"]["pretrain"] is None
    assert sasrec["minutes"]["pretraining"] == 0


def test_recorded_numbers_are_those_of_the_saved_models(finished):
    folder, (s3rec, sasrec, comparison) = finished
    for record, start in ((s3rec, "after-2-epochs"), (sasrec, "from-scratch")):
        (path,) = (folder / "runs").rglob(f"*{start}-best.pth")
        model = load_model(path)
        for protocol in ("full", "sampled"):
            report = evaluate(model, DATA, "test", protocol)
            assert record["test"][protocol]["metrics"] == report.metrics
            assert record["test"][protocol]["intervals"]["MRR"] == pytest.approx(report.interval("MRR"))
    for protocol, metrics in comparison["differences"].items():
        for metric, facts in metrics.items():
            first, second = (record["test"][protocol]["metrics"][metric] for record in (s3rec, sasrec))
            assert facts["difference"] == pytest.approx(first - second)
            assert facts["low"] <= facts["difference"] <= facts["high"]
            assert 0 < facts["p_value"] <= 1


def test_figures_are_written_with_descriptions(finished):
    folder, _ = finished
    names = ["planted-comparison", "planted-pretraining-losses", "planted-validation"]
    assert sorted(path.name for path in (folder / "figures").glob("*.png")) == [f"{name}.png" for name in names]
    for name in names:
        assert "planted" in (folder / "figures" / f"{name}.txt").read_text()


def test_the_same_call_again_trains_nothing_and_returns_the_same(finished, monkeypatch, no_figures):
    folder, records = finished
    forbid_training(monkeypatch)
    monkeypatch.setattr("s3rec_lite.experiments.reproduce.evaluate", None)  # not even evaluation is repeated
    assert run(folder) == json.loads(json.dumps(records))


def test_deleted_records_come_back_without_training(finished, monkeypatch, tmp_path, no_figures):
    folder, records = finished
    forbid_training(monkeypatch)
    again = run(folder, results=tmp_path)
    for old, new in zip(records, again, strict=True):
        drop = ("date", "minutes")
        assert {key: new[key] for key in new if key not in drop} == {key: old[key] for key in old if key not in drop}


@pytest.mark.parametrize("stopped_at", ["pre-training", "fine-tuning", "evaluation"])
def test_after_ctrl_c_the_same_call_ends_where_an_unbroken_one_does(
    finished, monkeypatch, tmp_path, stopped_at, no_figures
):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if stopped_at == "pre-training":
            original = training.PretrainStep.epoch
            patch.setattr(
                training.PretrainStep,
                "epoch",
                lambda self, number, *rest: interrupt() if number == 2 else original(self, number, *rest),
            )
        elif stopped_at == "fine-tuning":
            patch.setattr(training, "finetune_epoch", interrupt)
        else:
            patch.setattr("s3rec_lite.experiments.reproduce.evaluate", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert not read_records(tmp_path / "results")
    for old, new in zip(finished[1], run(tmp_path), strict=True):
        assert new["weights"] == old["weights"]
        assert new.get("test") == old.get("test")
        assert new.get("differences") == old.get("differences")


def test_more_epochs_go_on_and_fewer_leave_the_longer_run_alone(tmp_path, no_figures):
    run(tmp_path, pretrain={"epochs": 1, "save_step": 0})
    longer = run(tmp_path)
    assert len(longer[0]["history"]["pretraining"]["epoch"]) == 2
    shorter = run(tmp_path, pretrain={"epochs": 1, "save_step": 0}, finetune={"epochs": 2})
    assert len(shorter[0]["history"]["pretraining"]["epoch"]) == 1
    assert len(shorter[0]["history"]["finetuning"]["epoch"]) == 2
    again = run(tmp_path)
    assert [record["weights"] for record in again] == [record["weights"] for record in longer]


def test_restart_trains_again_and_other_settings_get_another_folder(tmp_path, monkeypatch, no_figures):
    first = run(tmp_path)
    assert run(tmp_path, pretrain={"epochs": 2, "mask_ratio": 0.5})[0]["weights"] != first[0]["weights"]
    assert run(tmp_path)[0]["weights"] == first[0]["weights"]
    forbid_training(monkeypatch)
    with pytest.raises(AssertionError, match="trained again"):
        run(tmp_path, restart=True)


def test_presets_add_their_own_protocol_and_names(tmp_path, no_figures):
    records = run(tmp_path, preset="authors", pretrain={"epochs": 1}, finetune={"epochs": 1})
    assert records[0]["name"] == "planted-authors-s3rec-seed42"
    assert set(records[0]["test"]) == {"full", "sampled", "authors"}
    assert "preset authors" in results_table(records)
    unfiltered = run(tmp_path, preset="recbole", pretrain={"epochs": 1}, finetune={"epochs": 1})
    assert set(unfiltered[0]["test"]) == {"full", "sampled", "unfiltered"}


def test_given_negatives_of_the_data_are_ranked_too(tmp_path, no_figures):
    data = dataclasses.replace(DATA, sampled_negatives=draw_negatives(DATA, "test", seed=7))
    records = run(tmp_path, data=data, pretrain={"epochs": 1}, finetune={"epochs": 1})
    assert set(records[0]["test"]) == {"full", "sampled", "given"}


def test_even_the_toy_and_no_epochs_at_all_work(tmp_path):
    records = run(tmp_path, data=toy(), pretrain={"epochs": 0}, finetune={"epochs": 1})
    assert records[0]["weights"] == records[1]["weights"]  # no pre-training: both are the control
    assert records[0]["test"]["sampled"]["candidates"]["most"] < 7  # as many negatives as there are
    assert results_table(records)
    assert not list((tmp_path / "figures").glob("*losses*"))


def test_bad_settings_and_folders_are_found_before_training(tmp_path, monkeypatch):
    forbid_training(monkeypatch)
    with pytest.raises(SettingError, match=r"no preset 'author'.*authors"):
        run(tmp_path, preset="author")
    with pytest.raises(SettingError, match="mask_ratio"):
        run(tmp_path, pretrain={"mask_ratio": 1.5})
    (tmp_path / "file").write_text("")
    with pytest.raises(S3RecError, match=r"cannot write to .*choose another folder"):
        run(tmp_path, results=tmp_path / "file")


def test_default_epochs_count_unless_preset_or_caller_names_some(tmp_path, no_figures):
    assert default_epochs(DATA) == {"pretrain": PretrainConfig().epochs, "finetune": FinetuneConfig().epochs}
    movies = dataclasses.replace(DATA, name="ml-100k")
    assert default_epochs(movies)["pretrain"] < PretrainConfig().epochs
    records = run(tmp_path, pretrain={"save_step": 0}, finetune={"epochs": 1}, data=movies)
    assert records[0]["settings"]["pretrain"]["epochs"] == default_epochs(movies)["pretrain"]


def test_estimates_grow_with_the_work():
    few, many = (PretrainConfig(epochs=epochs) for epochs in (1, 10))
    first, second = (estimated_minutes(DATA, ModelConfig(), each, FinetuneConfig()) for each in (few, many))
    assert second["pretrain"] == pytest.approx(10 * first["pretrain"])
    assert second["finetune"] == first["finetune"] > 0


# --- records and tables -------------------------------------------------------------------------------------


def test_the_table_shows_every_value_with_its_interval_and_the_verdict(finished):
    _, records = finished
    shown = results_table(records)
    for record in records[:2]:
        for protocol in ("full", "sampled"):
            for metric in ("HR@10", "NDCG@10", "MRR"):
                facts = record["test"][protocol]
                assert f"{facts['metrics'][metric]:.4f}" in shown
                assert "{:.3f}-{:.3f}".format(*facts["intervals"][metric]) in shown
    assert max(map(len, shown.splitlines())) <= 100
    flat = " ".join(shown.split())
    verdict = "larger than chance" if records[2]["differences"]["full"]["NDCG@10"]["larger_than_chance"] else "within"
    assert f"{verdict} " in flat
    assert flat.count("over 40 users") == 2


def test_markdown_has_as_many_cells_in_every_row(finished):
    table = markdown_table(finished[1]).split("\n\n")[0].splitlines()
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 4
    assert "make reproduce" in markdown_table([])


def test_the_readme_gets_fresh_tables_and_keeps_the_rest(finished, tmp_path):
    readme = tmp_path / "README.md"
    block = "<!-- {0}:begin -->\nold\n<!-- {0}:end -->\n"
    readme.write_text(f"# Kit ³\n{block.format('results')}between\n{block.format('bench')}after\n", encoding="utf-8")
    blocks = {"results": markdown_table(finished[1]), "bench": markdown_bench(finished[1])}
    assert replace_blocks(readme, blocks)
    text = readme.read_text(encoding="utf-8")
    assert "old" not in text
    assert text.startswith("# Kit ³\n") and text.endswith("after\n") and "\nbetween\n" in text
    assert "| planted | S3Rec | 2 epochs |" in text
    assert not replace_blocks(readme, blocks)
    readme.write_text("# Kit\n")
    with pytest.raises(DataError, match="results:begin"):
        replace_blocks(readme, blocks)


def test_bench_records_become_a_table():
    fast = {"sequences_per_second": 1200.0, "preparation_share": 0.02, "peak_memory_mib": 640.0}
    trained = make_record("a", "bench-pretrain", DATA, settings={"batch_size": 100}, fast=fast)
    both = {**trained, "reference": {"sequences_per_second": 60.0}, "ratio": 20.0}
    full = {"seconds": 3.0, "extra_memory_mib": 100.0}
    ranked = make_record("c", "bench-evaluate", DATA, full=full, sampled={"seconds": 1.0})
    table = markdown_bench([trained, both, ranked])
    assert "| planted | 1,200 | not measured |  | 2.0% | 640 MiB |" in table
    assert "| planted | 1,200 | 60 | 20.0 | 2.0% | 640 MiB |" in table
    assert "| planted | 40 | 120 | 3.0 s | 1.0 s | 100 MiB |" in table


def test_records_are_plain_json_with_lists_on_one_line(tmp_path):
    history = pd.DataFrame({"epoch": [1, 2], "loss": [math.pi, 2.0]})
    record = make_record("my data/1", "run", DATA, history=history_columns(history), n=np.int64(3), x=np.float32(0.5))
    path = write_record(record, tmp_path)
    assert path.name == "my-data-1.json"
    assert '"loss": [3.14159, 2]' in path.read_text()
    assert read_records(tmp_path)[0]["n"] == 3
    assert json.loads(to_json({"a": {}, "b": [], "c": {"d": [1.5, None]}})) == {
        "a": {},
        "b": [],
        "c": {"d": [1.5, None]},
    }


@pytest.mark.parametrize(
    ("content", "named"),
    [("{\n\n nonsense", "line 3"), ("[1]", "not a record"), ('{"kind": "x"}', "not a record"), ("\xff", "bad")],
)
def test_a_broken_record_is_named(tmp_path, content, named):
    (tmp_path / "bad.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=named):
        read_records(tmp_path)


def test_an_unknown_kind_is_refused():
    with pytest.raises(SettingError, match="bench-pretrain"):
        make_record("x", "bench", DATA)
