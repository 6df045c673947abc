"""The model that a command works with: which file, whose format, and whether it fits the data and the settings."""

import dataclasses
import glob
import json
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


def load_data_for(shared: Shared, *checkpoints: str | None) -> "SequenceData":
    """The data for these checkpoints: without a k-core filter, unless it is typed, where one of them is RecBole's."""
    from s3rec_lite.runs.interop import is_recbole_state
    from s3rec_lite.runs.pickles import load_objects

    recboles = any(is_recbole_state(load_objects(path)) for path in checkpoints if path)
    return shared.load_data(k_core=0) if recboles else shared.load_data()


def open_checkpoint(path: str | Path, data: "SequenceData", shared: Shared) -> "S3Rec":
    """A model from a checkpoint of this kit, of the authors' code or of RecBole, told apart by content.

    Sizes are the checkpoint's. Typed model settings may change dropout and ``finetune_positions`` only; of a preset
    only these count. Raises CheckpointError when it is none of the three, was trained on other data, or does not say
    which item each of its rows is; SettingError for typed sizes that are not the checkpoint's.
    """
    from s3rec_lite.runs import interop
    from s3rec_lite.runs.checkpoints import load_model
    from s3rec_lite.runs.pickles import load_objects

    given, wanted = shared.given["model"], find_preset(shared.preset).values("model")
    content = load_objects(path)
    foreign = ModelConfig(**{**wanted, **given})  # heads and dropout, which others' files do not hold
    if interop.is_authors_state(content):
        model = interop.from_state(content, interop.AUTHORS, foreign, str(path))
        model = _in_order(path, model, [], data.item_tokens is None, data, shared)
    elif interop.is_recbole_state(content):
        model = interop.recbole_model(content, foreign, str(path))
        stored = interop.stored_items(content, str(path))
        model = _in_order(path, model, stored, shared.id_order == "recbole", data, shared)
    elif shared.item_list:
        raise SettingError(
            f"{path}: --item-list is for checkpoints of others, and this one is of this kit; leave it out"
        )
    else:
        model = load_model(path)
        _warn_of_other_data(Path(path), content, data)
    broken = [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]
    if broken:
        raise CheckpointError(f"{path}: {broken[0]} holds NaN or infinite values; train again or give another file")
    if (model.num_items, model.num_attributes) != (data.num_items, data.num_attributes):
        raise CheckpointError(
            f"{path}: made for {model.num_items} items and {model.num_attributes} attributes, but {data.name} has "
            f"{data.num_items} and {data.num_attributes}; {_fix_of_sizes(model, data, shared)}"
        )
    return _with_settings(path, model, wanted, given)


def _in_order(
    path: str | Path, model: "S3Rec", stored: list[str], known: bool, data: "SequenceData", shared: Shared
) -> "S3Rec":
    """The model with its items in the order of the data, by the list that is given, or that the file has.

    Without one the data have to be numbered as its code base does (``known``). Raises CheckpointError otherwise.
    """
    from s3rec_lite.runs import interop

    items = interop.read_item_list(shared.item_list) if shared.item_list else stored
    if items and items != interop.item_names(data):
        if not stored:
            warnings.warn(f"{path}: its attributes keep the order that they have there", stacklevel=2)
        return interop.with_items_of(model, items, data, str(path))
    if items or known:
        return model
    from s3rec_lite.datasets.loading import is_recbole

    order = "add --id-order recbole (or --preset recbole), or give" if is_recbole(shared.data) else "give"
    raise CheckpointError(
        f"{path}: does not say which item each of its rows is, and {data.name} may be numbered otherwise; if it is of "
        f"RecBole, {order} its list of items with --item-list FILE"
    )


def _fix_of_sizes(model: "S3Rec", data: "SequenceData", shared: Shared) -> str:
    """What to do about a model of other sizes than the data's."""
    fix = "give the --data (and --item-attribute) it was trained on"
    if data.item_tokens and model.num_items > data.num_items and shared.k_core > 1:
        return f"add --k-core 0 if it was trained without the filter, or {fix}"
    if data.item_tokens and model.num_items < data.num_items and shared.k_core <= 1:
        return f"add --k-core 5 if it was trained with that filter, or {fix}"
    return fix


def _warn_of_other_data(path: Path, content: dict[str, Any], data: "SequenceData") -> None:
    """Say so where the state of the checkpoint's run, in it or beside it, is of other data or another numbering."""
    from s3rec_lite.data import fingerprint
    from s3rec_lite.support.files import load_tensors

    beside = path.with_name(f"{path.stem.rpartition('-')[0]}-last.pth")
    try:
        state = content if "identity" in content or not beside.is_file() else load_tensors(beside)
        trained_on = json.loads(state.get("identity", "{}")).get("data")
    except (CheckpointError, AttributeError, TypeError, ValueError):
        return  # whatever is wrong with the state, the weights are not
    if data.item_tokens and trained_on and trained_on != fingerprint(data):
        warnings.warn(
            f"{path} was trained on other data than {data.name} as it is read now; if items are numbered otherwise "
            "(--id-order, --preset, --k-core), they are taken for each other",
            stacklevel=3,
        )


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
