"""Figures of the two chapters on attributes (AAP and MAP): data in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from s3rec_lite.datasets import SequenceData
from s3rec_lite.figures import plots


@plots.style()
def pair_grid(data: SequenceData) -> Axes:
    """Items by attributes: filled where the item has the attribute, open where not, crossed for the unused id 0."""
    ax = plots.panels(1, 1, 9.4, 3.4)[0, 0]
    has = data.attributes.numpy()[1:-1]  # [I, A + 1]
    rows, columns = np.indices(has.shape)
    unused = columns == 0
    blue, red = plots.palette()[0], plots.palette()[3]
    marks = {
        "the item has it: a positive": (has, {"s": 150, "color": blue}),
        "it does not: a negative": (~has & ~unused, {"s": 150, "facecolor": "none", "edgecolor": "0.35"}),
        "id 0: nobody has it": (unused, {"s": 90, "marker": "x", "color": red, "linewidth": 2}),
    }
    for label, (where, look) in marks.items():
        ax.scatter(columns[where], rows[where], label=label, **look)
    names = ["0\n(unused)", *(f"{number}\n{name}" for number, name in enumerate(data.attribute_names, start=1))]
    ax.set_xticks(range(len(names)), names)
    plots.label_rows(ax, [f"{item}  {data.title(item)}" for item in range(1, len(has) + 1)])
    limits = {"xlim": (-0.5, len(names) - 0.5), "ylim": (len(has) - 0.4, -0.6)}
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
    limits = {"xlim": (-0.6, len(sets) - 0.4), "ylim": (0, None)}
    plots.label(left, "The authors' checkpoints", "", "norm of the embedding", **limits)
    left.legend()

    counts, norms = np.asarray(counts), np.asarray(norms)
    right.plot(counts[1:], norms[1:], markersize=8, **others)
    right.plot(counts[:1], norms[:1], markersize=13, **zero)
    right.set_xscale("symlog", linthresh=1)
    right.set_xticks([0, 1, 10, 100, 500], ["0", "1", "10", "100", "500"])
    right.minorticks_off()
    by_count = 1 + np.argsort(counts[1:], kind="stable")
    for row in (0, *by_count[[0, -2, -1]]):
        text, side = ("row 0", "left") if row == 0 else (names[row - 1], "center")
        offset = {"xytext": (0, 9), "textcoords": "offset points"}
        right.annotate(text, (counts[row], norms[row]), ha=side, fontsize=9, **offset)
    limits = {"ylim": (0, norms.max() * 1.2)}
    plots.label(right, "A short run here, ml-100k", "items that have the attribute", **limits)
    return axes


@plots.style()
def position_grid(data: SequenceData, masked_items: np.ndarray, pos_items: np.ndarray) -> Axes:
    """One cell a position: which ones AAP scores, which MAP scores (hatched), and the padding."""
    masked_items, pos_items = np.asarray(masked_items), np.asarray(pos_items)
    rows, width = masked_items.shape
    ax = plots.panels(1, 1, 8.8, 0.5 * rows + 1.3)[0, 0]
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.9}
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
    limits = {"xlim": (-0.6, width - 0.4), "ylim": (rows - 0.4, -0.6)}
    plots.label(ax, "", "position, counted from the newest (-1)", no_grid="both", **limits)
    handles, labels = ax.get_legend_handles_labels()
    entries = dict(zip(labels, handles, strict=True))  # one for each kind
    ax.legend(entries.values(), entries.keys(), loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=1.0)
    return ax
