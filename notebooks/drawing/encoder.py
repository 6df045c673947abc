"""The figures of the chapter on the encoder: data in, axes out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from s3rec_lite.figures import plots

_POST = ("attention", "dropout", "add", "layer norm", "feed-forward", "dropout", "add", "layer norm")
_PRE = ("layer norm", "attention", "dropout", "add", "layer norm", "feed-forward", "dropout", "add")


def _heat_map(
    ax: Axes, title: str, values: np.ndarray, hidden: np.ndarray, x_label: str, rows: Sequence[str], **look: Any
) -> AxesImage:
    """Cells [rows, columns] in colours, with white lines between them; ``hidden`` ones are crossed out."""
    image = ax.imshow(values, vmin=0, **{"cmap": "Blues"} | look)
    for row, column in np.argwhere(hidden):
        plots.box(ax, column, row, 1, 1, facecolor="0.93", edgecolor="0.65", hatch="///", linewidth=0)
    height, width = values.shape
    ax.set_xticks(np.arange(width + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(height + 1) - 0.5, minor=True)
    ax.grid(visible=False)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(which="both", length=0)
    grid = ax.get_subplotspec()
    ax.set_yticks(range(height), rows if grid is not None and grid.is_first_col() else [""] * height)
    plots.label(ax, title, x_label)
    return image


@plots.style()
def slots(items: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Which position vector each item gets: a panel for each way to align, rows of users, columns of positions.

    items: title of a panel to ids [users, max_length], 0 where a position is empty. names: of the users.
    """
    axes = plots.panels(1, len(items), 4.6, 2.1)[0]
    for ax, (title, ids) in zip(axes, items.items(), strict=True):
        x_label = "position vector (row of the table)"
        _heat_map(ax, title, ids > 0, ids == 0, x_label, names, vmax=2.4, aspect="auto")
        for row, column in np.argwhere(ids):
            plots.write(ax, column, row, f"item {ids[row, column]}", fontsize=9)
        ax.set_xticks(range(ids.shape[1]))
    return axes


@plots.style()
def masks(weights: Mapping[str, np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Attention weights [L, L] under several masks; cells that the mask hides are crossed out.

    weights: title to weights, NaN where hidden. labels: what stands at each position, oldest first.
    """
    axes = plots.panels(1, len(weights), 4.5, 4.0)[0]
    for ax, (title, table) in zip(axes, weights.items(), strict=True):
        _heat_map(ax, title, table, np.isnan(table), "looked at (key, value)", labels, vmax=1.3)
        for row, column in np.argwhere(~np.isnan(table)):
            plots.write(ax, column, row, f"{table[row, column]:.2f}", fontsize=10)
        ax.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes[0].set_ylabel("looks (query)")
    return axes


@plots.style()
def block_orders() -> np.ndarray:
    """The steps of one block, bottom to top, with the layer norm behind (post) or in front (pre) of a sub-layer."""
    blue, orange, green = plots.palette()[:3]
    colours = {"layer norm": orange, "add": green, "dropout": "0.6"}
    arrow = {"arrowstyle": "-|>", "color": "0.35"}
    axes = plots.panels(1, 2, 4.0, 4.4)[0]
    titles = "post-norm: here", "pre-norm: many later models"
    for ax, steps, title in zip(axes, (_POST, _PRE), titles, strict=True):
        ax.set_axis_off()
        plots.label(ax, title, xlim=(-0.3, 4.1), ylim=(-1.1, 8.7))
        ax.annotate("", (1.5, 8.6), (1.5, -0.9), arrowprops=arrow)
        ax.text(1.75, -0.85, "x  [B, L, H]", va="center", fontsize=10)
        for height, step in enumerate(steps):
            frame = {"facecolor": "white", "edgecolor": colours.get(step, blue), "linewidth": 2, "zorder": 3}
            plots.box(ax, 1.5, height, 2.3, 0.56, boxstyle="round,pad=0.04", **frame)
            plots.write(ax, 1.5, height, "add the residual" if step == "add" else step, fontsize=10.5, zorder=4)
        adds = [height for height, step in enumerate(steps) if step == "add"]
        for start, end in zip((-0.5, 3.5), adds, strict=True):
            ax.plot([1.5, 3.4, 3.4], [start, start, end], color="0.35", linewidth=1.4, zorder=1)
            ax.annotate("", (2.72, end), (3.4, end), arrowprops=arrow)
            ax.text(3.5, (start + end) / 2, "residual", rotation=90, va="center", fontsize=9, color="0.35")
    return axes


@plots.style()
def depth(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Size of the state, and how much of the input is left in it, after each block.

    curves: label to (root mean square, cosine with the input), each [blocks + 1].
    """
    axes = plots.panels(1, 2, 4.7, 3.3)[0]
    y_labels = ("root mean square of the state", "cosine with the input")
    for part, (ax, y_label) in enumerate(zip(axes, y_labels, strict=True)):
        for index, (label, values) in enumerate(curves.items()):
            plots.line(ax, index, values[part], linestyle="-", markersize=9 - 2 * index, label=label)
        plots.label(ax, "", "blocks passed", y_label, ylim=(0, None))
    plots.legend_below(axes[0])
    return axes


@plots.style()
def slot_use(shares: Mapping[str, np.ndarray]) -> Axes:
    """Share of samples that use each position vector. shares: label to percentages [max_length]."""
    ax = plots.panels(1, 1, 8.5, 3.2)[0, 0]
    for index, (label, share) in enumerate(shares.items()):
        plots.line(ax, index, share, markevery=(index, 5), label=label)
    plots.label(ax, "", "position vector (row of the table)", "samples that use it [%]", ylim=(0, 105))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=3)
    return ax


@plots.style()
def attention_maps(weights: Mapping[str, np.ndarray], titles: Sequence[str], counts: Sequence[int]) -> np.ndarray:
    """Attention of one person's films: a panel a head, rows look at columns; cells that the mask hides are crossed out.

    weights: title of a panel to [L, L], NaN where hidden. titles: of the films. counts: how often each occurs in
    training. All in one order.
    """
    names = [f"{title}  {count:3d}" for title, count in zip(titles, counts, strict=True)]
    axes = plots.panels(1, len(weights), 3.4, 3.7)[0]
    for ax, (title, table) in zip(axes, weights.items(), strict=True):
        image = _heat_map(
            ax, title, table, np.isnan(table), "film looked at (times in training)", names, cmap="cividis", vmax=0.6
        )
        ax.set_xticks(range(len(counts)), counts, fontsize=8)
        ax.tick_params(axis="y", labelsize=9)
        ax.set_title(title, loc="left", fontsize=11)
    axes[0].figure.colorbar(image, ax=axes[-1], label="attention weight", shrink=0.75, extend="max")
    return axes


@plots.style()
def age_and_popularity(
    weights: Mapping[str, np.ndarray], tastes: Mapping[str, np.ndarray], popularity: np.ndarray
) -> np.ndarray:
    """What the newest film looks at: by age (mean over people), and by popularity (a point a person).

    weights: label to attention of the newest film [people, films], oldest film first. tastes: label to the rank
    correlation of these weights with popularity [people]. popularity: of the newest film [people].
    """
    left, right = axes = plots.panels(1, 2, 4.7, 3.5)[0]
    for index, (label, table) in enumerate(weights.items()):
        ages = np.arange(table.shape[1])[::-1]
        plots.line(left, index, ages, table.mean(axis=0), linestyle="-", markersize=5, label=label)
        look = plots.look(index, linestyle="-")
        right.scatter(popularity, tastes[label], s=22, alpha=0.7, linewidths=0, **look)
    left.set_xticks(range(0, len(ages), 5))
    plots.label(left, "", "age (0: the newest film itself)", "attention weight, mean", ylim=(0, None))
    right.axhline(0, color="0.3", linestyle=":")
    right.set(xscale="log", ylim=(-1.05, 1.05))
    right.xaxis.set_major_formatter("{x:g}")
    plots.label(right, "", "times the newest film occurs in training", "attention and popularity: correlation")
    plots.legend_below(left)
    return axes
