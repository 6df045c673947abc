"""The whole way on a small planted world: complete records, nothing done twice, nothing lost by Ctrl-C."""

import dataclasses
import itertools
import json

import pytest
import torch

from s3rec_lite import evaluate, load_model
from s3rec_lite.datasets import planted, toy
from s3rec_lite.evaluation import draw_negatives
from s3rec_lite.experiments.reproduce import _estimated_minutes, reproduce
from s3rec_lite.runs.records import read_records, results_table
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig
from s3rec_lite.support.errors import S3RecError, SettingError

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

    monkeypatch.setattr(torch.optim.Adam, "step", step)


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


@pytest.mark.parametrize(("stopped_at", "step"), [("pre-training", 3), ("fine-tuning", 6), ("evaluation", None)])
def test_after_ctrl_c_the_same_call_ends_where_an_unbroken_one_does(
    finished, monkeypatch, tmp_path, stopped_at, step, no_figures
):
    """Two epochs of pre-training have two steps each, three of fine-tuning one: each is stopped in its second."""

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    original, numbers = torch.optim.Adam.step, itertools.count(1)
    with monkeypatch.context() as patch:
        if step is None:
            patch.setattr("s3rec_lite.experiments.reproduce.evaluate", interrupt)
        else:
            patch.setattr(
                torch.optim.Adam, "step", lambda *args: interrupt() if next(numbers) == step else original(*args)
            )
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


def test_default_epochs_count_unless_the_caller_names_some(tmp_path, no_figures):
    movies = dataclasses.replace(DATA, name="ml-100k")
    settings = run(tmp_path, pretrain={"save_step": 0}, finetune={"epochs": 1}, data=movies)[0]["settings"]
    assert settings["pretrain"]["epochs"] == 10 < PretrainConfig().epochs
    assert settings["finetune"]["epochs"] == 1


def test_estimates_grow_with_the_work():
    few, many = (PretrainConfig(epochs=epochs) for epochs in (1, 10))
    first, second = (_estimated_minutes(DATA, ModelConfig(), each, FinetuneConfig()) for each in (few, many))
    assert second["pretrain"] == pytest.approx(10 * first["pretrain"])
    assert second["finetune"] == first["finetune"] > 0


# --- the table ---------------------------------------------------------------------------------------------


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
