"""Figures of the two chapters on attributes (AAP and MAP): data in, axes out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from s3rec_lite.datasets import SequenceData
from s3rec_lite.figures import plots

_WHITE = {"frameon": True, "facecolor": "white", "framealpha": 1, "edgecolor": "none"}  # a legend that hides the grid


@plots.style()
def pair_grid(data: SequenceData) -> Axes:
    """Items by attributes: filled where the item has the attribute, open where not, crossed for the unused id 0."""
    ax = plots.panels(1, 1, 9.4, 3.4)[0, 0]
    has = data.attributes.numpy()[1:-1]  # [I, A + 1]
    grid: Any = np.indices(has.shape)
    rows, columns = grid
    unused = columns == 0
    blue, red = plots.palette()[0], plots.palette()[3]
    marks: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "the item has it: a positive": (has, {"s": 150, "color": blue}),
        "it does not: a negative": (~has & ~unused, {"s": 150, "facecolor": "none", "edgecolor": "0.35"}),
        "id 0: nobody has it": (unused, {"s": 90, "marker": "x", "color": red, "linewidth": 2}),
    }
    for label, (where, look) in marks.items():
        ax.scatter(columns[where], rows[where], label=label, **look)
    names = ["0\n(unused)", *(f"{number}\n{name}" for number, name in enumerate(data.attribute_names or (), start=1))]
    ax.set_xticks(range(len(names)), names)
    plots.label_rows(ax, [f"{item}  {data.title(item)}" for item in range(1, len(has) + 1)])
    limits: dict[str, Any] = {"xlim": (-0.5, len(names) - 0.5), "ylim": (len(has) - 0.4, -0.6)}
    plots.label(ax, "", "attribute id", "item", no_grid="both", **limits)
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=1.2)
    return ax


@plots.style()
def dot_rows(frame: pd.DataFrame, chance: float, xlabel: str, chance_label: str = "chance") -> Axes:
    """One row for each index entry, one marker for each column, and chance as a dotted line."""
    ax = plots.panels(1, 1, 8.6, 0.55 * len(frame) + 1.5)[0, 0]
    for index, column in enumerate(frame.columns):
        rows = np.arange(len(frame)) + 0.14 * (index - (len(frame.columns) - 1) / 2)
        plots.dots(ax, index, frame[column], rows, markersize=9, label=column)
    ax.axvline(chance, color="0.35", linestyle=":", label=chance_label)
    plots.label_rows(ax, frame.index)
    plots.label(ax, "", xlabel, xlim=(0, 1.03))
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax


@plots.style()
def norm_panels(
    published: Mapping[str, Mapping[str, float]], counts: Sequence[int], norms: Sequence[float], names: Sequence[str]
) -> np.ndarray:
    """Left: norms in the released checkpoints. Right: norm of each attribute (row 0 first) against its items."""
    left, right = axes = plots.panels(1, 2, 4.5, 3.6)[0]
    zero, others = plots.look(3, marker="X", linestyle="none"), plots.look(0, linestyle="none")

    sets = [name for name in published if name != "source"]
    x = np.arange(len(sets))
    for shift, key, label, look in ((-0.1, "row_0", "row 0", zero), (0.1, "mean", "mean of the rows", others)):
        values = [published[name][key] for name in sets]
        left.plot(x + shift, values, markersize=11, label=label, **look)
    left.set_xticks(x, sets)
    limits: dict[str, Any] = {"xlim": (-0.6, len(sets) - 0.4), "ylim": (0, None)}
    plots.label(left, "The authors' checkpoints", "", "norm of the embedding", **limits)
    left.legend()

    items, lengths = np.asarray(counts), np.asarray(norms)
    right.plot(items[1:], lengths[1:], markersize=8, **others)
    right.plot(items[:1], lengths[:1], markersize=13, **zero)
    right.set_xscale("symlog", linthresh=1)
    right.set_xticks([0, 1, 10, 100, 500], ["0", "1", "10", "100", "500"])
    right.minorticks_off()
    by_count = 1 + np.argsort(items[1:], kind="stable")
    for row in (0, *by_count[[0, -2, -1]]):
        text, side = ("row 0", "left") if row == 0 else (names[row - 1], "center")
        offset = {"xytext": (0, 9), "textcoords": "offset points"}
        right.annotate(text, (items[row], lengths[row]), ha=side, fontsize=9, **offset)
    limits = {"ylim": (0, lengths.max() * 1.2)}
    plots.label(right, "A short run here, ml-100k", "items that have the attribute", **limits)
    return axes


@plots.style()
def position_grid(data: SequenceData, masked_items: np.ndarray, pos_items: np.ndarray) -> Axes:
    """One cell a position: which ones AAP scores, which MAP scores (hatched), and the padding."""
    masked_items, pos_items = np.asarray(masked_items), np.asarray(pos_items)
    rows, width = masked_items.shape
    ax = plots.panels(1, 1, 8.8, 0.5 * rows + 1.3)[0, 0]
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.9}
    font: dict[str, Any]
    look: dict[str, Any]
    for row, column in np.ndindex(rows, width):
        item, own = masked_items[row, column], pos_items[row, column]
        if item == 0:
            text, font, look = "0", {"color": "0.5"}, {"label": "padding", "facecolor": "0.95"}
        elif item == data.mask_token:
            text, font = f"[mask]\n({own})", {"color": "black", "bbox": white}
            look = {"label": "MAP: [mask]", "facecolor": plots.palette()[1], "alpha": 0.45, "hatch": "//"}
        else:
            text, font = str(own), {"color": "black"}
            look = {"label": "AAP: item visible", "facecolor": plots.palette()[0], "alpha": 0.45}
        plots.box(ax, column, row, 0.92, 0.84, edgecolor="0.4", **look)
        plots.write(ax, column, row, text, fontsize=10, **font)
    ax.set_xticks(range(width), [str(slot - width) for slot in range(width)])
    plots.label_rows(ax, [f"prefix {row + 1}" for row in range(rows)])
    limits: dict[str, Any] = {"xlim": (-0.6, width - 0.4), "ylim": (rows - 0.4, -0.6)}
    plots.label(ax, "", "position, counted from the newest (-1)", no_grid="both", **limits)
    handles, labels = ax.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))  # one for each kind
    ax.legend(entries.values(), entries.keys(), loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=1.0)
    return ax


@plots.style()
def bound_panels(
    curves: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float], float]]],
    truth: float | Sequence[float],
    truth_label: str,
    *,
    unit: str | Sequence[str] = "certified information [nats]",
    low: float | None = -0.3,
) -> list[Axes]:
    """Nats against the step, caps dashed, the truth a solid black line.

    Args:
        curves: panel title to label to (steps, values, cap); a cap of nan is not drawn.
        truth, unit: one for all panels, which then share their scale, or one a panel.
        low: lower end of the vertical axis.
    """
    shared = np.ndim(truth) == 0
    truths, units = np.broadcast_to(truth, len(curves)), np.broadcast_to(unit, len(curves))
    axes = list(plots.panels(1, len(curves), 9.0 / len(curves), 3.9, sharey=shared).flat)
    for ax, title, level, y_label in zip(axes, curves, truths, units, strict=True):
        ax.axhline(level, color="black", linewidth=1.6)
        ax.text(0.99, level, truth_label, ha="right", va="bottom", fontsize=9, transform=ax.get_yaxis_transform())
        for index, (name, (steps, values, cap)) in enumerate(curves[title].items()):
            every = max(1, len(steps) // 8)
            plots.line(ax, index, steps, values, linestyle="-", markersize=4.5, markevery=every, label=name)
            if np.isfinite(cap):
                ax.axhline(cap, color=plots.palette()[index], linestyle="--", linewidth=1.2)
        y_label = "" if shared and ax is not axes[0] else y_label
        plots.label(ax, title, "optimiser step", y_label, no_grid="x", ylim=(low, None))
        columns = 2 if len(curves[title]) == 4 else 3
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncol=columns)
    return axes


@plots.style()
def masked_share_curve(points: Mapping[str, tuple[float, float]]) -> Axes:
    """Share of masked positions against the mean prefix length, the formula as a line and data sets as points."""
    ax = plots.panels(1, 1, 7.6, 3.4)[0, 0]
    lengths = np.linspace(4, 26, 100)
    ax.plot(lengths, 0.2 + 0.8 / lengths, color="0.35", label="0.2 + 0.8 / mean length")
    ax.axhline(0.2, color="0.35", linestyle=":", label="the paper's 0.2")
    for index, (name, (length, share)) in enumerate(points.items()):
        plots.dots(ax, index, length, share, markersize=10)
        crowded = any(0 < other - length < 0.6 for other, _ in points.values())  # two data sets nearly coincide
        shift, side = ((-9, -15), "right") if crowded else ((7, 5), "left")
        ax.annotate(name, (length, share), shift, textcoords="offset points", fontsize=10, ha=side)
    x_label, y_label = "mean length of a prefix [items]", "share of masked positions"
    plots.label(ax, "", x_label, y_label, no_grid="x", ylim=(0.15, 0.42))
    ax.legend(loc="upper right", **_WHITE)
    return ax


@plots.style()
def true_and_yours(truth: Sequence[float], yours: Sequence[float], xlabel: str) -> Axes:
    """Bars of true probabilities, one for each attribute id from 1, and the model's as dots."""
    ax = plots.panels(1, 1, 9.0, 3.0)[0, 0]
    ids = np.arange(1, len(truth) + 1)
    ax.bar(ids, truth, color="0.8", label="true", width=0.75)
    ax.plot(ids, yours, "o", color=plots.palette()[1], markersize=6, label="yours")
    plots.label(ax, "", xlabel, "probability", no_grid="x", ylim=(0, 1), xlim=(0.2, len(truth) + 0.8))
    ax.legend(**_WHITE)
    return ax


@plots.style()
def losses_per_position(curves: Mapping[str, tuple[Sequence[float], float]], title: str) -> Axes:
    """Nats of one position against the epoch: label to (values, loss of the best constant), the latter dashed."""
    ax = plots.panels(1, 1, 7.6, 3.6)[0, 0]
    for index, (name, (values, constant)) in enumerate(curves.items()):
        epochs = range(1, len(values) + 1)
        plots.line(ax, index, epochs, values, linestyle="-", label=name)
        ax.axhline(constant, color=plots.palette()[index], linestyle=("--", ":")[index % 2], linewidth=1.4)
    ax.text(len(values), constant + 0.12, "best constants", ha="right", fontsize=9)
    plots.mark_epochs(ax, epochs)
    plots.label(ax, title, "pre-training epoch", "loss of one position [nats]", no_grid="x", ylim=(0, None))
    ax.legend(**_WHITE)
    return ax
