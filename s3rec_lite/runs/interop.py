"""Checkpoints of others: the authors' and RecBole's S3-Rec weights, in and out.

Both store queries, keys and values as three matrices where this kit has one. Files are read with
``weights_only=True``: nothing in them is run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from s3rec_lite.model import S3Rec
from s3rec_lite.runs.states import outline
from s3rec_lite.support.config import OBJECTIVES, ModelConfig
from s3rec_lite.support.errors import CheckpointError, SettingError
from s3rec_lite.support.files import load_tensors, save_tensors


@dataclass(frozen=True)
class Naming:
    """How another code base names the parts of the model."""

    items: str
    attributes: str
    positions: str
    layer: str
    attention: str
    feed_forward: str

    def pairs(self, n_layers: int) -> dict[str, tuple[str, ...]]:
        """Our parameter names to theirs; three names where ours joins query, key and value."""
        names: dict[str, tuple[str, ...]] = {
            "item_embeddings.weight": (f"{self.items}.weight",),
            "attribute_embeddings.weight": (f"{self.attributes}.weight",),
            "position_embeddings.weight": (f"{self.positions}.weight",),
        }
        for part in ("weight", "bias"):
            names[f"layer_norm.{part}"] = (f"LayerNorm.{part}",)
            for head in OBJECTIVES:
                names[f"heads.{head}.{part}"] = (f"{head}_norm.{part}",)
            for layer in range(n_layers):
                ours, theirs = f"blocks.{layer}", f"{self.layer}.{layer}"
                attention, feed_forward = f"{theirs}.{self.attention}", f"{theirs}.{self.feed_forward}"
                joined = tuple(f"{attention}.{name}.{part}" for name in ("query", "key", "value"))
                names[f"{ours}.attention.query_key_value.{part}"] = joined
                names[f"{ours}.attention.output.{part}"] = (f"{attention}.dense.{part}",)
                names[f"{ours}.attention.layer_norm.{part}"] = (f"{attention}.LayerNorm.{part}",)
                names[f"{ours}.feed_forward.inner.{part}"] = (f"{feed_forward}.dense_1.{part}",)
                names[f"{ours}.feed_forward.output.{part}"] = (f"{feed_forward}.dense_2.{part}",)
                names[f"{ours}.feed_forward.layer_norm.{part}"] = (f"{feed_forward}.LayerNorm.{part}",)
        return names


AUTHORS = Naming(
    "item_embeddings",
    "attribute_embeddings",
    "position_embeddings",
    "item_encoder.layer",
    "attention",
    "intermediate",
)
RECBOLE = Naming(
    "item_embedding",
    "feature_embedding",
    "position_embedding",
    "trm_encoder.layer",
    "multi_head_attention",
    "feed_forward",
)


def _config_of(state: Mapping[str, Tensor], naming: Naming, source: str, config: ModelConfig | None) -> ModelConfig:
    """Sizes read off the tensors; what they do not show (heads, dropout) comes from ``config`` or the defaults."""
    needed = [f"{naming.items}.weight", f"{naming.positions}.weight", f"{naming.attributes}.weight"]
    missing = [name for name in needed if name not in state or state[name].ndim != 2]
    if missing:
        raise CheckpointError(f"{source}: has no matrix {missing[0]!r}; it is not an S3-Rec checkpoint of this kind")
    layers = [int(found[1]) for name in state if (found := re.match(re.escape(naming.layer) + r"\.(\d+)\.", name))]
    inner = state.get(f"{naming.layer}.0.{naming.feed_forward}.dense_1.bias")
    if len(set(layers)) != max(layers, default=-1) + 1:
        raise CheckpointError(f"{source}: lacks encoder layers below layer {max(layers)}; get the file again")
    if not layers or inner is None or inner.ndim != 1:
        raise CheckpointError(f"{source}: holds no encoder layers named {naming.layer}.0; wrong kind of checkpoint")
    chosen = config or ModelConfig()
    sizes = {
        "hidden_size": state[needed[0]].shape[1],
        "max_length": state[needed[1]].shape[0],
        "n_layers": max(layers) + 1,
        "inner_size": inner.shape[0],
    }
    values = {name: getattr(chosen, name) for name in chosen.__dataclass_fields__}
    if state[needed[0]].shape[0] < 3 or (naming is AUTHORS and not len(state[needed[2]])):
        raise CheckpointError(f"{source}: its tables have no rows for items or attributes")
    try:
        return ModelConfig(**{**values, **sizes, "zero_padding_row": False})
    except SettingError as error:
        raise CheckpointError(f"{source}: {error}") from error


def from_state(
    state: Mapping[str, Tensor], naming: Naming, config: ModelConfig | None = None, source: str = "state_dict"
) -> S3Rec:
    """A model from another code base's state_dict. Raises CheckpointError for missing or ill-sized tensors."""
    state = state if isinstance(state, Mapping) else {}
    state = {str(name): value for name, value in state.items() if isinstance(value, Tensor)}
    config = _config_of(state, naming, source, config)
    if naming is RECBOLE:  # its attribute rows start at attribute 1, ours at the unused 0
        table = state["feature_embedding.weight"]
        state["feature_embedding.weight"] = torch.cat([table.new_zeros(1, table.shape[1]), table])
    num_items = state[f"{naming.items}.weight"].shape[0] - 2
    num_attributes = state[f"{naming.attributes}.weight"].shape[0] - 1
    ours = outline(num_items, num_attributes, config)  # sizes are compared before anything is made
    for name, theirs in naming.pairs(config.n_layers).items():
        missing = [key for key in theirs if key not in state]
        if missing:
            raise CheckpointError(f"{source}: lacks {missing[0]!r}")
        expected = [len(ours[name]) // len(theirs), *ours[name].shape[1:]]
        for key in theirs:
            if list(state[key].shape) != expected:
                raise CheckpointError(f"{source}: {key} has sizes {list(state[key].shape)}, expected {expected}")
        ours[name] = torch.cat([state[key] for key in theirs]).to(torch.float32)
    model = S3Rec(num_items, num_attributes, config)
    model.load_state_dict(ours)
    return model


def to_state(model: S3Rec, naming: Naming) -> dict[str, Tensor]:
    """The model's weights under another code base's names."""
    ours = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
    state = {}
    for name, theirs in naming.pairs(model.config.n_layers).items():
        parts = ours[name].chunk(len(theirs)) if len(theirs) > 1 else (ours[name],)
        state.update({key: part.clone() for key, part in zip(theirs, parts, strict=True)})
    if naming is RECBOLE:
        state["feature_embedding.weight"] = state["feature_embedding.weight"][1:].clone()
    return state


def load_authors_checkpoint(path: str | Path, config: ModelConfig | None = None) -> S3Rec:
    """A model from a checkpoint of the authors' code, such as ``LastFM-epochs-150.pt``.

    ``config`` supplies what the file does not hold (heads, dropout); sizes are read from the file. Raises
    CheckpointError when the file is missing, truncated, or another model's.
    """
    return from_state(load_tensors(path), AUTHORS, config, str(path))


def save_authors_checkpoint(model: S3Rec, path: str | Path) -> None:
    """Write the weights so that the authors' code could load them."""
    save_tensors(path, to_state(model, AUTHORS))


def load_recbole_checkpoint(path: str | Path, config: ModelConfig | None = None) -> S3Rec:
    """A model from a RecBole S3Rec state_dict, or a file that holds one under ``state_dict``.

    RecBole's own training files also hold Python objects, which are never loaded here: re-save the state_dict alone
    from RecBole first.
    """
    content = load_tensors(path)
    state = content.get("state_dict", content)
    return from_state(state, RECBOLE, config, str(path))


def save_recbole_checkpoint(model: S3Rec, path: str | Path) -> None:
    """Write the weights under RecBole's names, as ``{"state_dict": ...}``."""
    save_tensors(path, {"state_dict": to_state(model, RECBOLE)})
