"""The model that a command works with: which file, whose format, and whether it fits the data and the settings."""

import dataclasses
import glob
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from s3rec_lite.commands.options import RUNS, Shared
from s3rec_lite.experiments.presets import find_preset
from s3rec_lite.support.config import ModelConfig
from s3rec_lite.support.errors import CheckpointError, SettingError

if TYPE_CHECKING:
    from s3rec_lite.datasets import SequenceData
    from s3rec_lite.model import S3Rec

_CHANGEABLE = ("hidden_dropout_prob", "attn_dropout_prob", "finetune_positions")
"""Model settings that trained weights leave open."""


def pretrained_checkpoint(shared: Shared, data: "SequenceData") -> Path:
    """What `pretrain` left. Raises SettingError with the command to run if there is nothing."""
    scratch = "; or start from fresh weights with --from-scratch"
    return _existing(shared.run_folder(data), f"S3Rec-{data.name}-last.pth", shared.command_line("pretrain") + scratch)


def finetuned_checkpoint(shared: Shared, data: "SequenceData") -> Path:
    """What `finetune` left, or else what `reproduce` left last. Raises SettingError like the above."""
    folder, name = shared.run_folder(data), f"S3Rec-{data.name}-finetuned-best.pth"
    if shared.output is None and not (folder / name).is_file():
        safe = glob.escape(data.name)
        reproduced = RUNS.glob(f"{safe}-*/finetune-*/S3Rec-{safe}-after-*-best.pth")
        newest = max(reproduced, key=lambda path: path.stat().st_mtime_ns, default=None)
        if newest is not None:
            click.echo(f"s3rec-lite: taking {newest}", err=True)
            return newest
    return _existing(folder, name, shared.command_line("finetune"))


def _existing(folder: Path, name: str, command: str) -> Path:
    if not (folder / name).is_file():
        raise SettingError(f"no {name} in {folder}; run this first: {command}")
    return folder / name


def open_checkpoint(
    path: str | Path, data: "SequenceData", preset: str = "default", given: dict[str, Any] | None = None
) -> "S3Rec":
    """A model from a checkpoint of this kit, of the authors' code or of RecBole, told apart by content.

    Sizes are the checkpoint's. ``given`` model settings may change dropout and ``finetune_positions`` only;
    of a preset only these count. Raises CheckpointError when it is none of the three or was trained on other
    data, SettingError for given sizes that are not the checkpoint's.
    """
    from s3rec_lite.runs.checkpoints import load_model
    from s3rec_lite.runs.interop import load_authors_checkpoint, load_recbole_checkpoint
    from s3rec_lite.support.files import load_tensors

    given, wanted = given or {}, find_preset(preset).values("model")
    content = load_tensors(path)
    foreign = ModelConfig(**{**wanted, **given})  # heads and dropout, which others' files do not hold
    if "item_embeddings.weight" in content:
        model = load_authors_checkpoint(path, foreign)
    elif "item_embedding.weight" in content or "item_embedding.weight" in _inner(content):
        model = load_recbole_checkpoint(path, foreign)
    else:
        model = load_model(path)
    broken = [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]
    if broken:
        raise CheckpointError(f"{path}: {broken[0]} holds NaN or infinite values; train again or give another file")
    if (model.num_items, model.num_attributes) != (data.num_items, data.num_attributes):
        raise CheckpointError(
            f"{path}: made for {model.num_items} items and {model.num_attributes} attributes, but {data.name} has "
            f"{data.num_items} and {data.num_attributes}; give the --data (and --item-attribute) it was trained on"
        )
    return _with_settings(path, model, wanted, given)


def _inner(content: dict[str, Any]) -> dict[str, Any]:
    """The state_dict in a file of RecBole's."""
    inner = content.get("state_dict")
    return inner if isinstance(inner, dict) else {}


def _with_settings(path: str | Path, model: "S3Rec", preset: dict[str, Any], given: dict[str, Any]) -> "S3Rec":
    """The model with those settings changed that its weights leave open."""
    from s3rec_lite.model import S3Rec

    wanted = {**preset, **given}
    for name, value in wanted.items():
        stored = getattr(model.config, name)
        if name in _CHANGEABLE or name == "zero_padding_row" or value == stored:
            continue
        if name in given:
            raise SettingError(
                f"{path} was trained with {name}={stored}; leave {name} out, or pre-train again with {name}={value}"
            )
        warnings.warn(f"{path} was trained with {name}={stored}, which is kept", stacklevel=2)
    config = dataclasses.replace(model.config, **{name: wanted[name] for name in _CHANGEABLE if name in wanted})
    if config == model.config:
        return model
    changed = S3Rec(model.num_items, model.num_attributes, config)
    changed.load_state_dict(model.state_dict())
    return changed
