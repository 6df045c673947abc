"""The options that commands share, and what follows from them: the data, the settings, where files go, what is printed.

Each option's callback keeps its value in one `Shared`, which the command gets by ``@pass_shared``.
"""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click
from click.core import ParameterSource

from s3rec_lite.experiments import presets
from s3rec_lite.experiments.presets import CONFIG_CLASSES
from s3rec_lite.experiments.recbole_names import ALIASES
from s3rec_lite.support.config import FinetuneConfig, ModelConfig, PretrainConfig, describe, other_name_of_metric
from s3rec_lite.support.errors import SettingError
from s3rec_lite.support.shell import quoted

if TYPE_CHECKING:
    from s3rec_lite.datasets import SequenceData

RUNS = Path("data/runs")


class Shared:
    """The values of the shared options that a command has."""

    data: str
    item_attribute: tuple[str, ...]
    k_core: int
    id_order: str
    time_rounding: str
    item_list: str | None = None
    user: str
    item: str
    time: str
    preset: str = "default"
    explain: bool
    output: str | None
    restart: bool
    as_json: bool
    device: str
    workers: int | None = None
    no_progress: bool

    def __init__(self) -> None:
        self.given: dict[str, Any] = {stage: {} for stage in CONFIG_CLASSES}
        """the settings that were typed, by stage"""

    @property
    def progress(self) -> bool:
        """Whether to show progress bars."""
        return not self.no_progress

    @property
    def running(self) -> dict[str, Any]:
        """What every function that trains asks for."""
        return {
            "device": self.device,
            "restart": self.restart,
            "progress": self.progress,
            "workers": self.workers,
        }

    def typed(self, name: str) -> bool:
        """Whether an option was given on the command line."""
        return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE

    def load_data(self, load: "Callable[..., SequenceData] | None" = None, **known: Any) -> "SequenceData":
        """The data by `load_dataset`, or another function with its arguments.

        ``known`` settings of RecBole's files lie above the preset's and below the typed ones.
        """
        from s3rec_lite.datasets import load_dataset
        from s3rec_lite.datasets.loading import is_recbole
        from s3rec_lite.support.runtime import keep_freed_memory

        if is_recbole(self.data):
            for name, value in {**presets.data_settings(self.preset), **known}.items():
                if not self.typed(name):
                    setattr(self, name, value)
        elif self.typed("id_order") or self.typed("time_rounding"):
            raise SettingError(f"--id-order and --time-rounding need RecBole's .inter files; {self.data} is none")
        data = (load or load_dataset)(
            self.data,
            item_attribute=None if self.item_attribute == ("none",) else list(self.item_attribute),
            k_core=self.k_core,
            id_order=self.id_order,
            time_rounding=self.time_rounding,
            user=self.user,
            item=self.item,
            time=None if self.time == "none" else self.time,
            progress=self.progress,
        )
        keep_freed_memory()  # what comes now asks for the same sizes again and again
        return data

    def configs(self) -> tuple[ModelConfig, PretrainConfig, FinetuneConfig]:
        """The preset's settings with the typed ones on top. ``--explain`` prints what differs and ends the command."""
        configs = presets.configs(self.preset, **self.given)
        if self.explain:
            click.echo(presets.explain(self.preset, **self.given))
            click.get_current_context().exit()
        return configs

    def run_folder(self, data: "SequenceData") -> Path:
        """Where a run's files go."""
        own = data.name if data.name.strip(".") else f"{data.name}data"  # ".." would be the folder above
        return Path(self.output) if self.output else RUNS / own

    def data_words(self) -> list[str]:
        """What has to stand behind ``--data`` for another command to load the same data."""
        words, preset = [self.data], presets.data_settings(self.preset)
        for option in click.get_current_context().command.params:
            if option.name not in _READING:
                continue
            value = getattr(self, option.name)
            if self.typed(option.name) or (self.id_order == "recbole" and preset.get(option.name, value) != value):
                for each in value if option.multiple else (value,):
                    words += [option.opts[0], str(each)]
        return words

    def command_line(self, command: str, *more: str) -> str:
        """Another command with this one's data, preset and folder, ready to paste."""
        words = ["s3rec-lite", command, "--data", *self.data_words()]
        words += ["--preset", self.preset] if self.preset != "default" else []
        words += ["--output", self.output] if self.output else []
        return quoted([*words, *more])

    def show(self, value: Any, text: str) -> None:
        """A result on stdout: as JSON where that is asked for, else as text. Under torchrun the first worker speaks."""
        from s3rec_lite.runs.processes import rank

        if not rank():
            click.echo(json.dumps(value, indent=2, ensure_ascii=False) if self.as_json else text)


pass_shared = click.make_pass_decorator(Shared, ensure=True)
_Decorator = Callable[[Callable], Callable]
_READING = ("item_attribute", "k_core", "id_order", "time_rounding", "user", "item", "time")


def _option(*names: str, **settings: Any) -> _Decorator:
    """A click option whose value goes to `Shared` instead of the command's arguments."""

    def keep(context: click.Context, option: click.Parameter, value: Any) -> None:
        setattr(context.ensure_object(Shared), option.name, value)

    return click.option(*names, callback=keep, expose_value=False, **settings)


def _group(*decorators: _Decorator) -> _Decorator:
    """Several decorators as one; the options appear in the help in this order."""

    def apply(command: Callable) -> Callable:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return apply


class NumberList(click.ParamType):
    """Numbers with commas between them, such as 5,10,20, each read and checked by a type of click's.

    Args:
        number: the type of one number.
        name: what stands for the value in the help.
        meaning: ends the message "... is not a list of ...".
    """

    def __init__(self, number: click.ParamType, name: str, meaning: str):
        self.number, self.name, self.meaning = number, name, meaning

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple:
        """``"5,10"`` to ``(5, 10)``."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self.number.convert(part, param, ctx) for part in value.split(","))
        except click.BadParameter:
            self.fail(f"{value!r} is not a list of {self.meaning}", param, ctx)


class _Metric(click.ParamType):
    """A metric's name; RecBole's other names for it get an answer."""

    name = "metric"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name as it is. Fails for ``Recall@10``."""
        if same := other_name_of_metric(value):
            self.fail(same, param, ctx)
        return value


METRIC = _Metric()
POSITIVE, SEED = click.IntRange(min=1), click.IntRange(min=0)
POSITIVE_LIST = NumberList(POSITIVE, "numbers", "whole numbers from 1 on; for example 5,10,20")


def _set_threads(context: click.Context, option: click.Parameter, threads: int | None) -> None:
    """Use that many CPU threads; None leaves PyTorch's choice."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


# --- options ----------------------------------------------------------------------------------------------

data_options = _group(
    _option(
        "--data",
        default="ml-100k",
        metavar="NAME_OR_PATH",
        help="lastfm, beauty, sports, toys, yelp, ml-100k, toy, planted or planted:USERSxITEMS; or a file: the "
        "authors' X.txt, RecBole's X.inter or its folder, or X.csv.",
    ),
    _option(
        "--item-attribute",
        multiple=True,
        default=["class"],
        metavar="COLUMN",
        help="RecBole files: column with item attributes; may be repeated; 'none' for no attributes.",
    ),
    _option(
        "--k-core",
        type=click.IntRange(min=0),
        default=5,
        help="RecBole and CSV files: drop users and items with fewer interactions, repeatedly; 0 keeps all.",
    ),
    _option(
        "--id-order",
        type=click.Choice(["name", "recbole"]),
        default="name",
        help="RecBole files: number users and items by name, or in the order of their rows as RecBole does, which its "
        "checkpoints need.",
    ),
    _option(
        "--time-rounding",
        type=click.Choice(["none", "float32", "scaled"]),
        default="none",
        help="RecBole files: sort times exactly, or as float32 as RecBole does; scaled: with its normalize_all.",
    ),
    _option("--user-column", "user", default="user", help="CSV files: column of the user."),
    _option("--item-column", "item", default="item", help="CSV files: column of the item."),
    _option("--time-column", "time", default="time", help="CSV files: column of the time; 'none': file order."),
)
item_list_option = _option(
    "--item-list",
    type=click.Path(),
    metavar="FILE",
    help="Checkpoints of others: names of their items in the order of their ids, one a line or a JSON list.",
)
preset_option = _option(
    "--preset",
    type=click.Choice(list(presets.PRESETS)),
    default="default",
    help="Named settings; options given beside it win.",
)
explain_option = _option(
    "--explain", is_flag=True, help="Print what differs from the default settings and why, and stop."
)
output_option = _option(
    "--output", type=click.Path(), metavar="FOLDER", help="Folder of checkpoints. [default: data/runs/DATA]"
)
restart_option = _option("--restart", is_flag=True, help="Delete an earlier run first instead of going on with it.")
json_option = _option("--json", "as_json", is_flag=True, help="Print the result as JSON on stdout.")
device_option = _option("--device", default="auto", help="auto, cpu, cuda or mps; auto takes the fastest there is.")
workers_option = _option(
    "--workers",
    type=POSITIVE,
    help="Processes that share each batch, one thread each; 1, 2, 4 ... up to its number of shards. The weights are "
    "the same with any number. [default: one a core, and one alone for short runs]",
)
threads_option = click.option(
    "--threads",
    type=POSITIVE,
    callback=_set_threads,
    expose_value=False,
    help="CPU threads of a process that works alone. [default: what PyTorch picks]",
)
progress_option = _option("--no-progress", is_flag=True, help="No progress bars.")
run_options = _group(data_options, json_option, device_option, threads_option, progress_option)


def setting_options(*stages: str, prefixed: bool = False) -> _Decorator:
    """One option for every setting of the stages "model", "pretrain", "finetune", with ``--preset`` and ``--explain``.

    With ``prefixed`` those of training carry the stage's name: ``--pretrain-epochs``, ``--finetune-epochs``.
    """
    options = [preset_option, explain_option, restart_option]
    for stage in stages:
        config_class: Any = CONFIG_CLASSES[stage]
        texts = describe(config_class)
        for field in dataclasses.fields(config_class):
            names = [field.name.replace("_", "-"), *ALIASES[config_class].get(field.name, ())]
            if prefixed and stage != "model":
                names = [f"{stage}-{names[0]}"]
                names += ["epochs"] if names == ["pretrain-epochs"] else []
            options.append(_setting_option(stage, field, texts[field.name], names))
    return _group(*options)


def _setting_option(stage: str, field: dataclasses.Field, description: str, names: list[str]) -> _Decorator:
    """The option of one setting, kept only where it is typed, so that presets stay below the command line."""

    def keep(context: click.Context, option: click.Parameter, value: Any) -> None:
        if value is not None:
            context.ensure_object(Shared).given[stage][field.name] = value

    switches, value_type = [f"--{name}" for name in names], field.type
    if value_type is bool:
        switches = [f"--{names[0]}/--no-{names[0]}"]
    elif get_origin(value_type) is Literal:
        value_type = click.Choice(get_args(value_type))
    return click.option(
        f"{stage}__{field.name}",
        *switches,
        type=value_type,
        default=None,
        callback=keep,
        expose_value=False,
        help=f"{description[0].upper()}{description[1:]}. [default: {default_text(stage, field.name)}]",
    )


def default_text(stage: str, name: str) -> str:
    """The default as the help shows it."""
    value = getattr(CONFIG_CLASSES[stage](), name)
    return str(value) if not isinstance(value, bool) else "on" if value else "off"
