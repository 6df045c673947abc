"""Checkpoints of the authors' code and of RecBole, in and out."""

import pytest
import torch
from helpers import authors_file, needs_mirror, tiny_model
from torch import nn

from s3rec_lite import CheckpointError, ModelConfig, S3RecError
from s3rec_lite.datasets import toy
from s3rec_lite.runs.checkpoints import weights_fingerprint
from s3rec_lite.runs.interop import (
    load_authors_checkpoint,
    load_recbole_checkpoint,
    save_authors_checkpoint,
    save_recbole_checkpoint,
)
from s3rec_lite.support.config import OBJECTIVES
from s3rec_lite.support.files import load_tensors

NUM_ITEMS, NUM_ATTRIBUTES, LENGTH, HIDDEN, INNER, LAYERS = 9, 4, 11, 8, 12, 3
DATA = toy()


class OtherLayer(nn.Module):
    """A layer with separate queries, keys and values, as both code bases have it."""

    def __init__(self, attention: str, feed_forward: str):
        super().__init__()
        norm = {"eps": 1e-12}
        setattr(self, attention, nn.ModuleDict({name: nn.Linear(HIDDEN, HIDDEN) for name in ("query", "key", "value")}))
        getattr(self, attention).update({"dense": nn.Linear(HIDDEN, HIDDEN), "LayerNorm": nn.LayerNorm(HIDDEN, **norm)})
        dense = {"dense_1": nn.Linear(HIDDEN, INNER), "dense_2": nn.Linear(INNER, HIDDEN)}
        setattr(self, feed_forward, nn.ModuleDict({**dense, "LayerNorm": nn.LayerNorm(HIDDEN, **norm)}))


class OtherModel(nn.Module):
    """The tables and layers of the other two code bases under their public names, with a plain forward pass."""

    def __init__(self, kind: str):
        super().__init__()
        self.kind = kind
        names = {
            "authors": ("item_embeddings", "attribute_embeddings", "position_embeddings", "item_encoder"),
            "recbole": ("item_embedding", "feature_embedding", "position_embedding", "trm_encoder"),
        }[kind]
        self.parts = {
            "authors": ("attention", "intermediate"), "recbole": ("multi_head_attention", "feed_forward"),
        }[kind]  # fmt: skip
        attributes = NUM_ATTRIBUTES + (kind == "authors")  # RecBole has no row for "no attribute"
        for name, rows in zip(names, (NUM_ITEMS + 2, attributes, LENGTH), strict=False):
            setattr(self, name, nn.Embedding(rows, HIDDEN))
        layers = nn.ModuleList(OtherLayer(*self.parts) for _ in range(LAYERS))
        setattr(self, names[3], nn.ModuleDict({"layer": layers}))
        self.LayerNorm = nn.LayerNorm(HIDDEN, eps=1e-12)
        for objective in OBJECTIVES:
            setattr(self, f"{objective}_norm", nn.Linear(HIDDEN, HIDDEN))
        for weight in self.parameters():
            nn.init.normal_(weight, std=0.5)

    def forward(self, items: torch.Tensor) -> torch.Tensor:
        tables = (self.item_embeddings, self.position_embeddings) if self.kind == "authors" else (
            self.item_embedding, self.position_embedding
        )  # fmt: skip
        x = self.LayerNorm(tables[0](items) + tables[1].weight[-items.shape[1] :])
        blocked = torch.where(items == 0, -1e4, 0.0)[:, None, None, :]
        for layer in (self.item_encoder if self.kind == "authors" else self.trm_encoder)["layer"]:
            attention, feed_forward = (getattr(layer, name) for name in self.parts)
            query, key, value = (
                attention[name](x).view(*items.shape, 2, HIDDEN // 2).transpose(1, 2)
                for name in ("query", "key", "value")
            )
            scores = query @ key.transpose(2, 3) / (HIDDEN / 2) ** 0.5 + blocked
            context = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)
            x = attention["LayerNorm"](attention["dense"](context) + x)
            inner = nn.functional.gelu(feed_forward["dense_1"](x))
            x = feed_forward["LayerNorm"](feed_forward["dense_2"](inner) + x)
        return x


@pytest.fixture(params=["authors", "recbole"])
def kind(request):
    return request.param


@pytest.fixture
def theirs(kind):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return OtherModel(kind)


LOAD = {"authors": load_authors_checkpoint, "recbole": load_recbole_checkpoint}
SAVE = {"authors": save_authors_checkpoint, "recbole": save_recbole_checkpoint}


def state_in(kind: str, content: dict) -> dict:
    return content if kind == "authors" else content["state_dict"]


class TestLoading:
    def test_sizes_are_read_off_the_tensors(self, kind, theirs, tmp_path):
        torch.save(theirs.state_dict(), tmp_path / "x.pt")
        model = LOAD[kind](tmp_path / "x.pt")
        assert (model.num_items, model.num_attributes, model.max_length) == (NUM_ITEMS, NUM_ATTRIBUTES, LENGTH)
        assert (model.config.hidden_size, model.config.inner_size, model.config.n_layers) == (HIDDEN, INNER, LAYERS)

    def test_it_computes_what_theirs_computes(self, kind, theirs, tmp_path):
        torch.save(theirs.state_dict(), tmp_path / "x.pt")
        model = LOAD[kind](tmp_path / "x.pt").eval()
        items = torch.tensor([[0, 0, 3, 9, 1], [4, 10, 2, 2, 5]])
        real = items != 0
        with torch.no_grad():
            assert torch.allclose(model.encode(items)[real], theirs(items)[real], atol=1e-5)

    def test_every_tensor_is_where_it_belongs(self, kind, theirs, tmp_path):
        torch.save(theirs.state_dict(), tmp_path / "x.pt")
        ours, state = LOAD[kind](tmp_path / "x.pt").state_dict(), theirs.state_dict()
        attributes = state["attribute_embeddings.weight" if kind == "authors" else "feature_embedding.weight"]
        assert torch.equal(ours["attribute_embeddings.weight"][-len(attributes) :], attributes)
        if kind == "recbole":
            assert (ours["attribute_embeddings.weight"][0] == 0).all()
        for objective in OBJECTIVES:
            for part in ("weight", "bias"):
                assert torch.equal(ours[f"heads.{objective}.{part}"], state[f"{objective}_norm.{part}"])

    def test_what_the_file_does_not_hold_comes_from_the_settings(self, kind, theirs, tmp_path):
        torch.save(theirs.state_dict(), tmp_path / "x.pt")
        config = ModelConfig(n_heads=4, hidden_act="relu", hidden_dropout_prob=0.1, hidden_size=64)
        model = LOAD[kind](tmp_path / "x.pt", config)
        found = model.config
        assert (found.n_heads, found.hidden_act, found.hidden_dropout_prob) == (4, "relu", 0.1)
        assert found.hidden_size == HIDDEN, "the file knows better"

    def test_recbole_files_may_hold_the_state_alone_or_wrapped(self, tmp_path):
        with torch.random.fork_rng():
            state = OtherModel("recbole").state_dict()
        torch.save(state, tmp_path / "plain.pth")
        torch.save({"state_dict": state, "epoch": 3}, tmp_path / "wrapped.pth")
        first, second = (load_recbole_checkpoint(tmp_path / f"{name}.pth") for name in ("plain", "wrapped"))
        assert weights_fingerprint(first) == weights_fingerprint(second)


class TestSaving:
    def test_the_other_code_base_could_load_it(self, kind, theirs, tmp_path):
        torch.save(theirs.state_dict(), tmp_path / "x.pt")
        SAVE[kind](LOAD[kind](tmp_path / "x.pt"), tmp_path / "back.pt")
        state = state_in(kind, load_tensors(tmp_path / "back.pt"))
        assert {name: value.shape for name, value in state.items()} == {
            name: value.shape for name, value in theirs.state_dict().items()
        }
        for name, value in theirs.state_dict().items():
            assert torch.equal(state[name], value), name

    def test_a_model_of_this_kit_goes_out_and_comes_back(self, kind, tmp_path):
        model = tiny_model(DATA, double=False, n_layers=3)
        with torch.no_grad():
            model.attribute_embeddings.weight[0] = 0  # RecBole has no such row
        SAVE[kind](model, tmp_path / "x.pt")
        assert weights_fingerprint(LOAD[kind](tmp_path / "x.pt")) == weights_fingerprint(model)

    @needs_mirror
    def test_the_authors_own_file_is_written_back_bit_for_bit(self, tmp_path):
        source = authors_file("LastFM-epochs-150.pt")
        save_authors_checkpoint(load_authors_checkpoint(source), tmp_path / "back.pt")
        before, after = load_tensors(source), load_tensors(tmp_path / "back.pt")
        assert before.keys() == after.keys()
        assert all(torch.equal(before[name], after[name]) for name in before)


class TestRefused:
    def check(self, kind, content, path):
        torch.save(content, path)
        with pytest.raises(S3RecError) as caught:
            LOAD[kind](path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
        assert isinstance(caught.value, CheckpointError)
        return str(caught.value)

    def test_any_missing_tensor_is_named(self, kind, theirs, tmp_path):
        state = theirs.state_dict()
        for name in state:
            message = self.check(kind, {key: value for key, value in state.items() if key != name}, tmp_path / "x.pt")
            assert name.split(".")[0] in message or "layer" in message

    def test_any_tensor_of_another_size_is_refused(self, kind, theirs, tmp_path):
        state = theirs.state_dict()
        for name, value in state.items():
            if name.split(".")[0] in ("item_embeddings", "item_embedding", "position_embedding", "position_embeddings"):
                continue  # their row counts say how many items and positions there are
            if name in ("attribute_embeddings.weight", "feature_embedding.weight") or (
                "layer.0" in name and "1.b" in name
            ):
                continue
            self.check(kind, {**state, name: torch.cat([value, value])}, tmp_path / "x.pt")

    @pytest.mark.parametrize("value", [3, "text", None, [1.0], torch.tensor(1.0), torch.zeros(0), torch.zeros(2, 2, 2)])
    def test_things_that_are_no_matrix_are_refused(self, kind, theirs, tmp_path, value):
        state = theirs.state_dict()
        names = [name for name in state if "layer.1" not in name and "layer.2" not in name]
        for name in names:
            self.check(kind, {**state, name: value}, tmp_path / "x.pt")

    @pytest.mark.parametrize("content", [{}, {"model": 3}, {"state_dict": 3}, {"state_dict": {}}, {5: torch.ones(2)}])
    def test_other_dicts_are_refused(self, kind, content, tmp_path):
        self.check(kind, content, tmp_path / "x.pt")

    def test_each_others_files_are_refused(self, kind, theirs, tmp_path):
        other = "recbole" if kind == "authors" else "authors"
        self.check(other, theirs.state_dict(), tmp_path / "x.pt")

    def test_a_table_without_items_is_refused(self, kind, theirs, tmp_path):
        state = theirs.state_dict()
        name = "item_embeddings.weight" if kind == "authors" else "item_embedding.weight"
        self.check(kind, {**state, name: torch.zeros(2, HIDDEN)}, tmp_path / "x.pt")

    def test_a_missing_file_is_one_line(self, kind, tmp_path):
        with pytest.raises(CheckpointError, match="no such checkpoint"):
            LOAD[kind](tmp_path / "none.pt")

    def test_heads_that_do_not_divide_the_width_are_refused(self, kind, theirs, tmp_path):
        torch.save(theirs.state_dict(), tmp_path / "x.pt")
        with pytest.raises(S3RecError, match="n_heads=3 does not divide hidden_size=8"):
            LOAD[kind](tmp_path / "x.pt", ModelConfig(hidden_size=9, n_heads=3))
