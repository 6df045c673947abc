"""Figures of the chapter on pre-training: numbers in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from s3rec_lite.figures import plots
from s3rec_lite.support.config import OBJECTIVES

_NAMES = tuple(name.upper() for name in OBJECTIVES)
_HATCHES = ("", "//", "..", "xx")


def _plain_numbers(unit: str = "") -> FuncFormatter:
    """Ticks such as 0.01 instead of powers of ten."""
    return FuncFormatter(lambda value, _: f"{value:g}{unit}")


@plots.style()
def share_rows(rows: Mapping[str, Sequence[float]]) -> Axes:
    """Shares of the four objectives, a row for each entry, on a logarithmic axis; shares between 0 and 1."""
    ax = plots.panels(1, 1, 8.4, 0.42 * len(rows) + 1.3)[0, 0]
    heights = np.arange(len(rows))[::-1]
    for index, name in enumerate(_NAMES):
        percent = [100 * row[index] for row in rows.values()]
        plots.dots(ax, index, percent, heights, markersize=9, markeredgecolor="white", zorder=3, label=name)
    ax.hlines(heights, 0.006, 100, color="0.85", zorder=1)
    ax.set_yticks(heights, list(rows))
    x_label = "share of the joint loss at step 0 (logarithmic axis)"
    plots.label(ax, "", x_label, no_grid="y", xscale="log", xlim=(0.006, 100), ylim=(-0.6, len(rows) - 0.4))
    ax.xaxis.set_major_formatter(_plain_numbers("%"))
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.17), ncol=4)
    return ax


@plots.style()
def share_bars(panels_of_bars: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Axes]:
    """A panel for each kind of share: a group of four bars for each moment of training; shares between 0 and 1."""
    axes = list(plots.panels(1, len(panels_of_bars), 4.6, 3.4, sharey=True).flat)
    for ax, (title, moments) in zip(axes, panels_of_bars.items(), strict=True):
        for index, name in enumerate(_NAMES):
            values = [100 * share[index] for share in moments.values()]
            x = np.arange(len(moments)) + 0.2 * (index - 1.5)
            fill = {"color": plots.palette()[index], "hatch": _HATCHES[index], "edgecolor": "white", "linewidth": 0}
            bars = ax.bar(x, values, 0.19, **fill, label=name)
            ax.bar_label(bars, [f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in values], fontsize=8)
        ax.set_xticks(range(len(moments)), list(moments))
        plots.label(ax, title, "", "share [%]" if ax is axes[0] else "", no_grid="x", ylim=(0, 105))
    plots.legend_below(axes[0])
    return axes


@plots.style()
def cosine_maps(matrices: Mapping[str, np.ndarray]) -> list[Axes]:
    """Cosines between the four gradients, a 4 x 4 map for each moment of training, three in a row."""
    axes = list(plots.panels(-(-len(matrices) // 3), 3, 3.0, 3.0).flat)
    for ax, (title, matrix) in zip(axes, matrices.items(), strict=True):
        ax.imshow(matrix, vmin=-1, vmax=1, cmap="PuOr_r")
        for (row, column), value in np.ndenumerate(matrix):
            text, color = f"{value:.2f}".replace("-0.00", "0.00"), "white" if abs(value) > 0.65 else "black"
            ax.text(column, row, text, ha="center", va="center", fontsize=10, color=color)
        ax.set_xticks(range(4), _NAMES)
        ax.set_yticks(range(4), _NAMES if ax in axes[::3] else [""] * 4)
        ax.tick_params(length=0)
        plots.label(ax, title, no_grid="both")
    return axes


@plots.style()
def weight_sweep(weights: np.ndarray, series: np.ndarray, used: float, objective: str) -> Axes:
    """Cosine of the joint gradient with each objective's own, series [N, 4], against one of the weights [N]."""
    ax = plots.panels(1, 1, 7.6, 3.6)[0, 0]
    for index, name in enumerate(_NAMES):
        some = {"markevery": (4 * index, 16), "markersize": 6}
        plots.line(ax, index, weights, series[:, index], linestyle="-", **some, label=name)
    ax.axvline(used, color="0.45", linestyle=":")
    above = ("data", "axes fraction")
    ax.annotate(f"the paper's {used:g}", (used, 1.03), xycoords=above, ha="center", color="0.3", fontsize=10)
    ax.axhline(0, color="0.6", linewidth=1)
    x_label = f"weight of {objective} (logarithmic axis; the others as in the paper)"
    plots.label(ax, "", x_label, "cosine with the joint gradient", xscale="log")
    ax.xaxis.set_major_formatter(_plain_numbers())
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


@plots.style()
def weighted_parts(histories: Mapping[str, Mapping[str, Sequence]], weights: Mapping[str, float]) -> list[Axes]:
    """The four weighted parts of the joint loss against the epoch, a panel for each run, logarithmic."""
    axes = list(plots.panels(1, len(histories), 4.6, 3.7).flat)
    for ax, (title, history) in zip(axes, histories.items(), strict=True):
        for index, name in enumerate(OBJECTIVES):
            part, title_of_part = weights[name] * np.asarray(history[name]), plots.OBJECTIVE_TITLES[name]
            plots.line(ax, index, history["epoch"], part, linestyle="-", markersize=5, label=title_of_part)
        y_label = "weighted loss [nats per sequence]" if ax is axes[0] else ""
        plots.label(ax, title, "pre-training epoch", y_label, no_grid="x", yscale="log")
        ax.yaxis.set_major_formatter(_plain_numbers())
        ax.yaxis.set_minor_formatter(NullFormatter())
        plots.mark_epochs(ax, history["epoch"])
    plots.legend_below(axes[0], columns=2)
    return axes


@plots.style()
def position_norms(norms: Mapping[str, np.ndarray]) -> Axes:
    """Lengths of the position vectors against their slot, a line for each model; the last slot is marked."""
    ax = plots.panels(1, 1, 8.2, 3.6)[0, 0]
    for index, (name, values) in enumerate(norms.items()):
        plots.line(ax, index, values, marker=None, linewidth=2, label=name)
        plots.dots(ax, index, len(values) - 1, values[-1], markersize=9, clip_on=False, zorder=3)
    x_label, y_label = "slot (the newest item stands in the last one)", "length of the position vector"
    plots.label(ax, "", x_label, y_label, no_grid="x", ylim=(0, None))
    ax.legend(loc="upper left")
    return ax
