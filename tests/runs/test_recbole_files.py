"""Files that RecBole wrote: read without running anything, with its numbers as the result."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import RECBOLE, tiny_model
from hypothesis import given
from hypothesis import strategies as st

from s3rec_lite import evaluate, load_dataset
from s3rec_lite.runs import interop
from s3rec_lite.runs.checkpoints import weights_fingerprint
from s3rec_lite.runs.pickles import StandIn, load_objects
from s3rec_lite.support.errors import CheckpointError

FINETUNED, PRETRAINED = RECBOLE / "finetuned.pth", RECBOLE / "pretrained.pth"
SAID = json.loads((RECBOLE / "films.json").read_text())


def films(**options):
    return load_dataset(RECBOLE, k_core=0, **{"id_order": "recbole", "time_rounding": "scaled", **options})


def test_users_items_and_attributes_are_numbered_as_recbole_numbers_them():
    data = films()
    assert list(data.item_tokens) == SAID["item_id"][1:]
    assert list(data.user_tokens) == SAID["user_id"][1:]
    assert list(data.attribute_names) == SAID["class"][1:]
    taken = set(data.items.tolist())
    assert len(taken) < data.num_items, "items that nobody took have ids, too"
    assert max(taken) == len(taken), "and come last"


def test_held_out_items_are_recboles_only_with_its_rounding_of_times():
    differing = {}
    for rounding in ("none", "float32", "scaled"):
        data = films(time_rounding=rounding)
        pairs = zip(data.user_tokens, data.targets("test"), strict=True)
        differing[rounding] = sum(SAID["test_items"][user] != data.item_tokens[item - 1] for user, item in pairs)
    assert differing["scaled"] == 0
    assert min(differing["none"], differing["float32"]) > 0


def test_its_checkpoint_has_its_metrics_to_the_last_printed_digit():
    model = interop.load_recbole_checkpoint(FINETUNED)
    for split in ("valid", "test"):
        report = evaluate(model, films(), split, remove_seen=False)
        for name, value in SAID[split].items():
            ours = report.per_user(name.upper().replace("HIT", "HR")).mean()
            assert ours == pytest.approx(value, abs=5.1e-5), (split, name)


def test_the_file_says_heads_activation_and_dropout():
    for path in (FINETUNED, PRETRAINED):
        config = interop.load_recbole_checkpoint(path).config
        assert (config.n_heads, config.hidden_act, config.finetune_positions) == (4, "relu", "left")
        assert (config.hidden_dropout_prob, config.attn_dropout_prob, config.max_length) == (0.1, 0.2, 10)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_both_files_give_the_bits_of_their_state_dict(tmp_path):
    for path in (FINETUNED, PRETRAINED):
        content = load_objects(path)
        assert isinstance(content["config"], StandIn)
        torch.save(content["state_dict"], tmp_path / "alone.pth")
        alone = torch.load(tmp_path / "alone.pth", weights_only=True)
        with zipfile.ZipFile(path) as archive:
            stored = {archive.read(name) for name in archive.namelist() if "/data/" in name}
        assert all(value.numpy().tobytes() in stored for value in alone.values())


def test_a_list_of_items_fits_its_rows_to_data_in_another_order():
    model = interop.load_recbole_checkpoint(FINETUNED)
    theirs, ours = films(), films(id_order="name")
    moved = interop.with_items_of(model, SAID["item_id"][1:], ours)
    history = ["f894", "f859", "f857"]
    (ids, scores), (moved_ids, moved_scores) = (
        each.recommend([data.item_id(name) for name in history], 28) for each, data in ((model, theirs), (moved, ours))
    )
    wanted = {theirs.item_tokens[item - 1]: score for item, score in zip(ids, scores, strict=True)}
    found = {ours.item_tokens[item - 1]: score for item, score in zip(moved_ids, moved_scores, strict=True)}
    assert {name: wanted.get(name) for name in found} == pytest.approx(found, abs=1e-6)
    assert len(found) == ours.num_items - len(history)


@given(st.permutations(range(1, 7)))
def test_rows_go_where_their_names_go(order):
    data = load_dataset("toy")
    model = tiny_model(data, double=False)
    moved = interop.with_items_of(model, [str(item) for item in order], data)
    for row, item in enumerate(order, start=1):
        assert torch.equal(moved.item_embeddings.weight[item], model.item_embeddings.weight[row])
    for special in (0, model.mask_token):
        assert torch.equal(moved.item_embeddings.weight[special], model.item_embeddings.weight[special])


@pytest.mark.parametrize("names", [["1"], ["1", "1", "2", "3", "4", "5"], ["2", "3", "4", "5", "6", "7"]])
def test_lists_that_do_not_fit_are_refused(names):
    data = load_dataset("toy")
    with pytest.raises(CheckpointError, match="list of items"):
        interop.with_items_of(tiny_model(data, double=False), names, data)


def test_lists_are_text_or_json_and_padding_counts_for_nothing(tmp_path):
    (tmp_path / "a.txt").write_text("[PAD]\nx\n7\n")
    (tmp_path / "a.json").write_text(json.dumps(["[PAD]", "x", "7"]))
    assert interop.read_item_list(tmp_path / "a.txt") == interop.read_item_list(tmp_path / "a.json") == ["x", "7"]
    with pytest.raises(CheckpointError, match="no list of items"):
        interop.read_item_list(tmp_path / "none.txt")


def test_what_this_kit_exports_says_its_items_and_settings(tmp_path):
    data = load_dataset("toy")
    model = tiny_model(data, double=False)
    interop.save_recbole_checkpoint(model, tmp_path / "x.pth", data)
    assert interop.stored_items(load_objects(tmp_path / "x.pth")) == ["1", "2", "3", "4", "5", "6"]
    assert interop.load_recbole_checkpoint(tmp_path / "x.pth").config.finetune_positions == "right"


def test_other_models_of_recbole_are_named():
    config = StandIn()
    config.state = {"final_config_dict": {"model": "GRU4Rec"}}
    with pytest.raises(CheckpointError, match="RecBole's GRU4Rec"):
        interop.recbole_model({"config": config, "state_dict": {}})


# --- nothing is run ---------------------------------------------------------------------------------------------


class Payload:
    """Runs a command when Python loads it."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("place", ["config", "state_dict", "other_parameter"])
def test_an_unsafe_file_is_called_unsafe_and_runs_nothing(tmp_path, monkeypatch, protocol, place):
    monkeypatch.chdir(tmp_path)
    state = {"item_embedding.weight": torch.zeros(4, 2)}
    content = {"state_dict": state, "config": None, place: Payload()}
    torch.save(content, "bad.pth", pickle_protocol=protocol)
    with pytest.raises(CheckpointError, match=r"unsafe: .*\bsystem\b") as caught:
        load_objects("bad.pth")
    assert "\n" not in str(caught.value)
    assert not Path("ran").exists()


@pytest.mark.parametrize("name", ["builtins.eval", "torch.load", "torch._utils._rebuild_qtensor", "os.path.join"])
def test_no_name_but_those_of_the_lists_is_taken(tmp_path, name):
    module, _, function = name.rpartition(".")
    rewrite(tmp_path / "x.pth", f"c{module}\n{function}\n.".encode())
    with pytest.raises(CheckpointError, match=f"unsafe: .*{function}"):
        load_objects(tmp_path / "x.pth")


def rewrite(path: Path, content: bytes) -> None:
    """RecBole's file with another pickle."""
    with zipfile.ZipFile(PRETRAINED) as source, zipfile.ZipFile(path, "w") as target:
        for entry in source.infolist():
            target.writestr(entry.filename, content if entry.filename.endswith(".pkl") else source.read(entry))


def test_recboles_module_is_never_imported(tmp_path, monkeypatch):
    package = tmp_path / "recbole"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert interop.load_recbole_checkpoint(FINETUNED).num_items == 30


def test_damaged_files_are_one_line_or_right(tmp_path):
    whole, rng = FINETUNED.read_bytes(), np.random.default_rng(0)
    wanted = weights_fingerprint(interop.load_recbole_checkpoint(FINETUNED))
    path = tmp_path / "x.pth"
    for number in range(60):
        content = bytearray(whole)
        if number % 3:
            for place in rng.integers(0, len(content), 1 + number % 5):
                content[place] ^= 1 << int(rng.integers(8))
        else:
            content = content[: rng.integers(len(content))]
        path.write_bytes(content)
        try:
            assert weights_fingerprint(interop.load_recbole_checkpoint(path)) == wanted
        except CheckpointError as error:
            assert "\n" not in str(error)
            assert str(path) in str(error)


def test_damaged_pickles_are_one_line(tmp_path):
    with zipfile.ZipFile(PRETRAINED) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        whole = archive.read(name)
    rng, path = np.random.default_rng(1), tmp_path / "x.pth"
    for _ in range(60):
        content = bytearray(whole)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            content[place] = rng.integers(256)
        rewrite(path, bytes(content))
        try:
            interop.load_recbole_checkpoint(path)
        except CheckpointError as error:
            assert "\n" not in str(error)


def test_a_tensor_larger_than_its_file_is_refused_before_it_is_made(tmp_path):
    state = {"item_embedding.weight": torch.zeros(1).expand(10**6, 10**6)}
    torch.save({"state_dict": state, "config": None}, tmp_path / "big.pth", pickle_protocol=4)
    with pytest.raises(CheckpointError):
        load_objects(tmp_path / "big.pth")


def test_damage_of_this_kits_own_files_is_not_read_past(tmp_path):
    torch.save({"format": "s3rec_lite model 2", "epoch": np.float64(1)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_objects(tmp_path / "x.pth")


def test_a_bare_pickle_is_no_checkpoint(tmp_path):
    (tmp_path / "x.pth").write_bytes(pickle.dumps({"state_dict": {}}))
    with pytest.raises(CheckpointError):
        load_objects(tmp_path / "x.pth")
