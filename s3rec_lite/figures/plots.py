"""The look of all figures, the parts that they share, and the figures of a run: data in, matplotlib Axes out.

Colours are seaborn's "colorblind" palette, and no figure relies on colour alone. Nothing here changes
matplotlib's global settings: figures are made outside pyplot (in a notebook: make the axes yourself and
pass them in).
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator

from s3rec_lite.support.config import OBJECTIVES
from s3rec_lite.support.files import write_bytes

OBJECTIVE_TITLES = {
    "aap": "AAP: item and attributes",
    "mip": "MIP: sequence and item",
    "map": "MAP: sequence and attributes",
    "sp": "SP: sequence and segment",
}
PROTOCOL_TITLES = {
    "full": "full ranking",
    "sampled": "drawn negatives",
    "given": "the authors' negatives",
    "authors": "the authors' full ranking",
    "unfiltered": "full ranking, history kept",
}
MARKERS = ("o", "s", "^", "D", "v")
LINES = ("-", "--", ":", "-.")
WITH, WITHOUT = 0, 1  # the series with pre-training (blue, round) and without (orange, square), in every figure
_DPI = 150


def palette() -> list[tuple[float, float, float]]:
    """The colours of all figures, safe for colour-blind readers."""
    return list(sns.color_palette("colorblind"))


@contextmanager
def style() -> Iterator[None]:
    """The look of all figures, as a context or as a decorator, ``@style()``: nothing outside of it changes."""
    settings = {
        **sns.axes_style("whitegrid"),
        **sns.plotting_context("notebook"),
        "axes.edgecolor": "0.4",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 12,
        "axes.titleweight": "normal",
        "axes.labelsize": 11,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "legend.fontsize": 10,
        "legend.frameon": False,
        "figure.facecolor": "white",
    }
    with mpl.rc_context(settings):
        yield


def panels(rows: int, columns: int, width: float, height: float, **options: Any) -> np.ndarray:
    """Empty axes [rows, columns] of a new figure; ``width`` and ``height`` of a panel in inches."""
    with style():
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
        return figure.subplots(rows, columns, squeeze=False, **options)


def look(index: int, **changes: Any) -> dict[str, Any]:
    """Options that tell the series ``index`` from others: colour, marker and line style; ``changes`` come on top."""
    looks = {"color": palette()[index], "marker": MARKERS[index % len(MARKERS)], "linestyle": LINES[index % len(LINES)]}
    return looks | changes


def line(ax: Axes, index: int, *points: Any, **changes: Any) -> None:
    """The series ``index`` as a line, in its `look`; points: what `Axes.plot` takes."""
    ax.plot(*points, **look(index, **changes))


def dots(ax: Axes, index: int, *points: Any, **changes: Any) -> None:
    """The series ``index`` as markers without a line."""
    line(ax, index, *points, linestyle="none", **changes)


def curves(ax: Axes, x: Any, series: Mapping[str, Any], lines: Sequence[Any] = LINES, **changes: Any) -> None:
    """A line for each of ``series`` (label to y values); ``changes`` hold for all of them."""
    for index, (name, y) in enumerate(series.items()):
        line(ax, index, x, y, linestyle=lines[index % len(lines)], label=name, **changes)


def intervals(ax: Axes, index: int, at: Any, values: Any, bounds: Any, *, along: str = "y", **changes: Any) -> None:
    """The series ``index`` as markers with error bars.

    Args:
        at: positions on the other axis [N].
        values: [N], on the axis ``along``.
        bounds: lower and upper ends [2, N]; NaN where there is no interval.
    """
    spread = np.nan_to_num(np.abs(np.asarray(bounds) - np.asarray(values)))  # [2, N]
    x, y = (at, values) if along == "y" else (values, at)
    ax.errorbar(x, y, **{f"{along}err": spread}, **look(index, linestyle="none", markersize=8, capsize=4) | changes)


def label(ax: Axes, title: str = "", x: str = "", y: str = "", *, no_grid: str = "", **properties: Any) -> None:
    """Write the title, on the left, and the labels of both axes.

    Args:
        no_grid: the axis whose grid lines go, "x", "y" or "both".
        properties: of the axes, such as ``ylim=(0, None)``.
    """
    ax.set_title(title, loc="left")
    ax.set(xlabel=x, ylabel=y, **properties)
    if no_grid:
        ax.grid(axis=no_grid, visible=False)


def label_rows(ax: Axes, labels: Sequence[str]) -> None:
    """One row for each label, the first on top."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)


def label_columns(ax: Axes, labels: Sequence[str]) -> None:
    """One column for each label, and no grid lines between them."""
    ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(-0.6, len(labels) - 0.4)
    ax.grid(axis="x", visible=False)


def mark_epochs(ax: Axes, epochs: Sequence[int]) -> None:
    """Ticks at whole epochs only, also when there is just one."""
    ax.xaxis.set_major_locator(FixedLocator(epochs) if len(epochs) == 1 else MaxNLocator(integer=True))


def bare(ax: Axes) -> None:
    """Axes without grid lines, tick marks and spines: only what is drawn, and the labels."""
    ax.grid(visible=False)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def box(ax: Axes, x: float, y: float, width: float, height: float, **shape: Any) -> None:
    """A box around (x, y); a ``boxstyle`` makes it a fancy one."""
    patch = FancyBboxPatch if "boxstyle" in shape else Rectangle
    ax.add_patch(patch((x - width / 2, y - height / 2), width, height, **shape))


def write(ax: Axes, x: float, y: float, text: str, **font: Any) -> None:
    """A text with its centre at (x, y)."""
    ax.text(x, y, text, ha="center", va="center", **font)


def legend_below(ax: Axes, columns: int | None = None) -> None:
    """The legend of one panel, below the whole figure; all entries in a row unless ``columns`` are given."""
    handles, labels = ax.get_legend_handles_labels()
    ax.figure.legend(handles, labels, loc="outside lower center", ncol=columns or len(labels))


@style()
def loss_curves(
    history: pd.DataFrame | Mapping[str, Sequence[float]],
    axes: Sequence[Axes] | None = None,
    *,
    reduction: str = "sum",
    title: str | None = None,
) -> list[Axes]:
    """The losses of the four objectives against the epoch, a panel each.

    Args:
        history: what `pretrain` returned, or its columns.
        axes: four axes to draw in; None makes them.
        reduction: what the losses are means of: sequences for "sum", terms for "mean" (the setting of that name).
    """
    axes = list(panels(2, 2, 4.2, 2.9, sharex=True).flat if axes is None else axes)
    unit = "nats per sequence" if reduction == "sum" else "nats per term"
    for index, (ax, name) in enumerate(zip(axes, OBJECTIVES, strict=True)):
        marker = MARKERS[index] if len(history["epoch"]) <= 30 else None
        line(ax, index, history["epoch"], history[name], marker=marker, linestyle="-", markersize=5)
        x_label = "pre-training epoch" if ax in axes[-2:] else ""
        label(ax, OBJECTIVE_TITLES[name], x_label, f"loss [{unit}]", no_grid="x")
        mark_epochs(ax, history["epoch"])
        ax.margins(y=0.12)
    _title_figure(axes[0], title)
    return axes


@style()
def validation_curves(
    histories: Mapping[str, pd.DataFrame | Mapping[str, Sequence[float]]],
    monitor: str,
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Axes:
    """The validation metric against the fine-tuning epoch, a line a model; a large marker is the best epoch.

    Args:
        histories: label to what `finetune` returned (or its columns).
        monitor: the column, such as "NDCG@10".
    """
    ax = panels(1, 1, 7.0, 4.0)[0, 0] if ax is None else ax
    for index, (model, history) in enumerate(histories.items()):
        epochs, values = np.asarray(history["epoch"]), np.asarray(history[monitor], dtype=float)
        if not len(values):
            continue
        best = int(values.argmax())
        line(ax, index, epochs, values, marker=None, label=model)
        text = f"best: {values[best]:.4f} after {epochs[best]} epochs"
        dots(ax, index, epochs[best], values[best], markersize=10, markeredgecolor="white", label=text)
    label(ax, title or "", "fine-tuning epoch", f"validation {monitor}", no_grid="x", ylim=(0, None))
    mark_epochs(ax, max((history["epoch"] for history in histories.values()), key=len, default=[]))
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncol=min(2, len(histories)))
    return ax


@style()
def comparison(
    reports: Mapping[str, Mapping[str, Mapping[str, Any]]],
    metrics: Sequence[str] = ("HR@10", "NDCG@10", "MRR"),
    axes: Sequence[Axes] | None = None,
    *,
    title: str | None = None,
) -> list[Axes]:
    """Metrics of several models with their 95% intervals: dots with error bars, a panel for each protocol.

    Chance is a short grey line.

    Args:
        reports: label of the model to protocol to ``Report.to_dict()``.
    """
    protocols = [name for name in PROTOCOL_TITLES if all(name in report for report in reports.values())]
    own_figure = axes is None
    axes = list(panels(1, len(protocols), 4.6, 4.0).flat if axes is None else axes)
    x = np.arange(len(metrics))
    offsets = 0.3 * (np.arange(len(reports)) - (len(reports) - 1) / 2) / max(1, len(reports) - 1)
    for ax, protocol in zip(axes, protocols, strict=True):
        for index, (model, report) in enumerate(reports.items()):
            facts = report[protocol]
            values = [facts["metrics"][name] for name in metrics]
            bounds = np.transpose([facts["intervals"][name] for name in metrics])  # [2, metrics]
            intervals(ax, index, x + offsets[index], values, bounds, linewidth=2, clip_on=False, label=model)
        chance = [facts["chance"][name] for name in metrics]
        ax.hlines(chance, x - 0.3, x + 0.3, color="0.45", linestyle=":", label="chance")
        label_columns(ax, metrics)
        y_label = "mean over users, 95% interval" if ax is axes[0] else ""
        label(ax, protocol_title(protocol, facts), "", y_label, ylim=(0, None))
    if own_figure:
        legend_below(axes[0])
    else:
        axes[0].legend()
    _title_figure(axes[0], title)
    return axes


def protocol_title(protocol: str, facts: Mapping[str, Any]) -> str:
    """How figures call a protocol; ``facts``: its part of a record."""
    if protocol == "sampled":
        return f"{facts['candidates']['most'] - 1} drawn negatives"
    return PROTOCOL_TITLES[protocol]


def _title_figure(ax: Axes, title: str | None) -> None:
    if title:
        ax.figure.suptitle(title, x=0.01, ha="left")


def png(figure: Figure, alt: str, dpi: int = _DPI) -> bytes:
    """A figure as a PNG with its description in it. The same figure gives the same bytes."""
    buffer = io.BytesIO()
    details = {"Software": None, "Description": alt}
    with style():  # matplotlib makes the tick labels only now
        figure.savefig(buffer, format="png", dpi=dpi, bbox_inches="tight", facecolor="white", metadata=details)
    return buffer.getvalue()


def write_picture(path: Path, picture: bytes, alt: str) -> Path:
    """Write a picture, and its description for readers who cannot see it as ``<name>.txt`` beside it.

    Raises S3RecError when the folder cannot be written.
    """
    write_bytes(path, picture)
    write_bytes(path.with_suffix(".txt"), (alt + "\n").encode())
    return path


def save_figure(figure: Figure, path: str | Path, alt: str) -> Path:
    """`png` and `write_picture` in one."""
    return write_picture(Path(path), png(figure, alt), alt)
