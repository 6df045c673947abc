"""The settings that `s3rec_lite.experiments.tune` tries: parsed from text and checked before anything is trained."""

import ast
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from s3rec_lite.experiments.presets import CONFIG_CLASSES
from s3rec_lite.experiments.recbole_names import answer, our_names
from s3rec_lite.support.config import FinetuneConfig
from s3rec_lite.support.errors import SettingError
from s3rec_lite.support.text import suggest

_MOST_STEPS = 1000
_EXAMPLE = "for example pretrain.epochs=50,100,150 or finetune.learning_rate=log:1e-4:1e-2"


@dataclass(frozen=True)
class Range:
    """All values from ``low`` to ``high``, even or even in the logarithm; whole numbers only if ``whole``."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


Space = Mapping[str, Sequence[Any] | Range]
"""Setting ("pretrain.epochs") to the values to try."""


def parse_space(texts: Sequence[str]) -> dict[str, list[Any] | Range]:
    """``["pretrain.epochs=50,100"]`` to ``{"pretrain.epochs": [50, 100]}``.

    A range is ``log:LOW:HIGH`` or ``range:LOW:HIGH``.

    Raises SettingError for an unknown setting or a value that it cannot have.
    """
    space: dict[str, list[Any] | Range] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not values.strip():
            raise SettingError(f"{text!r} is not STAGE.SETTING=VALUES; {_EXAMPLE}")
        name = _full_name(name.strip())
        if name in space:
            raise SettingError(f"{name} is given twice; list all its values after one =")
        kind, *ends = values.split(":")
        if kind in ("log", "range") and ends:
            space[name] = _parse_range(name, kind, ends)
        else:
            space[name] = list(dict.fromkeys(_parse_value(name, value.strip()) for value in values.split(",")))
    return space


def read_params_file(path: str | Path) -> dict[str, list[Any] | Range]:
    """The space of RecBole's ``hyper.test``: lines such as ``pretrain_epochs choice [50, 100, 150]``.

    Kinds are choice, uniform (``LOW,HIGH``), loguniform (natural logarithms of the ends) and quniform
    (``LOW,HIGH,STEP``). Blank lines and lines after ``#`` are skipped. Raises SettingError with file and line.
    """
    space: dict[str, list[Any] | Range] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise SettingError(f"{path}: {reason}; give a text file") from None
    for number, line in enumerate(lines, start=1):
        words = line.split(maxsplit=2)
        if not words or words[0].startswith("#"):
            continue
        try:
            if len(words) < 3:
                raise SettingError("a line is SETTING KIND VALUES; for example pretrain_epochs choice [50, 100, 150]")
            name = _full_name(words[0])
            if name in space:
                raise SettingError(f"{name} is given twice; keep one of the lines")
            space[name] = _parse_kind(name, words[1], words[2])
        except SettingError as error:
            raise SettingError(f"{path}:{number}: {error}") from None
    return space


def _parse_kind(name: str, kind: str, text: str) -> list[Any] | Range:
    """The values of one line of RecBole's."""
    if kind == "choice":
        try:
            values = ast.literal_eval(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            values = None
        if not isinstance(values, list | tuple) or not values:
            raise SettingError(f"{text} is not a list such as [50, 100, 150]")
        return list(dict.fromkeys(_parse_value(name, str(value)) for value in values))
    ends = text.replace(" ", "").split(",")
    try:
        numbers = [float(end) for end in ends]
        if kind == "loguniform":
            ends = [repr(math.exp(number)) for number in numbers]
    except (ValueError, OverflowError):
        raise SettingError(f"{text} is not a list of numbers such as 0.1,0.5") from None
    if kind == "uniform":
        return _parse_range(name, "range", ends)
    if kind == "loguniform":
        return _parse_range(name, "log", ends)
    if kind != "quniform":
        raise SettingError(f"{kind!r} is not choice, uniform, loguniform or quniform")
    low, high, step = numbers if len(numbers) == 3 else (math.nan,) * 3
    if not (low < high and step > 0 and (high - low) / step <= _MOST_STEPS):
        raise SettingError(f"quniform is LOW,HIGH,STEP, with {_MOST_STEPS} steps at most; otherwise take uniform")
    steps = range(round(low / step), round(high / step) + 1)
    return [_parse_value(name, f"{number * step:.12g}") for number in steps]


def _full_name(name: str) -> str:
    """``pretrain.epochs`` for itself, ``pretrain_epochs`` and, where only one stage has it, ``epochs``."""
    known = [f"{stage}.{field.name}" for stage, cls in CONFIG_CLASSES.items() for field in dataclasses.fields(cls)]
    name = name.replace("-", "_")
    fitting = [full for full in known if name in (full, full.replace(".", "_"), full.partition(".")[2])]
    fitting = fitting or our_names(name)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise SettingError(f"{name!r} is a setting of several stages; write {' or '.join(fitting)}")
    raise SettingError(f"no setting {name!r}; {answer(name) or suggest(name, known)}")


def _field_info(name: str) -> FieldInfo:
    """Type and limits of a setting given as ``pretrain.epochs``."""
    stage, _, setting = name.partition(".")
    return vars(CONFIG_CLASSES[stage])["__pydantic_fields__"][setting]


def _parse_value(name: str, text: str) -> Any:
    """One value in the setting's type. Raises SettingError when it is out of range."""
    info = _field_info(name)
    if name == "finetune.monitor":
        return FinetuneConfig(monitor=text).monitor
    text = text.lower() if get_origin(info.annotation) is Literal else text
    kind: Any = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise SettingError(f"{name}={text}: {message[0].lower()}{message[1:]}") from None


def _parse_range(name: str, kind: str, ends: list[str]) -> Range:
    """``log:1e-4:1e-2`` after the first colon."""
    annotation = _field_info(name).annotation
    if len(ends) != 2 or annotation not in (int, float):
        raise SettingError(f"{name}: a range is {kind}:LOW:HIGH and for numbers only; otherwise list the values")
    low, high = (_parse_value(name, end) for end in ends)
    if not low < high or (kind == "log" and low <= 0):
        raise SettingError(f"{name}: the range {low:g} to {high:g} must rise" + " from above 0" * (kind == "log"))
    return Range(low, high, kind == "log", annotation is int)


def by_stage(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``{"pretrain.epochs": 50}`` to ``{"model": {}, "pretrain": {"epochs": 50}, "finetune": {}}``."""
    stages: dict[str, dict[str, Any]] = {stage: {} for stage in CONFIG_CLASSES}
    for name, value in values.items():
        stage, _, setting = name.partition(".")
        stages[stage][setting] = value
    return stages
