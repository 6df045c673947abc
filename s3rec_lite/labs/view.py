"""The thin view that all labs share: sliders on top, a picture and numbers below.

A lab is a pure function (settings in, numbers and a figure out) and a list of controls. The view holds the widgets:
an `HTML` widget for the numbers and an `Image` widget for the picture, no Output widget, so that nothing is printed
into a notebook behind its back. While a slider moves, the picture follows as fast as it can be drawn.
"""

import asyncio
import html
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from s3rec_lite.figures import plots

WAIT = 0.03  # seconds between a change and its answer; what else changes meanwhile is in the same answer
DPI = 84
WIDTH = "820px"
LEGEND = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 1}
"""a legend on a plain ground, without grid lines through its text"""


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
    tooltip: str = ""


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
    """A figure as the bytes of a picture: what ``savefig`` gives, without its detours."""
    canvas, buffer = FigureCanvasAgg(figure), io.BytesIO()
    figure.set_dpi(DPI)
    figure.set_facecolor("white")
    with plots.style():
        canvas.draw()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).save(buffer, "png", compress_level=1)
    return buffer.getvalue()


def fix_margins(figure: Figure, **margins: float) -> None:
    """Set the margins by hand, as shares of the figure: measuring all texts would take half of a picture's time."""
    figure.set_layout_engine(None)
    figure.subplots_adjust(**margins)


def table(rows: list[tuple[Any, ...]], head: tuple[str, ...], text: tuple[int, ...] = (0,)) -> str:
    """A small HTML table; columns in ``text`` are left-aligned, the others, numbers, right-aligned.

    Cells do not wrap: a table that is wider than the page is scrolled sideways.
    """
    sides = ["left" if place in text else "right" for place in range(len(head))]
    lines = [_line("th", head, sides, "vertical-align:bottom")]
    lines += [_line("td", row, sides, "white-space:nowrap") for row in rows]
    inner = f"<table style='border-collapse:collapse;line-height:1.4'>{''.join(lines)}</table>"
    return f"<div style='overflow-x:auto'>{inner}</div>"


def _line(tag: str, cells: Sequence[Any], sides: Sequence[str], style: str) -> str:
    made = (
        f"<{tag} style='text-align:{side};padding:2px 12px 2px 0;{style}'>{html.escape(str(cell))}</{tag}>"
        for cell, side in zip(cells, sides, strict=True)
    )
    return f"<tr>{''.join(made)}</tr>"


def heading(title: str, question: str) -> widgets.Widget:
    """Title and question of a lab."""
    text = f"<b style='font-size:1.15em'>{html.escape(title)}</b><br>{html.escape(question)}"
    return widgets.HTML(f"<div style='max-width:{WIDTH};line-height:1.4'>{text}</div>")


def picture_widget() -> widgets.Image:
    """For a picture in its own size: stretched to the width of the page it would be blurred."""
    image = widgets.Image(format="png", layout={"max_width": "100%", "align_self": "flex-start"})
    image.add_class("s3rec-picture")
    return image


def preset_buttons(presets: Sequence[Preset], move: Callable[..., Any]) -> list[widgets.Button]:
    """A button for each preset; ``move(**settings)`` is called when it is pressed."""
    buttons = []
    for place, preset in enumerate(presets):
        button = widgets.Button(description=preset.label, tooltip=preset.tooltip, layout={"width": "auto"})
        button.on_click(lambda _, preset=preset: move(**preset.settings))
        button.add_class(f"s3rec-preset-{place}")
        buttons.append(button)
    return buttons


def row_of(buttons: Sequence[widgets.Button]) -> widgets.Widget:
    """Buttons side by side."""
    return widgets.HBox(buttons, layout={"margin": "2px 0 6px 0", "flex_flow": "row wrap"})


def close_all(root: widgets.Widget) -> None:
    """Close a widget and everything in it."""
    stack = [root]
    while stack:
        widget = stack.pop()
        stack.extend(getattr(widget, "children", ()))
        widget.close()


class LabView:
    """Widgets around one lab. ``root`` is what to display; ``close()`` removes everything."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.seconds: list[float] = []
        """what each answer took, from the settings to the picture"""
        self.facts: Mapping[str, Any] = {}
        """the numbers of the answer that is shown"""
        self.alt = ""
        """the picture in words"""
        self._waiting: asyncio.TimerHandle | None = None
        self.controls = {control.name: control.widget() for control in lab.controls}
        self.numbers = widgets.HTML()
        self.image = picture_widget()
        self.numbers.add_class("s3rec-numbers")
        for name, widget in self.controls.items():
            widget.add_class(f"s3rec-control-{name}")
            widget.observe(self._changed, names="value")
        self.reset = widgets.Button(description="Reset", tooltip="Back to where the lab opened", icon="undo")
        self.reset.on_click(lambda _: self.set(**lab.defaults))
        self.reset.add_class("s3rec-reset")
        self.presets = preset_buttons(lab.presets, self.set)
        buttons, top = row_of([self.reset, *self.presets]), heading(lab.title, lab.question)
        # The picture before the numbers: a table that grows does not push it away from the sliders.
        self.root = widgets.VBox([top, *self.controls.values(), buttons, self.image, self.numbers])
        self.root.add_class(f"s3rec-lab-{lab.name}")
        self.update()

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
        if self._waiting is None:  # a pending one reads the settings when it runs; a held key must not put it off
            self._waiting = loop.call_later(WAIT, self.update)

    def update(self) -> None:
        """Compute the answer to the present settings and show it."""
        self._forget_waiting()
        begin = time.perf_counter()
        try:
            answer = self.lab.answer(**self.settings())
            # The numbers first: they are on their way while the picture is drawn.
            self.numbers.value = f"<div style='max-width:{WIDTH};line-height:1.5'>{answer.numbers}</div>"
            self._show(png(answer.draw()), answer.alt, answer.facts)
        except Exception as error:  # a view must not die silently in a callback
            self.numbers.value = f"<b>{type(error).__name__}:</b> {html.escape(str(error))}"
            self._show(b"", "", {})
            return
        self.seconds.append(time.perf_counter() - begin)

    def _show(self, picture: bytes, alt: str, facts: Mapping[str, Any]) -> None:
        self.image.value, self.alt, self.facts = picture, alt, facts
        self.image.layout.display = None if picture else "none"

    def _forget_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def close(self) -> None:
        """Close all widgets and forget what was waiting."""
        self._forget_waiting()
        close_all(self.root)
