"""Options that several commands share; those of the settings are made from the settings classes."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, get_args, get_origin

import click

from s3rec_lite.experiments.presets import CONFIG_CLASSES, PRESETS
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig, describe

ALIASES: dict[type, dict[str, tuple[str, ...]]] = {
    ModelConfig: {"max_length": ("max-item-list-length",)},
    PretrainConfig: {"epochs": ("pretrain-epochs",), "batch_size": ("train-batch-size",)},
    FinetuneConfig: {
        "loss": ("loss-type",),
        "batch_size": ("train-batch-size",),
        "patience": ("stopping-step",),
        "monitor": ("valid-metric",),
    },
}
"""RecBole's names where they differ from ours."""
Decorator = Callable[[Callable], Callable]


def several(*decorators: Decorator) -> Decorator:
    """Apply decorators so that their options appear in the help in this order."""

    def apply(function: Callable) -> Callable:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def setting_option(stage: str, field: dataclasses.Field, description: str, flags: tuple[str, ...]) -> Decorator:
    """The option of one setting; None means not given, so that presets stay below the command line."""
    name, kind = f"{stage}__{field.name}", field.type
    help_text = f"{description[0].upper()}{description[1:]}. [default: {default_text(stage, field.name)}]"
    if kind is bool:
        switch = "/".join((f"--{flags[0]}", f"--no-{flags[0]}"))
        return click.option(switch, name, default=None, help=help_text)
    shown = [f"--{flag}" for flag in flags]
    if get_origin(kind) is Literal:
        return click.option(*shown, name, type=click.Choice(get_args(kind)), help=help_text)
    return click.option(*shown, name, type={int: click.INT, float: click.FLOAT}.get(kind, click.STRING), help=help_text)


def default_text(stage: str, name: str) -> str:
    """The default as the help shows it."""
    value = getattr(CONFIG_CLASSES[stage](), name)
    return str(value) if not isinstance(value, bool) else "on" if value else "off"


def setting_options(*stages: str, prefixed: bool = False) -> Decorator:
    """One option for every setting of the stages "model", "pretrain", "finetune".

    With ``prefixed`` those of training carry the stage's name: ``--pretrain-epochs``, ``--finetune-epochs``.
    """
    decorators = []
    for stage in stages:
        texts = describe(CONFIG_CLASSES[stage])
        for field in dataclasses.fields(CONFIG_CLASSES[stage]):
            flags = (field.name.replace("_", "-"), *ALIASES[CONFIG_CLASSES[stage]].get(field.name, ()))
            if prefixed and stage != "model":
                flags = (f"{stage}-{flags[0]}",)
                if flags == ("pretrain-epochs",):
                    flags += ("epochs",)
            decorators.append(setting_option(stage, field, texts[field.name], flags))
    return several(*decorators)


def given_settings(options: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Take the settings that were typed out of a command's arguments, by stage."""
    given: dict[str, dict[str, Any]] = {stage: {} for stage in CONFIG_CLASSES}
    for key in [key for key in options if "__" in key]:
        stage, name = key.split("__", 1)
        value = options.pop(key)
        if value is not None:
            given[stage][name] = value
    return given


class Numbers(click.ParamType):
    """A comma-separated list of whole numbers of at least 1, such as 5,10,20."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """``"5,10"`` to ``(5, 10)``."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            numbers = (0,)
        if min(numbers) < 1:
            self.fail(f"{value!r} is not a list of whole numbers from 1 on; for example 5,10,20", param, ctx)
        return numbers


data_options = several(
    click.option(
        "--data",
        default="ml-100k",
        show_default=True,
        metavar="NAME_OR_PATH",
        help="lastfm, beauty, sports, toys, yelp, ml-100k, toy, planted; or a file: the authors' X.txt, "
        "RecBole's X.inter or its folder, or X.csv.",
    ),
    click.option(
        "--item-attribute",
        multiple=True,
        metavar="COLUMN",
        help="RecBole files: column with item attributes; may be repeated; 'none' for no attributes. [default: class]",
    ),
    click.option(
        "--k-core",
        type=click.IntRange(min=0),
        default=5,
        show_default=True,
        help="RecBole and CSV files: drop users and items with fewer interactions, repeatedly; 0 keeps all.",
    ),
    click.option("--user-column", default="user", show_default=True, help="CSV files: column of the user."),
    click.option("--item-column", default="item", show_default=True, help="CSV files: column of the item."),
    click.option(
        "--time-column",
        default="time",
        show_default=True,
        help="CSV files: column of the time; 'none': file order.",
    ),
)
debug_option = click.option("--debug", is_flag=True, help="Show the traceback of an error.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
threads_option = click.option(
    "--threads", type=click.IntRange(min=1), help="CPU threads. [default: what PyTorch picks]"
)
machine_options = several(
    click.option(
        "--device",
        default="auto",
        show_default=True,
        help="auto, cpu, cuda or mps; auto takes the fastest there is.",
    ),
    threads_option,
    click.option("--no-progress", is_flag=True, help="No progress bars."),
    debug_option,
)
preset_option = click.option(
    "--preset",
    type=click.Choice(list(PRESETS)),
    default="default",
    show_default=True,
    help="Named settings; options given beside it win.",
)
explain_option = click.option(
    "--explain", is_flag=True, help="Print what differs from the default settings and why, and stop."
)
output_option = click.option(
    "--output", type=click.Path(), metavar="FOLDER", help="Folder of checkpoints. [default: data/runs/DATA]"
)
restart_option = click.option(
    "--restart", is_flag=True, help="Delete an earlier run first instead of going on with it."
)
