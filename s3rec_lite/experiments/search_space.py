"""The settings that `s3rec_lite.experiments.tune` tries: parsed from text and checked before anything is trained."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from s3rec_lite.experiments.presets import CONFIG_CLASSES
from s3rec_lite.support.errors import SettingError
from s3rec_lite.support.text import suggest

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


def _full_name(name: str) -> str:
    """``pretrain.epochs`` for itself, ``pretrain_epochs`` and, where only one stage has it, ``epochs``."""
    known = [f"{stage}.{field.name}" for stage, cls in CONFIG_CLASSES.items() for field in dataclasses.fields(cls)]
    name = name.replace("-", "_")
    fitting = [full for full in known if name in (full, full.replace(".", "_"), full.partition(".")[2])]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise SettingError(f"{name!r} is a setting of several stages; write {' or '.join(fitting)}")
    raise SettingError(f"no setting {name!r}; {suggest(name, known)}")


def _field_info(name: str) -> FieldInfo:
    """Type and limits of a setting given as ``pretrain.epochs``."""
    stage, _, setting = name.partition(".")
    return vars(CONFIG_CLASSES[stage])["__pydantic_fields__"][setting]


def _parse_value(name: str, text: str) -> Any:
    """One value in the setting's type. Raises SettingError when it is out of range."""
    info = _field_info(name)
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
