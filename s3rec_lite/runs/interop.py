"""Checkpoints of others: the authors' and RecBole's S3-Rec weights, in and out.

Both store queries, keys and values as three matrices where this kit has one. Nothing in a file is run; see `pickles`.

The rows of a table of items are in the order in which its code base numbers items, and nothing but a list of the
items' names tells which one that is: `with_items_of` takes such a list.
"""

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s3rec_lite.data import SequenceData
from s3rec_lite.model import S3Rec
from s3rec_lite.runs.pickles import StandIn, load_objects
from s3rec_lite.runs.states import outline
from s3rec_lite.support.config import OBJECTIVES, ModelConfig
from s3rec_lite.support.errors import CheckpointError, SettingError
from s3rec_lite.support.files import save_tensors


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
_RECBOLE_KNOWS = ("n_heads", "hidden_act", "hidden_dropout_prob", "attn_dropout_prob", "layer_norm_eps")
"""Settings that no tensor shows, but the settings in RecBole's own files."""
_OURS = "s3rec_lite"
"""Where a file in RecBole's format that this kit wrote keeps what RecBole does not ask for."""


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


def is_authors_state(content: Mapping[str, Any]) -> bool:
    """Whether a file's content has the tables of the authors' code."""
    return "item_embeddings.weight" in content


def is_recbole_state(content: Mapping[str, Any]) -> bool:
    """Whether a file's content has the tables of RecBole's code."""
    state = content.get("state_dict", content)
    return isinstance(state, Mapping) and f"{RECBOLE.items}.weight" in state


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

    ``config`` supplies what the file does not hold (heads, dropout); sizes are read from the file. Item ids are those
    of the authors' ``X.txt``. Raises CheckpointError when the file is missing, truncated, or another model's.
    """
    return from_state(load_objects(path), AUTHORS, config, str(path))


def save_authors_checkpoint(model: S3Rec, path: str | Path) -> None:
    """Write the weights so that the authors' code could load them."""
    save_tensors(path, to_state(model, AUTHORS))


def load_recbole_checkpoint(path: str | Path, config: ModelConfig | None = None) -> S3Rec:
    """A model from a file of RecBole's training, or one that holds the state_dict of its S3Rec.

    Positions are numbered from the left, as RecBole's fine-tuning does; heads, activation and dropout come from the
    settings in the file where it has them, else from ``config``. Item ids are RecBole's: give data that are read with
    ``id_order="recbole"``, or `with_items_of` its list of tokens. Raises CheckpointError as above, and for unsafe
    files.
    """
    return recbole_model(load_objects(path), config, str(path))


def recbole_model(content: Mapping[str, Any], config: ModelConfig | None = None, source: str = "file") -> S3Rec:
    """`load_recbole_checkpoint` for what `load_objects` read."""
    theirs = content.get("config")
    settings = theirs.state.get("final_config_dict") if isinstance(theirs, StandIn) else None
    settings = settings if isinstance(settings, dict) else {}
    if settings.get("model", "S3Rec") != "S3Rec":
        raise CheckpointError(f"{source}: a checkpoint of RecBole's {settings['model']}; only those of S3Rec are read")
    known = {name: settings[name] for name in _RECBOLE_KNOWS if name in settings}
    known = {"finetune_positions": "left", **known, **_notes(content, source).get("model", {})}
    values = {field.name: getattr(config or ModelConfig(), field.name) for field in dataclasses.fields(ModelConfig)}
    sizes = {"hidden_size", "inner_size", "n_layers", "max_length"}  # the tensors show these
    wanted = {name: value for name, value in {**values, **known}.items() if name not in sizes}
    try:  # a width that any number of heads divides, until the tensors show the real one
        chosen = ModelConfig(**wanted, hidden_size=wanted["n_heads"])
    except (SettingError, TypeError) as error:
        raise CheckpointError(f"{source}: {error}") from error
    return from_state(content.get("state_dict", content), RECBOLE, chosen, source)


def save_recbole_checkpoint(model: S3Rec, path: str | Path, data: SequenceData | None = None) -> None:
    """Write the weights under RecBole's names, as ``{"state_dict": ...}``.

    With ``data``, the file also says which item each row is, so that this kit can load it for data in any order.
    """
    notes: dict[str, Any] = {"model": dataclasses.asdict(model.config)}
    if data is not None:
        notes["items"] = item_names(data)
    save_tensors(path, {"state_dict": to_state(model, RECBOLE), _OURS: json.dumps(notes)})


def _notes(content: Mapping[str, Any], source: str) -> dict[str, Any]:
    """What `save_recbole_checkpoint` wrote beside the weights; nothing for RecBole's own files."""
    try:
        notes = json.loads(content.get(_OURS, "{}"))
        return {"model": dict(notes.get("model", {})), "items": list(notes.get("items", []))}
    except (AttributeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{source}: damaged checkpoint ({error}); write the file again") from error


# --- the order of items ---------------------------------------------------------------------------------------


def item_names(data: SequenceData) -> list[str]:
    """The name of each item in the order of its id, from id 1 on."""
    return list(data.item_tokens or map(str, range(1, data.num_items + 1)))


def stored_items(content: Mapping[str, Any], source: str = "file") -> list[str]:
    """The names of the items of a checkpoint in its order; empty if the file does not say."""
    return _notes(content, source)["items"]


def read_item_list(path: str | Path) -> list[str]:
    """Names of items in the order of their ids: a JSON list, or a text with one a line; "[PAD]" counts for nothing.

    RecBole has this list in ``dataset.field2id_token["item_id"]``. Raises CheckpointError for any other file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        names = json.loads(text) if text.lstrip().startswith('["') else text.splitlines()
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: no list of items ({error}); write one name a line") from error
    return [str(name).strip() for name in names if str(name).strip() not in ("", "[PAD]")]


def with_items_of(model: S3Rec, items: Sequence[str], data: SequenceData, source: str = "model") -> S3Rec:
    """The model with its rows in the order of ``data``'s items; ``items`` names its own rows from id 1 on.

    Items that ``data`` lacks are left out. Raises CheckpointError when the list does not fit the model or the data.
    """
    row_of = {name: row for row, name in enumerate(items, start=1)}
    if len(row_of) != len(items) or len(items) != model.num_items:
        raise CheckpointError(
            f"{source}: has {model.num_items} items, but its list of items names {len(items)}, {len(row_of)} of them "
            "distinct; give the list of the data it was trained on"
        )
    wanted = item_names(data)
    missing = [name for name in wanted if name not in row_of]
    if missing:
        raise CheckpointError(
            f"{source}: {len(missing)} of the {len(wanted)} items of {data.name} are not in its list of items, "
            f"the first is {missing[0]!r}; give the data it was trained on"
        )
    rows = torch.tensor([0, *(row_of[name] for name in wanted), model.mask_token])
    ordered = S3Rec(len(wanted), model.num_attributes, model.config)
    state = model.state_dict()
    ordered.load_state_dict({**state, "item_embeddings.weight": state["item_embeddings.weight"][rows]})
    return ordered
