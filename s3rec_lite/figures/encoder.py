"""The figures of the chapter on the encoder: data in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from s3rec_lite.figures import plots


def _hatch(ax: Axes, cells: np.ndarray) -> None:
    """Cross out the True cells of a grid [rows, columns] drawn by imshow."""
    for row, column in np.argwhere(cells):
        box = (column - 0.5, row - 0.5)
        ax.add_patch(FancyBboxPatch(box, 1, 1, boxstyle="square,pad=0", fc="0.93", ec="0.65", hatch="///", lw=0))


def _grid(ax: Axes, rows: int, columns: int) -> None:
    """White lines between the cells of an image, no other grid."""
    ax.grid(False)
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=2)
    ax.tick_params(which="both", length=0)


def slots(items: Mapping[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Which position vector each item gets: a panel for each way to align, rows of users, columns of positions.

    items: title of a panel to ids [users, max_length], 0 where a position is empty. names: of the users.
    """
    with plots.style():
        axes = plots.panels(1, len(items), 4.6, 2.1)
        for ax, (title, ids) in zip(axes[0], items.items(), strict=True):
            ax.imshow(ids > 0, cmap="Blues", vmin=0, vmax=2.4, aspect="auto")
            _hatch(ax, ids == 0)
            _grid(ax, *ids.shape)
            for (row, column), item in np.ndenumerate(ids):
                if item:
                    ax.text(column, row, f"item {item}", ha="center", va="center", fontsize=9)
            ax.set_xticks(range(ids.shape[1]))
            ax.set_yticks(range(len(names)), names if ax is axes[0, 0] else [""] * len(names))
            ax.set_xlabel("position vector (row of the table)")
            ax.set_title(title, loc="left")
    return axes


def masks(weights: Mapping[str, np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Attention weights [L, L] under several masks; cells that the mask hides are crossed out.

    weights: title to weights, NaN where hidden. labels: what stands at each position, oldest first.
    """
    with plots.style():
        axes = plots.panels(1, len(weights), 4.5, 4.0)
        for ax, (title, table) in zip(axes[0], weights.items(), strict=True):
            ax.imshow(table, cmap="Blues", vmin=0, vmax=1.3)
            _hatch(ax, np.isnan(table))
            _grid(ax, *table.shape)
            for (row, column), weight in np.ndenumerate(table):
                if not np.isnan(weight):
                    ax.text(column, row, f"{weight:.2f}", ha="center", va="center", fontsize=10)
            ax.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
            ax.set_yticks(range(len(labels)), labels if ax is axes[0, 0] else [""] * len(labels))
            ax.set_xlabel("looked at (key, value)")
            ax.set_title(title, loc="left")
        axes[0, 0].set_ylabel("looks (query)")
    return axes


POST = ("attention", "dropout", "add", "layer norm", "feed-forward", "dropout", "add", "layer norm")
PRE = ("layer norm", "attention", "dropout", "add", "layer norm", "feed-forward", "dropout", "add")


def block_orders() -> np.ndarray:
    """The steps of one block, bottom to top, with the layer norm behind (post) or in front (pre) of a sub-layer."""
    colours = {"layer norm": plots.palette()[1], "add": plots.palette()[2], "dropout": "0.6"}
    with plots.style():
        axes = plots.panels(1, 2, 4.0, 4.4)
        titles = "post-norm: here", "pre-norm: many later models"
        for ax, steps, title in zip(axes[0], (POST, PRE), titles, strict=True):
            ax.set_axis_off()
            ax.set(xlim=(-0.3, 4.1), ylim=(-1.1, 8.7))
            ax.set_title(title, loc="left")
            ax.annotate("", (1.5, 8.6), (1.5, -0.9), arrowprops={"arrowstyle": "-|>", "color": "0.35"})
            ax.text(1.75, -0.85, "x  [B, L, H]", va="center", fontsize=10)
            for height, step in enumerate(steps):
                colour = colours.get(step, plots.palette()[0])
                box = FancyBboxPatch(
                    (0.35, height - 0.28), 2.3, 0.56, boxstyle="round,pad=0.04", fc="white", ec=colour, lw=2, zorder=3
                )
                ax.add_patch(box)
                label = "add the residual" if step == "add" else step
                ax.text(1.5, height, label, ha="center", va="center", fontsize=10.5, zorder=4)
            adds = [height for height, step in enumerate(steps) if step == "add"]
            for start, end in zip((-0.5, 3.5), adds, strict=True):
                ax.plot([1.5, 3.4, 3.4], [start, start, end], color="0.35", lw=1.4, zorder=1)
                ax.annotate("", (2.72, end), (3.4, end), arrowprops={"arrowstyle": "-|>", "color": "0.35"})
                ax.text(3.5, (start + end) / 2, "residual", rotation=90, va="center", fontsize=9, color="0.35")
    return axes


def depth(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Size of the state, and how much of the input is left in it, after each block.

    curves: label to (root mean square, cosine with the input), each [blocks + 1].
    """
    with plots.style():
        axes = plots.panels(1, 2, 4.7, 3.3)
        for index, (label, values) in enumerate(curves.items()):
            for ax, line in zip(axes[0], values, strict=True):
                ax.plot(
                    line,
                    color=plots.palette()[index],
                    marker=plots.MARKERS[index],
                    markersize=9 - 2 * index,
                    label=label,
                )
        axes[0, 0].set_ylabel("root mean square of the state")
        axes[0, 1].set_ylabel("cosine with the input")
        for ax in axes[0]:
            ax.set_ylim(bottom=0)
            ax.set_xlabel("blocks passed")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        axes[0, 0].figure.legend(handles, labels, loc="outside lower center", ncol=len(labels))
    return axes


def slot_use(shares: Mapping[str, np.ndarray]) -> Axes:
    """Share of samples that use each position vector. shares: label to percentages [max_length]."""
    with plots.style():
        ax = plots.panels(1, 1, 8.5, 3.2)[0, 0]
        for index, (label, share) in enumerate(shares.items()):
            ax.plot(
                share, ("-", "--", ":")[index], color=plots.palette()[index], marker=plots.MARKERS[index],
                markevery=(index, 5), label=label,
            )  # fmt: skip
        ax.set(xlabel="position vector (row of the table)", ylabel="samples that use it [%]", ylim=(0, 105))
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncol=3)
    return ax


def attention_maps(weights: Mapping[str, np.ndarray], titles: Sequence[str]) -> np.ndarray:
    """Causal attention of one person's films: a panel a head, rows look at columns.

    weights: title of a panel to [L, L]. titles: of the films, oldest first.
    """
    hidden = np.triu(np.ones((len(titles), len(titles)), dtype=bool), 1)
    with plots.style():
        axes = plots.panels(1, len(weights), 3.4, 3.7)
        for ax, (title, table) in zip(axes[0], weights.items(), strict=True):
            image = ax.imshow(np.where(hidden, np.nan, table), cmap="cividis", vmin=0, vmax=0.6)
            _hatch(ax, hidden)
            _grid(ax, *table.shape)
            ax.set_xticks(range(len(titles)), range(1, len(titles) + 1), fontsize=8)
            names = [f"{title}  {number}" for number, title in enumerate(titles, start=1)]
            ax.set_yticks(range(len(titles)), names if ax is axes[0, 0] else [""] * len(titles), fontsize=9)
            ax.set_xlabel("film that is looked at")
            ax.set_title(title, loc="left", fontsize=11)
        axes[0, 0].figure.colorbar(image, ax=axes[0, -1], label="attention weight", shrink=0.75, extend="max")
    return axes


def age_and_popularity(
    weights: Mapping[str, np.ndarray], tastes: Mapping[str, np.ndarray], popularity: np.ndarray
) -> np.ndarray:
    """What the newest film looks at: by age (mean over people), and by popularity (a point a person).

    weights: label to attention of the newest film [people, films], oldest film first. tastes: label to the rank
    correlation of these weights with popularity [people]. popularity: of the newest film [people].
    """
    with plots.style():
        axes = plots.panels(1, 2, 4.7, 3.5)
        for index, (label, table) in enumerate(weights.items()):
            colour, marker = plots.palette()[index], plots.MARKERS[index]
            ages = np.arange(table.shape[1])[::-1]
            axes[0, 0].plot(ages, table.mean(axis=0), color=colour, marker=marker, markersize=5, label=label)
            axes[0, 1].scatter(popularity, tastes[label], s=22, color=colour, marker=marker, alpha=0.7, linewidths=0)
        axes[0, 0].set(xlabel="age (0: the newest film itself)", ylabel="attention weight, mean", ylim=(0, None))
        axes[0, 0].set_xticks(range(0, len(ages), 5))
        axes[0, 1].axhline(0, color="0.3", linestyle=":")
        axes[0, 1].set(xscale="log", ylim=(-1.05, 1.05))
        axes[0, 1].set(
            xlabel="times the newest film occurs in training", ylabel="attention and popularity: correlation"
        )
        axes[0, 1].xaxis.set_major_formatter("{x:g}")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        axes[0, 0].figure.legend(handles, labels, loc="outside lower center", ncol=len(labels))
    return axes
