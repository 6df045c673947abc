"""Checkpoints of this kit: round trips, and one clear line for every file that is not one."""

import dataclasses
import json
import os

import pytest
import torch
from helpers import tiny_config, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite import CheckpointError, ModelConfig, S3Rec, load_model, save_model
from s3rec_lite.datasets import toy
from s3rec_lite.runs.checkpoints import Run, read_checkpoint, weights_fingerprint
from s3rec_lite.support.files import save_tensors

DATA = toy()


def one_line(caught, path) -> str:
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


@pytest.fixture
def path(tmp_path):
    """A checkpoint of a small model."""
    save_model(tiny_model(DATA, double=False), tmp_path / "model.pth")
    return tmp_path / "model.pth"


class TestRoundTrip:
    @given(
        st.integers(1, 20), st.integers(0, 9), st.sampled_from([1, 2, 4]), st.integers(1, 3), st.booleans(),
        st.sampled_from(["gelu", "relu", "swish", "tanh", "sigmoid"]), st.integers(0, 99),
    )  # fmt: skip
    @settings(max_examples=25, deadline=None)
    def test_every_bit_and_every_setting_come_back(
        self, tmp_path_factory, items, attributes, n_heads, n_layers, zero, activation, seed
    ):
        config = ModelConfig(
            hidden_size=8, inner_size=5, n_heads=n_heads, n_layers=n_layers, max_length=7, hidden_act=activation,
            zero_padding_row=zero, hidden_dropout_prob=0.1,
        )  # fmt: skip
        model = S3Rec(items, attributes, config, seed=seed)
        path = tmp_path_factory.mktemp("round") / "model.pth"
        save_model(model, path)
        found = load_model(path)
        assert found.config == config
        assert (found.num_items, found.num_attributes) == (items, attributes)
        assert weights_fingerprint(found) == weights_fingerprint(model)

    def test_the_loaded_model_gives_the_same_scores(self, path):
        model, found = tiny_model(DATA, double=False), load_model(path)
        assert found.recommend([1, 2]) == model.recommend([1, 2])

    def test_extra_values_come_back(self, tmp_path):
        save_model(tiny_model(DATA), tmp_path / "m.pth", epoch=3, note="x")
        content = read_checkpoint(tmp_path / "m.pth")
        assert (content["epoch"], content["note"]) == (3, "x")


class TestFingerprint:
    def test_one_bit_changes_it(self):
        first, second = tiny_model(DATA), tiny_model(DATA)
        assert weights_fingerprint(first) == weights_fingerprint(second)
        weight = second.blocks[1].feed_forward.output.bias
        with torch.no_grad():
            weight[0] = torch.nextafter(weight[0], torch.tensor(9.0, dtype=weight.dtype))
        assert weights_fingerprint(first) != weights_fingerprint(second)


class TestRefused:
    def test_truncated_anywhere(self, path):
        whole = path.read_bytes()
        for end in range(0, len(whole), max(len(whole) // 150, 1)):
            path.write_bytes(whole[:end])
            with pytest.raises(CheckpointError) as caught:
                load_model(path)
            one_line(caught, path)

    @given(noise=st.binary(max_size=200))
    @settings(max_examples=40, deadline=None)
    def test_garbage(self, tmp_path_factory, noise):
        path = tmp_path_factory.mktemp("garbage") / "model.pth"
        path.write_bytes(noise)
        with pytest.raises(CheckpointError) as caught:
            load_model(path)
        one_line(caught, path)

    def test_missing(self, tmp_path):
        with pytest.raises(CheckpointError, match="no such checkpoint") as caught:
            load_model(tmp_path / "none.pth")
        one_line(caught, tmp_path / "none.pth")

    def test_the_authors_kind_points_to_interop(self, tmp_path):
        save_tensors(tmp_path / "theirs.pt", {"item_embeddings.weight": torch.zeros(3, 4)})
        with pytest.raises(CheckpointError, match="interop") as caught:
            load_model(tmp_path / "theirs.pt")
        one_line(caught, tmp_path / "theirs.pt")

    @pytest.mark.parametrize(
        "change",
        [
            {"config": None}, {"config": "{"}, {"config": "[]"}, {"config": 5}, {"config": '{"hidden_size": 0}'},
            {"config": '{"colour": 3}'}, {"num_items": None}, {"num_items": "many"}, {"num_items": 0},
            {"num_items": 7}, {"num_attributes": -1}, {"model": None}, {"model": []}, {"model": {}},
            {"model": {"item_embeddings.weight": 3}}, {"format": "another"}, {"format": None},
        ],
    )  # fmt: skip
    def test_damaged_content(self, path, change):
        content = read_checkpoint(path)
        save_tensors(path, {**content, **change})
        with pytest.raises(CheckpointError) as caught:
            load_model(path)
        one_line(caught, path)

    @pytest.mark.parametrize("key", ["config", "num_items", "num_attributes", "model", "format"])
    def test_missing_parts(self, path, key):
        content = read_checkpoint(path)
        del content[key]
        save_tensors(path, content)
        with pytest.raises(CheckpointError) as caught:
            load_model(path)
        one_line(caught, path)


class TestRunFiles:
    def run(self, folder, name="S3Rec-toy"):
        return Run(folder, name, {"stage": "pretrain", "seed": 1}, save_step=1)

    def save(self, run):
        model = tiny_model(DATA, double=False)
        history = [{"epoch": 1, "loss": 0.1}]
        run.save(model, torch.optim.Adam(model.parameters()), history, is_best=True)

    def test_names(self, tmp_path):
        self.save(self.run(tmp_path))
        assert sorted(os.listdir(tmp_path)) == [
            "S3Rec-toy-1.pth", "S3Rec-toy-best.pth", "S3Rec-toy-history.csv", "S3Rec-toy-last.pth",
        ]  # fmt: skip
        assert (tmp_path / "S3Rec-toy-history.csv").read_text() == "epoch,loss\n1,0.1\n"
        for what in ("1", "best", "last"):
            assert weights_fingerprint(load_model(tmp_path / f"S3Rec-toy-{what}.pth"))

    def test_starting_over_deletes_this_run_and_no_other(self, tmp_path):
        """Names of runs may begin alike: a data set called ml and one called ml-100k, and the fine-tuned models."""
        runs = [self.run(tmp_path, name) for name in ("S3Rec-ml", "S3Rec-ml-100k", "S3Rec-ml-finetuned")]
        for run in runs:
            self.save(run)
        (tmp_path / "S3Rec-ml-notes.txt").write_text("mine")
        runs[0].forget()
        left = sorted(os.listdir(tmp_path))
        assert not [name for name in left if name in ("S3Rec-ml-last.pth", "S3Rec-ml-1.pth", "S3Rec-ml-best.pth")]
        assert {"S3Rec-ml-100k-last.pth", "S3Rec-ml-finetuned-best.pth", "S3Rec-ml-notes.txt"} <= set(left)

    def test_a_damaged_state_is_one_clear_line(self, tmp_path):
        run = self.run(tmp_path)
        self.save(run)
        path = run.path("last")
        content = read_checkpoint(path)
        model = tiny_model(DATA, double=False)
        for change in (
            {"identity": "{"}, {"history": "x"}, {"history": None}, {"optimizer": {}}, {"optimizer": None},
            {"model": {}}, {"identity": 3},
        ):  # fmt: skip
            save_tensors(path, {**content, **change})
            with pytest.raises(CheckpointError) as caught:
                run.resume(model, torch.optim.Adam(model.parameters()))
            one_line(caught, path)

    def test_no_folder_no_files(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        run = Run(None, "S3Rec-toy", {})
        run.forget()
        model = tiny_model(DATA, double=False)
        optimizer = torch.optim.Adam(model.parameters())
        assert run.resume(model, optimizer) == []
        run.save(model, optimizer, [{"epoch": 1, "loss": 0.1}], is_best=True)
        assert os.listdir(tmp_path) == []


def test_the_settings_in_a_checkpoint_are_plain_json(path):
    stored = json.loads(read_checkpoint(path)["config"])
    assert stored == dataclasses.asdict(tiny_config())
