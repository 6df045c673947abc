"""Figures of the two chapters on attributes (AAP and MAP): data in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from s3rec_lite.datasets import SequenceData
from s3rec_lite.figures import plots


def pair_grid(data: SequenceData) -> Axes:
    """Items by attributes: filled where the item has the attribute, open where not, crossed for the unused id 0."""
    ax = plots.panels(1, 1, 9.4, 3.4)[0, 0]
    has = data.attributes.numpy()[1:-1]  # [I, A + 1]
    rows, columns = np.indices(has.shape)
    unused = columns == 0
    with plots.style():
        marks = (
            (has, "o", {"s": 150, "color": plots.palette()[0]}, "the item has it: a positive"),
            (~has & ~unused, "o", {"s": 150, "facecolor": "none", "edgecolor": "0.35"}, "it does not: a negative"),
            (unused, "x", {"s": 90, "color": plots.palette()[3], "linewidth": 2}, "id 0: nobody has it"),
        )
        for where, marker, look, label in marks:
            ax.scatter(columns[where], rows[where], marker=marker, label=label, **look)
        ax.set_xticks(
            range(has.shape[1]), ["0\n(unused)", *(f"{i + 1}\n{n}" for i, n in enumerate(data.attribute_names))]
        )
        ax.set_yticks(range(len(has)), [f"{item}  {data.title(item)}" for item in range(1, len(has) + 1)])
        ax.set_ylim(len(has) - 0.4, -0.6)
        ax.set_xlim(-0.5, has.shape[1] - 0.5)
        ax.grid(visible=False)
        ax.set_xlabel("attribute id")
        ax.set_ylabel("item")
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=1.2)
    return ax


def dot_rows(frame: pd.DataFrame, chance: float, xlabel: str, chance_label: str = "chance") -> Axes:
    """One row for each index entry, one marker for each column, and chance as a dotted line."""
    ax = plots.panels(1, 1, 8.6, 0.55 * len(frame) + 1.5)[0, 0]
    places = np.arange(len(frame))
    with plots.style():
        for index, column in enumerate(frame.columns):
            shift = 0.14 * (index - (len(frame.columns) - 1) / 2)
            ax.plot(
                frame[column], places + shift, plots.MARKERS[index % 5], color=plots.palette()[index], markersize=9,
                label=column,
            )  # fmt: skip
        ax.axvline(chance, color="0.35", linestyle=":", label=chance_label)
        ax.set_yticks(places, frame.index)
        ax.set_ylim(len(frame) - 0.5, -0.5)
        ax.set_xlim(0, 1.03)
        ax.set_xlabel(xlabel)
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return ax


def norm_panels(
    published: Mapping[str, Mapping[str, float]], counts: Sequence[int], norms: Sequence[float], names: Sequence[str]
) -> list[Axes]:
    """Left: norms in the released checkpoints. Right: norm of each attribute (row 0 first) against its items."""
    axes = list(plots.panels(1, 2, 4.5, 3.6).flat)
    sets = [name for name in published if name != "source"]
    places = np.arange(len(sets))
    colours, counts, norms = plots.palette(), np.asarray(counts), np.asarray(norms)
    with plots.style():
        for shift, key, label, marker in ((-0.1, "row_0", "row 0", "X"), (0.1, "mean", "mean of the rows", "o")):
            axes[0].plot(
                places + shift, [published[name][key] for name in sets], marker, markersize=11, label=label,
                color=colours[3 if key == "row_0" else 0],
            )  # fmt: skip
        axes[0].set_xticks(places, sets)
        axes[0].set_xlim(-0.6, len(sets) - 0.4)
        axes[0].set_ylim(bottom=0)
        axes[0].set_ylabel("norm of the embedding")
        axes[0].set_title("The authors' checkpoints", loc="left")
        axes[1].plot(counts[1:], norms[1:], "o", color=colours[0], markersize=8)
        axes[1].plot(counts[:1], norms[:1], "X", color=colours[3], markersize=13)
        axes[1].set_xscale("symlog", linthresh=1)
        axes[1].set_xticks([0, 1, 10, 100, 500], ["0", "1", "10", "100", "500"])
        axes[1].minorticks_off()
        axes[1].set_ylim(0, norms.max() * 1.2)
        for place in (0, *(1 + np.argsort(counts[1:], kind="stable")[[0, -2, -1]])):
            axes[1].annotate(
                "row 0" if place == 0 else names[place - 1], (counts[place], norms[place]), xytext=(0, 9),
                textcoords="offset points", ha="left" if place == 0 else "center", fontsize=9,
            )  # fmt: skip
        axes[1].set_xlabel("items that have the attribute")
        axes[1].set_title("A short run here, ml-100k", loc="left")
        axes[0].legend()
    return axes


def position_grid(data: SequenceData, masked_items: np.ndarray, pos_items: np.ndarray) -> Axes:
    """One cell a position: which ones AAP scores (o), which MAP scores (square), and the padding."""
    masked_items, pos_items = np.asarray(masked_items), np.asarray(pos_items)
    rows, width = masked_items.shape
    ax = plots.panels(1, 1, 8.8, 0.5 * rows + 1.3)[0, 0]
    kinds = np.where(masked_items == 0, 0, np.where(masked_items == data.mask_token, 2, 1))
    looks = {
        0: ("0.95", "padding"),
        1: (plots.palette()[0], "AAP: item visible"),
        2: (plots.palette()[1], "MAP: [mask]"),
    }
    with plots.style():
        for kind, (colour, label) in looks.items():
            for number, (row, column) in enumerate(np.argwhere(kinds == kind)):
                ax.add_patch(
                    Rectangle(
                        (column - 0.46, row - 0.42),
                        0.92,
                        0.84,
                        facecolor=colour,
                        edgecolor="0.4",
                        alpha=1 if kind == 0 else 0.45,
                        hatch="//" if kind == 2 else None,
                        label=label if number == 0 else None,
                    )
                )
                text = "0" if kind == 0 else str(pos_items[row, column])
                ax.text(
                    column, row, text if kind < 2 else f"[mask]\n({text})", ha="center", va="center", fontsize=10,
                    color="0.5" if kind == 0 else "black",
                    bbox=None if kind < 2 else {"facecolor": "white", "edgecolor": "none", "pad": 1.2, "alpha": 0.9},
                )  # fmt: skip
        ax.set_xlim(-0.6, width - 0.4)
        ax.set_ylim(rows - 0.4, -0.6)
        ax.set_xticks(range(width), [str(place - width) for place in range(width)])
        ax.set_xlabel("position, counted from the newest (-1)")
        ax.set_yticks(range(rows), [f"prefix {row + 1}" for row in range(rows)])
        ax.grid(visible=False)
        ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), labelspacing=1.0)
    return ax
