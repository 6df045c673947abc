"""The thin view that all labs share: sliders on top, numbers and a picture below.

A lab is a pure function (settings in, numbers and a figure out) and a list of controls. The view holds the widgets:
an `HTML` widget for the numbers and an `Image` widget for the picture, no Output widget, so that nothing is printed
into a notebook behind its back. While a slider moves, only the last position is computed.
"""

import asyncio
import html
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
from matplotlib.figure import Figure

from s3rec_lite import plots

WAIT = 0.03  # seconds that a control must rest before the answer is computed
DPI = 84
WIDTH = "820px"


@dataclass(frozen=True)
class Slider:
    """A number that is set by sliding, or with the arrow keys."""

    name: str
    label: str
    low: float
    high: float
    value: float
    step: float = 1
    unit: str = ""

    @property
    def whole(self) -> bool:
        """Whether it takes whole numbers only."""
        return all(float(number).is_integer() for number in (self.low, self.step, self.value))

    def widget(self) -> widgets.Widget:
        """The ipywidgets slider, labelled with its unit."""
        kind = widgets.IntSlider if self.whole else widgets.FloatSlider
        cast = int if self.whole else float
        label = f"{self.label} [{self.unit}]" if self.unit else self.label
        options = {} if self.whole else {"readout_format": ".2f"}
        return kind(
            value=cast(self.value), min=cast(self.low), max=cast(self.high), step=cast(self.step), description=label,
            continuous_update=True, style={"description_width": "190px"}, layout={"width": "480px"}, **options,
        )  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """One of a few things; ``options`` are (text, value) pairs."""

    name: str
    label: str
    options: tuple[tuple[str, Any], ...]
    value: Any

    def widget(self) -> widgets.Widget:
        """The ipywidgets drop-down."""
        return widgets.Dropdown(
            options=list(self.options), value=self.value, description=self.label,
            style={"description_width": "190px"}, layout={"width": "480px"},
        )  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """A button that sets several controls at once."""

    label: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a lab says to one setting of its controls."""

    numbers: str
    """HTML: a sentence and a table"""
    draw: Callable[[], Figure]
    """makes the picture"""
    alt: str
    """the picture in words"""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """the same numbers for programs: what tests compare"""


@dataclass(frozen=True)
class Lab:
    """One lab: name, texts, controls and the pure function ``answer(**settings)``."""

    name: str
    title: str
    question: str
    """what to find out by moving the sliders, in a sentence or two"""
    controls: tuple[Slider | Choice, ...]
    answer: Callable[..., Answer]
    presets: tuple[Preset, ...] = ()

    @property
    def defaults(self) -> dict[str, Any]:
        """The settings that the lab opens with."""
        return {control.name: control.value for control in self.controls}


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a picture."""
    buffer = io.BytesIO()
    with plots.style():
        figure.savefig(
            buffer,
            format="png",
            dpi=DPI,
            facecolor="white",
            metadata={"Software": None},
            pil_kwargs={"compress_level": 1},
        )
    return buffer.getvalue()


def table(rows: list[tuple[Any, ...]], head: tuple[str, ...]) -> str:
    """A small HTML table; the first column is text, the others are right-aligned."""
    cells = ["".join(f"<th style='text-align:{_side(place)};padding:2px 12px'>{html.escape(str(name))}</th>"
                     for place, name in enumerate(head))]  # fmt: skip
    for row in rows:
        cells.append("".join(f"<td style='text-align:{_side(place)};padding:2px 12px'>{html.escape(str(value))}</td>"
                             for place, value in enumerate(row)))  # fmt: skip
    lines = "".join(f"<tr>{line}</tr>" for line in cells)
    return f"<table style='border-collapse:collapse;line-height:1.4'>{lines}</table>"


def _side(place: int) -> str:
    return "right" if place else "left"


class LabView:
    """Widgets around one lab. ``root`` is what to display; ``close()`` removes everything."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.seconds: list[float] = []
        """what each answer took, from the settings to the picture"""
        self._waiting: asyncio.TimerHandle | None = None
        self.controls = {control.name: control.widget() for control in lab.controls}
        self.numbers = widgets.HTML()
        self.image = widgets.Image(format="png", layout={"max_width": WIDTH})
        self.numbers.add_class("s3rec-numbers")
        self.image.add_class("s3rec-picture")
        for name, widget in self.controls.items():
            widget.add_class(f"s3rec-control-{name}")
            widget.observe(self._changed, names="value")
        self.root = widgets.VBox([*self._head(), *self.controls.values(), self._buttons(), self.numbers, self.image])
        self.root.add_class(f"s3rec-lab-{lab.name}")
        self.update()

    def _head(self) -> list[widgets.Widget]:
        title = f"<b style='font-size:1.15em'>{html.escape(self.lab.title)}</b><br>{html.escape(self.lab.question)}"
        return [widgets.HTML(f"<div style='max-width:{WIDTH};line-height:1.4'>{title}</div>")]

    def _buttons(self) -> widgets.Widget:
        reset = widgets.Button(description="Reset", tooltip="Back to where the lab opened", icon="undo")
        reset.on_click(lambda _: self.set(**self.lab.defaults))
        reset.add_class("s3rec-reset")
        buttons = [reset]
        for preset in self.lab.presets:
            button = widgets.Button(description=preset.label, layout={"width": "auto"})
            button.on_click(lambda _, preset=preset: self.set(**preset.settings))
            buttons.append(button)
        return widgets.HBox(buttons, layout={"margin": "2px 0 6px 0", "flex_flow": "row wrap"})

    def settings(self) -> dict[str, Any]:
        """What the controls say now."""
        return {name: widget.value for name, widget in self.controls.items()}

    def set(self, **settings: Any) -> "LabView":
        """Move controls from a program; the answer is there when this returns."""
        for name, value in settings.items():
            self.controls[name].value = value
        self.update()
        return self

    def _changed(self, _change: Any) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # outside of a kernel there is nothing to wait for
            self.update()
            return
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = loop.call_later(WAIT, self.update)

    def update(self) -> None:
        """Compute the answer to the present settings and show it."""
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None
        begin = time.perf_counter()
        try:
            answer = self.lab.answer(**self.settings())
            picture = png(answer.draw())
        except Exception as error:  # a view must not die silently in a callback
            self.numbers.value = f"<b>{type(error).__name__}:</b> {html.escape(str(error))}"
            return
        self.numbers.value = f"<div style='max-width:{WIDTH};line-height:1.5'>{answer.numbers}</div>"
        self.image.value = picture
        self.alt = answer.alt
        self.seconds.append(time.perf_counter() - begin)

    def close(self) -> None:
        """Close all widgets and forget what was waiting."""
        if self._waiting is not None:
            self._waiting.cancel()
        stack = [self.root]
        while stack:
            widget = stack.pop()
            stack.extend(getattr(widget, "children", ()))
            widget.close()
