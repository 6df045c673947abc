"""What the commands have in common: data, folders, checkpoints, output."""

import dataclasses
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from s3rec_lite.experiments.presets import find_preset
from s3rec_lite.support.errors import CheckpointError, SettingError
from s3rec_lite.support.shell import quoted

if TYPE_CHECKING:
    from s3rec_lite.datasets import SequenceData
    from s3rec_lite.model import S3Rec

RUNS = Path("data/runs")
CHANGEABLE = ("hidden_dropout_prob", "attn_dropout_prob", "finetune_positions")
"""Model settings that trained weights leave open."""


def take_data(options: dict[str, Any], load: Callable[..., "SequenceData"] | None = None) -> "SequenceData":
    """Set the threads and load the data that the shared options name; they are taken out of ``options``.

    ``load`` is `load_dataset` unless given.
    """
    if load is None:
        from s3rec_lite.datasets import load_dataset as load

    set_threads(options.pop("threads", None))
    columns = options.pop("item_attribute") or ("class",)
    time = options.pop("time_column")
    return load(
        options.pop("data"),
        item_attribute=None if columns == ("none",) else list(columns),
        k_core=options.pop("k_core"),
        user=options.pop("user_column"),
        item=options.pop("item_column"),
        time=None if time == "none" else time,
        progress=not options.get("no_progress", False),
    )


def set_threads(threads: int | None) -> None:
    """Use that many CPU threads; None leaves PyTorch's choice."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def run_folder(output: str | None, data: "SequenceData") -> Path:
    """Where a run's files go."""
    return Path(output) if output else RUNS / data.name


def data_words(context: click.Context) -> list[str]:
    """What has to stand behind ``--data`` for another command to load the same data."""
    words = [context.params["data"]]
    for column in context.params.get("item_attribute", ()):
        words += ["--item-attribute", column]
    for name in ("k_core", "user_column", "item_column", "time_column"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            words += [f"--{name.replace('_', '-')}", str(context.params[name])]
    return words


def command_line(command: str, context: click.Context, *more: str) -> str:
    """A command that fits this one's data, preset and folder, ready to paste."""
    words = ["s3rec-lite", command, "--data", *data_words(context)]
    if context.params.get("preset", "default") != "default":
        words += ["--preset", context.params["preset"]]
    if context.params.get("output"):
        words += ["--output", context.params["output"]]
    return quoted([*words, *more])


def default_checkpoint(folder: Path, name: str, command: str, also: str = "") -> Path:
    """A checkpoint that an earlier command left. Raises SettingError that names it if there is none."""
    path = folder / name
    if not path.is_file():
        raise SettingError(f"no {name} in {folder}; run this first: {command}{also}")
    return path


def open_checkpoint(
    path: str | Path, data: "SequenceData", preset: str = "default", given: dict[str, Any] | None = None
) -> "S3Rec":
    """A model from a checkpoint of this kit, of the authors' code or of RecBole, told apart by content.

    Sizes are the checkpoint's. ``given`` model settings may change dropout and ``finetune_positions`` only;
    of a preset only these count. Raises CheckpointError when it is none of the three or was made for other
    data, SettingError for given sizes that are not the checkpoint's.
    """
    from s3rec_lite.runs.checkpoints import FORMAT, load_model
    from s3rec_lite.runs.interop import load_authors_checkpoint, load_recbole_checkpoint
    from s3rec_lite.support.config import ModelConfig
    from s3rec_lite.support.files import load_tensors

    given, wanted = given or {}, find_preset(preset).values("model")
    content = load_tensors(path)
    foreign = ModelConfig(**{**wanted, **given})  # heads and dropout, which others' files do not hold
    if content.get("format") == FORMAT:
        model = load_model(path)
    elif "item_embeddings.weight" in content:
        model = load_authors_checkpoint(path, foreign)
    elif "item_embedding.weight" in (content.get("state_dict") or content):
        model = load_recbole_checkpoint(path, foreign)
    else:
        model = load_model(path)
    check_same_data(path, model, data)
    return with_settings(path, model, wanted, given)


def check_same_data(path: str | Path, model: "S3Rec", data: "SequenceData") -> None:
    """Raise CheckpointError when the model's tables do not fit the data."""
    if (model.num_items, model.num_attributes) != (data.num_items, data.num_attributes):
        raise CheckpointError(
            f"{path}: made for {model.num_items} items and "
            f"{model.num_attributes} attributes, but {data.name} has "
            f"{data.num_items} and {data.num_attributes}; give the --data "
            f"(and --item-attribute) it was trained on"
        )


def with_settings(path: str | Path, model: "S3Rec", preset: dict[str, Any], given: dict[str, Any]) -> "S3Rec":
    """The model with those settings changed that its weights leave open."""
    from s3rec_lite.model import S3Rec

    for name, value in {**preset, **given}.items():
        stored = getattr(model.config, name)
        if name in CHANGEABLE or name == "zero_padding_row" or value == stored:
            continue
        if name in given:
            raise SettingError(
                f"{path} was trained with {name}={stored}; leave {name} out, or pre-train again with {name}={value}"
            )
        warnings.warn(f"{path} was trained with {name}={stored}, which is kept", stacklevel=2)
    changed = {name: value for name, value in {**preset, **given}.items() if name in CHANGEABLE}
    if all(getattr(model.config, name) == value for name, value in changed.items()):
        return model
    other = S3Rec(model.num_items, model.num_attributes, dataclasses.replace(model.config, **changed))
    other.load_state_dict(model.state_dict())
    return other


def print_json(value: Any) -> None:
    """JSON on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: list[tuple[Any, ...]], right: str = "") -> str:
    """Aligned columns; ``right`` has an 'r' for each column that is aligned to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    sizes = [max(map(len, column)) for column in zip(*cells, strict=True)]
    sides = right.ljust(len(sizes), "l")
    lines = []
    for row in cells:
        pieces = [c.rjust(n) if side == "r" else c.ljust(n) for c, n, side in zip(row, sizes, sides, strict=True)]
        lines.append("  ".join(pieces).rstrip())
    return "\n".join(lines)
