"""The settings that `s3rec_lite.experiments.tune` tries: parsed from text and checked before anything is trained."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from s3rec_lite.experiments.presets import STAGES
from s3rec_lite.support.errors import SettingError

EXAMPLE = "for example pretrain.epochs=50,100,150 or finetune.learning_rate=log:1e-4:1e-2"


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
            raise SettingError(f"{text!r} is not STAGE.SETTING=VALUES; {EXAMPLE}")
        name = full_name(name.strip())
        if name in space:
            raise SettingError(f"{name} is given twice; list all its values after one =")
        kind, *ends = values.split(":")
        if kind in ("log", "range") and ends:
            space[name] = parse_range(name, kind, ends)
        else:
            space[name] = list(dict.fromkeys(parse_value(name, value.strip()) for value in values.split(",")))
    return space


def full_name(name: str) -> str:
    """``pretrain.epochs`` for itself and ``pretrain_epochs``. Raises SettingError with the nearest name."""
    known = [f"{stage}.{field.name}" for stage, made in STAGES.items() for field in dataclasses.fields(made)]
    name = name.replace("-", "_")
    fitting = [full for full in known if name in (full, full.replace(".", "_"), full.partition(".")[2])]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise SettingError(f"{name!r} is a setting of several stages; write {' or '.join(fitting)}")
    near = difflib.get_close_matches(name, known, n=1)
    raise SettingError(f"no setting {name!r}; " + (f"did you mean {near[0]!r}?" if near else EXAMPLE))


def parse_value(name: str, text: Any) -> Any:
    """One value in the setting's type. Raises SettingError when it is out of range."""
    stage, _, setting = name.partition(".")
    info = STAGES[stage].__pydantic_fields__[setting]
    kind = Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation
    try:
        return TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        message = error.errors()[0]["msg"]
        raise SettingError(f"{name}={text}: {message[0].lower()}{message[1:]}") from None


def parse_range(name: str, kind: str, ends: list[str]) -> Range:
    """``log:1e-4:1e-2`` after the first colon."""
    stage, _, setting = name.partition(".")
    annotation = STAGES[stage].__pydantic_fields__[setting].annotation
    if len(ends) != 2 or annotation not in (int, float):
        raise SettingError(f"{name}: a range is {kind}:LOW:HIGH and for numbers only; otherwise list the values")
    low, high = (parse_value(name, end) for end in ends)
    if not low < high or (kind == "log" and low <= 0):
        raise SettingError(f"{name}: the range {low:g} to {high:g} must rise" + " from above 0" * (kind == "log"))
    return Range(low, high, kind == "log", annotation is int)


def by_stage(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``{"pretrain.epochs": 50}`` to ``{"model": {}, "pretrain": {"epochs": 50}, "finetune": {}}``."""
    stages: dict[str, dict[str, Any]] = {stage: {} for stage in STAGES}
    for name, value in values.items():
        stage, _, setting = name.partition(".")
        stages[stage][setting] = value
    return stages
