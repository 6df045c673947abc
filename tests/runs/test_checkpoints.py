"""Checkpoints of this kit: round trips, and one clear line for every file that is not one."""

import copy
import dataclasses
import json
import os
import subprocess
import sys

import pytest
import torch
from helpers import own_environment, signed, tiny_config, tiny_model
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite import CheckpointError, ModelConfig, S3Rec, load_model, save_model
from s3rec_lite.datasets import toy
from s3rec_lite.runs.checkpoints import Run, read_checkpoint, weights_fingerprint
from s3rec_lite.runs.folders import epochs_done
from s3rec_lite.runs.interop import save_authors_checkpoint
from s3rec_lite.runs.states import check_history, content_fingerprint, load_optimizer, outline
from s3rec_lite.support.files import load_tensors, save_tensors

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
        save_tensors(path, signed({**content, **change}))
        with pytest.raises(CheckpointError) as caught:
            load_model(path)
        assert "fingerprint" not in one_line(caught, path)

    @pytest.mark.parametrize("key", ["config", "num_items", "num_attributes", "model", "format"])
    def test_missing_parts(self, path, key):
        content = read_checkpoint(path)
        del content[key]
        save_tensors(path, signed(content))
        with pytest.raises(CheckpointError) as caught:
            load_model(path)
        one_line(caught, path)

    def test_weights_that_are_nan_are_refused(self, path):
        content = read_checkpoint(path)
        content["model"]["layer_norm.bias"][3] = torch.nan
        save_tensors(path, signed(content))
        with pytest.raises(CheckpointError, match=r"layer_norm\.bias holds NaN") as caught:
            load_model(path)
        one_line(caught, path)


class TestDamage:
    """Bits that changed on the disk, or on the way."""

    def test_any_changed_number_is_noticed(self, path):
        whole = read_checkpoint(path)
        for name in whole["model"]:
            content = copy.deepcopy(whole)
            bits = content["model"][name].view(torch.int32).reshape(-1)
            bits[-1] ^= 1
            save_tensors(path, content)
            with pytest.raises(CheckpointError, match="fingerprint") as caught:
                load_model(path)
            one_line(caught, path)

    @pytest.mark.parametrize("change", [{"epoch": 4}, {"num_items": 5}, {"fingerprint": None}, {"new": 1}])
    def test_so_is_any_other_value(self, tmp_path, change):
        path = tmp_path / "model.pth"
        save_model(tiny_model(DATA, double=False), path, epoch=3)
        save_tensors(path, {**read_checkpoint(path), **change})
        with pytest.raises(CheckpointError, match="fingerprint"):
            read_checkpoint(path)

    def test_a_flipped_bit_or_a_zeroed_block_in_the_file_is_noticed_or_did_no_harm(self, path):
        whole, weights = path.read_bytes(), weights_fingerprint(load_model(path))
        noticed = 0
        for place in range(0, len(whole), len(whole) // 120):
            for size, change in ((1, whole[place] ^ 16), (512, 0)):
                damaged = bytearray(whole)
                damaged[place : place + size] = bytes([change]) * len(damaged[place : place + size])
                path.write_bytes(damaged)
                try:
                    assert weights_fingerprint(load_model(path)) == weights
                except CheckpointError:
                    noticed += 1
        assert noticed > 120

    def test_files_from_before_fingerprints_can_be_read(self, path):
        content = {**read_checkpoint(path), "format": "s3rec_lite model 1"}
        del content["fingerprint"]
        save_tensors(path, content)
        assert weights_fingerprint(load_model(path)) == weights_fingerprint(tiny_model(DATA, double=False))

    def test_the_message_names_the_latest_good_checkpoint_of_the_run(self, tmp_path):
        for epoch in (2, 9, 10):
            save_model(tiny_model(DATA, double=False), tmp_path / f"S3Rec-toy-{epoch}.pth", epoch=epoch)
        save_model(tiny_model(DATA, double=False), tmp_path / "S3Rec-toy-other-11.pth", epoch=11)
        for name in ("S3Rec-toy-last.pth", "S3Rec-toy-10.pth"):
            (tmp_path / name).write_bytes(b"PK\x03\x04 damaged")
        with pytest.raises(CheckpointError, match=r"S3Rec-toy-9\.pth beside it is good \(epoch 9\).*--restart"):
            load_model(tmp_path / "S3Rec-toy-last.pth")
        (tmp_path / "S3Rec-toy-9.pth").unlink()
        (tmp_path / "S3Rec-toy-2.pth").unlink()
        with pytest.raises(CheckpointError, match="train again with --restart"):
            load_model(tmp_path / "S3Rec-toy-last.pth")


class TestHostileSizes:
    def test_the_outline_has_the_names_and_shapes_of_the_model(self):
        model = tiny_model(DATA, n_layers=3)
        shapes = {name: weight.shape for name, weight in model.state_dict().items()}
        found = outline(model.num_items, model.num_attributes, model.config)
        assert {name: weight.shape for name, weight in found.items()} == shapes
        assert {weight.device.type for weight in found.values()} == {"meta"}

    @pytest.mark.skipif(sys.platform == "win32", reason="no measure of memory there")
    def test_a_tiny_file_that_asks_for_much_is_refused_at_once(self, path):
        """In a process of its own, whose memory is measured: 12 GB, 300,000 layers, a billion items."""
        content = read_checkpoint(path)
        config = json.loads(content["config"])
        wishes = [{"config": json.dumps({**config, name: size})} for name, size in (
            ("n_layers", 300_000), ("hidden_size", 2**20), ("inner_size", 2**31), ("max_length", 10**9),
        )]  # fmt: skip
        wishes += [{"num_items": 10**9}, {"num_attributes": 4 * 10**8}, {"num_items": 10**30}]
        files = []
        for number, wish in enumerate(wishes):
            files.append(path.with_name(f"{number}.pth"))
            save_tensors(files[-1], signed({**content, **wish}))
        foreign = path.with_name("foreign.pt")
        save_authors_checkpoint(load_model(path), foreign)
        layer = "item_encoder.layer.1.attention.query.weight"
        state = load_tensors(foreign)
        save_tensors(foreign, {**state, layer.replace("1", "299999", 1): state[layer]})
        wide = path.with_name("wide.pt")
        save_tensors(wide, {**state, "item_embeddings.weight": torch.zeros(3, 100_000)})
        code = """
import resource, sys, time
from s3rec_lite import CheckpointError, load_model
from s3rec_lite.runs.interop import load_authors_checkpoint
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)  # MB
load_model(sys.argv[1])
before = peak()
for path in sys.argv[2:]:
    begin = time.process_time()
    try:
        (load_authors_checkpoint if path.endswith(".pt") else load_model)(path)
    except CheckpointError as error:
        assert path in str(error), error
    else:
        raise SystemExit(f"{path} was loaded")
    assert time.process_time() - begin < 1, path
assert peak() - before < 50, peak() - before
"""
        command = [sys.executable, "-c", code, *map(str, (path, *files, foreign, wide))]
        done = subprocess.run(command, capture_output=True, text=True, env=own_environment())
        assert done.returncode == 0, done.stderr[-2000:]


class Two:
    """An optimizer of two, each for a part of the weights."""

    def __init__(self, model):
        table = model.item_embeddings.weight
        self.table = torch.optim.Adam([table], lr=0.1, fused=True)
        self.rest = torch.optim.Adam([w for w in model.parameters() if w is not table], lr=0.1, fused=True)

    def step(self):
        self.table.step()
        self.rest.step()

    def state_dict(self):
        return {"table": self.table.state_dict(), "rest": self.rest.state_dict()}

    def load_state_dict(self, state):
        self.table.load_state_dict(state["table"])
        self.rest.load_state_dict(state["rest"])


def one(model):
    return torch.optim.Adam(model.parameters(), lr=0.1, fused=True)


def trained(make):
    """A model, its optimizer, after one step."""
    model = tiny_model(DATA, double=False)
    optimizer = make(model)
    for weight in model.parameters():
        weight.grad = torch.ones_like(weight)
    optimizer.step()
    return model, optimizer


WRONG_STATES = {
    "shape": lambda state: state["state"][0].update(exp_avg=torch.zeros(3)),
    "empty": lambda state: state["state"][0].update(exp_avg_sq=torch.zeros(0)),
    "type": lambda state: state["state"][0].update(exp_avg=state["state"][0]["exp_avg"].double()),
    "whole numbers": lambda state: state["state"][0].update(exp_avg=state["state"][0]["exp_avg"].long()),
    "sparse": lambda state: state["state"][0].update(exp_avg=state["state"][0]["exp_avg"].to_sparse()),
    "NaN": lambda state: state["state"][0]["exp_avg"].fill_(torch.nan),
    "step": lambda state: state["state"][0].update(step=torch.zeros(5)),
    "step kind": lambda state: state["state"][0].update(step=torch.tensor(1)),
    "no number": lambda state: state["state"][0].update(step="1"),
    "missing part": lambda state: state["state"][0].pop("exp_avg"),
    "further part": lambda state: state["state"][0].update(other=torch.zeros(2)),
    "entry": lambda state: state["state"].update({0: 3}),
    "unknown parameter": lambda state: state["state"].update({999: state["state"][0]}),
    "key": lambda state: state["state"].update(x=1),
    "no dict": lambda state: state.update(state=[]),
    "no groups": lambda state: state.update(param_groups=[]),
    "group": lambda state: state["param_groups"].__setitem__(0, 3),
    "group without rate": lambda state: state["param_groups"][0].pop("lr"),
    "rate": lambda state: state["param_groups"][0].update(lr=9.0),
    "kind of rate": lambda state: state["param_groups"][0].update(lr=torch.tensor(0.1)),
    "setting": lambda state: state["param_groups"][0].update(other=1),
    "parameters": lambda state: state["param_groups"][0].update(params=[5]),
}


class TestOptimizerStates:
    """A state of another shape made the fused Adam read past a buffer, which ended the process."""

    @pytest.mark.parametrize("make", [one, Two])
    def test_a_good_state_comes_back(self, make):
        model, optimizer = trained(make)
        state = copy.deepcopy(optimizer.state_dict())
        fresh = make(model)
        load_optimizer(fresh, state)
        assert content_fingerprint(fresh.state_dict()) == content_fingerprint(state)
        load_optimizer(make(model), make(model).state_dict())  # before the first step

    @pytest.mark.parametrize("make", [one, Two])
    @pytest.mark.parametrize("wrong", WRONG_STATES)
    def test_any_other_is_refused_before_it_is_used(self, make, wrong):
        model, optimizer = trained(make)
        state = copy.deepcopy(optimizer.state_dict())
        WRONG_STATES[wrong](state["rest"] if make is Two else state)
        fresh = make(model)
        with pytest.raises(ValueError):
            load_optimizer(fresh, state)
        assert not fresh.state_dict().get("state") if make is one else not fresh.rest.state_dict()["state"]

    @pytest.mark.parametrize("state", [None, [], {}, {"table": {}}, {"table": 1, "rest": 2}])
    def test_so_is_something_else_altogether(self, state):
        for make in (one, Two):
            with pytest.raises(ValueError):
                load_optimizer(make(tiny_model(DATA, double=False)), state)

    def test_tensors_of_an_optimizer_of_ones_own_are_compared_with_a_fresh_one(self):
        class Own:
            def state_dict(self):
                return {"rows": torch.zeros(4, 2), "count": 0}

            def load_state_dict(self, state):
                self.state = state

        load_optimizer(Own(), {"rows": torch.ones(4, 2), "count": 7})
        for wrong in ({"rows": torch.ones(3, 2), "count": 7}, {"rows": torch.ones(4, 2), "count": "7"}, {"rows": 1}):
            with pytest.raises(ValueError):
                load_optimizer(Own(), wrong)

    def test_another_machines_implementation_gives_way_to_this_ones(self):
        model, optimizer = trained(one)
        plain = torch.optim.Adam(model.parameters(), lr=0.1, foreach=False)
        load_optimizer(plain, optimizer.state_dict())
        assert plain.param_groups[0]["fused"] is None


@pytest.mark.parametrize(
    "history",
    [
        [], {}, None, "x", [3], [{}], [{"epoch": 1}], [{"epoch": 2, "loss": 1.0}], [{"epoch": 1, "loss": "1"}],
        [{"epoch": 1, "loss": float("nan")}], [{"epoch": 1, "loss": True}], [{"epoch": 1, "loss": [1]}],
        [{"epoch": 1, "loss": 1.0}] * 2, [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "cost": 1.0}],
    ],
)  # fmt: skip
def test_a_history_of_another_kind_is_refused(history):
    with pytest.raises(ValueError):
        check_history(history, len(history) if isinstance(history, list) else 1, ["loss"])
    check_history([{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 0.5}], 2, ["loss"])
    with pytest.raises(ValueError):
        check_history([{"epoch": 1, "loss": 1.0}], 2, ["loss"])


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
            save_tensors(path, signed({**content, **change}))
            with pytest.raises(CheckpointError, match="--restart") as caught:
                run.resume(model, torch.optim.Adam(model.parameters()))
            assert "fingerprint" not in one_line(caught, path)

    def test_deleted_best_weights_are_named_with_what_to_do(self, tmp_path):
        run = self.run(tmp_path)
        self.save(run)
        run.path("best").unlink()
        model = tiny_model(DATA, double=False)
        with pytest.raises(CheckpointError, match="best weights of this run are gone; put the file back") as caught:
            run.resume(model, torch.optim.Adam(model.parameters()))
        one_line(caught, run.path("best"))

    def test_best_weights_of_another_model_are_refused(self, tmp_path):
        run = self.run(tmp_path)
        self.save(run)
        save_model(tiny_model(DATA, double=False, n_layers=3), run.path("best"))
        model = tiny_model(DATA, double=False)
        with pytest.raises(CheckpointError, match="damaged state") as caught:
            run.resume(model, torch.optim.Adam(model.parameters()))
        one_line(caught, run.path("best"))

    @pytest.mark.parametrize("epoch", ["3", None, 2.5, [1]])
    def test_a_number_of_epochs_of_another_kind_is_refused(self, tmp_path, epoch):
        run = self.run(tmp_path)
        self.save(run)
        save_tensors(run.path("last"), signed({**read_checkpoint(run.path("last")), "epoch": epoch}))
        with pytest.raises(CheckpointError, match="--restart") as caught:
            epochs_done(tmp_path, "S3Rec-toy")
        one_line(caught, run.path("last"))

    def test_half_written_files_of_this_run_go_at_the_start(self, tmp_path):
        others = [".S3Rec-toy-x-last.pth.12.part", ".notes.part"]
        for name in (
            ".S3Rec-toy-last.pth.12.part",
            ".S3Rec-toy-history.csv.9.part",
            ".S3Rec-toy-20.pth.1.part",
            *others,
        ):
            (tmp_path / name).write_text("x")
        with self.run(tmp_path).locked():
            assert sorted(os.listdir(tmp_path)) == sorted([".S3Rec-toy.lock", *others])
        assert sorted(os.listdir(tmp_path)) == sorted(others)

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
