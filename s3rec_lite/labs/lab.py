"""What a lab is made of: controls, presets, the pure function ``answer``, and the parts of its tables and pictures.

Nothing here needs a notebook: tests and programs call ``lab.answer(**settings)`` as the view does.
"""

import html
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from s3rec_lite.figures import plots

DPI = 84
LEGEND = {"frameon": True, "facecolor": "white", "edgecolor": "none", "framealpha": 1}
"""a legend on a plain ground, without grid lines through its text"""
_LOOK = {"style": {"description_width": "190px"}, "layout": {"width": "480px"}}


@dataclass(frozen=True)
class Slider:
    """A number that is set by sliding, or with the arrow keys; whole if all its numbers are."""

    name: str
    label: str
    low: float
    high: float
    value: float
    step: float = 1
    unit: str = ""

    def widget(self) -> widgets.Widget:
        """The ipywidgets slider, labelled with its unit."""
        whole = all(float(number).is_integer() for number in (self.low, self.step, self.value))
        kind, options = (widgets.IntSlider, {}) if whole else (widgets.FloatSlider, {"readout_format": ".2f"})
        label = f"{self.label} [{self.unit}]" if self.unit else self.label
        return kind(self.value, min=self.low, max=self.high, step=self.step, description=label, **options, **_LOOK)


@dataclass(frozen=True)
class Choice:
    """One of a few things."""

    name: str
    label: str
    texts: Mapping[Any, str]
    """what can be chosen, and how the control calls it"""
    value: Any

    @property
    def options(self) -> list[tuple[str, Any]]:
        """(text, value) pairs."""
        return [(text, value) for value, text in self.texts.items()]

    def widget(self) -> widgets.Widget:
        """The ipywidgets drop-down."""
        return widgets.Dropdown(options=self.options, value=self.value, description=self.label, **_LOOK)


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
    make_view: Callable[["Lab"], Any] | None = None
    """the view; by default one that shows the answer to every change"""

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


def name_rows(ax: Axes, names: Sequence[str]) -> None:
    """Name and number of a film at each row of a map, oldest first, without grid and ticks."""
    ax.set_yticks(range(len(names)), [f"{name}  {number}" for number, name in enumerate(names, 1)], fontsize=9)
    ax.grid(False)
    ax.tick_params(length=0)


def place_panels(panels: np.ndarray, columns: Sequence[tuple[float, float]], bottom: float, height: float) -> None:
    """Put panels side by side by hand, as `fix_margins` does: start and width of each, as shares of the figure."""
    panels[0].figure.set_layout_engine(None)
    for axes, (start, width) in zip(panels, columns, strict=True):
        axes.set_position((start, bottom, width, height))


def draw_metrics(
    ax: Axes, index: int, offset: float, values: Mapping[str, tuple[float, float, float]], **look: Any
) -> None:
    """Metrics with their intervals, beside each other, in the colour and with the marker of that index."""
    means, low, high = np.array(list(values.values())).T
    lengths, columns = np.abs([low - means, high - means]), np.arange(len(values))
    marker = plots.MARKERS[index % len(plots.MARKERS)]
    ax.errorbar(columns + offset, means, yerr=lengths, fmt=marker, color=plots.palette()[index], **look)
    ax.set(xticks=columns, xticklabels=values, xlim=(-0.5, len(values) - 0.5))
    ax.grid(axis="x", visible=False)


class Html(str):
    """A cell of `table` that is HTML already."""


def table(rows: Sequence[Sequence[Any]], head: Sequence[str], text: Sequence[int] = (0,)) -> str:
    """A small HTML table; columns in ``text`` are left-aligned, the others, numbers, right-aligned.

    Cells do not wrap, but for rows that hold `Html`: a table that is wider than the page is scrolled sideways.
    """

    def escaped(cell: Any) -> str:
        return cell if isinstance(cell, Html) else html.escape(str(cell))

    def line(tag: str, cells: Sequence[Any], style: str) -> str:
        sides = ("left" if column in text else "right" for column in range(len(head)))
        inner = (
            f"<{tag} style='text-align:{side};padding:2px 12px 2px 0;{style}'>{escaped(cell)}</{tag}>"
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(inner)}</tr>"

    lines = [line("th", head, "vertical-align:bottom")]
    for row in rows:
        wraps = any(isinstance(cell, Html) for cell in row)
        lines.append(line("td", row, "vertical-align:top" if wraps else "white-space:nowrap"))
    inner = f"<table style='border-collapse:collapse;line-height:1.4'>{''.join(lines)}</table>"
    return f"<div style='overflow-x:auto'>{inner}</div>"
