"""Figures of chapters 5 and 7: rows of the views, the squashed loss, drifting scores, what a critic learned."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from s3rec_lite.figures import plots
from s3rec_lite.information import double_sigmoid_range


@plots.style()
def token_rows(
    rows: Sequence[Sequence[int]],
    labels: Sequence[str],
    *,
    mask_token: int,
    kinds: Sequence[Sequence[str]] | None = None,
    marked: Sequence[tuple[int, int]] = (),
) -> Axes:
    """Rows of ids as boxes, oldest left: items blue, masks hatched, padding empty.

    Args:
        rows: ids [R, L].
        kinds: for each id "own" or "foreign" where it belongs to a segment, else "".
        marked: (row, column) of boxes with a thick frame.
    """
    width = len(rows[0])
    ax = plots.panels(1, 1, 1.9 + 0.42 * width, 0.6 + 0.42 * len(rows))[0, 0]
    blue, orange, green = plots.palette()[:3]
    looks: dict[str, dict[str, Any]] = {
        "item": {"facecolor": (*blue, 0.25)},
        "mask": {"facecolor": "0.88", "hatch": "////"},
        "padding": {"facecolor": "white", "linestyle": ":"},
        "own": {"facecolor": (*orange, 0.45)},
        "foreign": {"facecolor": (*green, 0.35), "hatch": "...."},
    }
    for r, row in enumerate(rows):
        for c, item in enumerate(row):
            kind = "padding" if item == 0 else "mask" if item == mask_token else "item"
            kind = kinds[r][c] or kind if kinds is not None else kind
            edge, thickness = ("0.1", 2.4) if (r, c) in marked else ("0.6", 0.8)
            plots.box(ax, c, r, 0.9, 0.84, edgecolor=edge, linewidth=thickness, **looks[kind])
            text = {"mask": "[m]", "padding": ""}.get(kind, str(item))
            weight = "bold" if kind in ("own", "foreign") else "normal"
            plots.write(ax, c, r, text, fontsize=10 if len(text) < 4 else 8, fontweight=weight)
            if hasattr(ax.patches[-1], "set_hatch_linewidth"):  # from Matplotlib 3.10 on
                ax.patches[-1].set_hatch_linewidth(0.4)
    plots.bare(ax)
    plots.label_rows(ax, labels)
    ax.set_xlim(-0.6, width - 0.4)
    ax.set_xticks([0, width - 1], ["oldest slot", "last slot"])
    return ax


@plots.style()
def squashing() -> np.ndarray:
    """Loss and slope of the plain and of the twice squashed pair loss, against the positive's score.

    The negative's score is the opposite, so that the difference is twice the number on the axis.
    """
    x = np.linspace(-8, 8, 401)
    sigmoid, squashed = 1 / (1 + np.exp(-x)), np.tanh(x / 2)  # squashed: sigmoid(x) - sigmoid(-x)
    losses = {"plain": np.logaddexp(0, -2 * x), "squashed twice": np.logaddexp(0, -squashed)}
    slopes = {
        "plain": 1 / (1 + np.exp(2 * x)),
        "squashed twice": sigmoid * (1 - sigmoid) / (1 + np.exp(squashed)),
    }
    left, right = axes = plots.panels(1, 2, 4.4, 3.5)[0]
    for ax, series in ((left, losses), (right, slopes)):
        plots.curves(ax, x, series, marker=None, linewidth=2.2)
    lowest, _, highest = double_sigmoid_range()
    for level in (lowest, highest):
        left.axhline(level, color="0.4", linestyle=":", linewidth=1)
        left.text(x[-1], level, f"{level:.4f}", ha="right", va="bottom", fontsize=9, color="0.25")
    x_label = "positive's score (negative's is the opposite)"
    plots.label(left, "what the pair costs", x_label, "loss [nats]", no_grid="x", ylim=(0, 3))
    plots.label(right, "what the positive's score feels", x_label, "size of the gradient", no_grid="x")
    left.legend(loc="upper right", bbox_to_anchor=(1, 0.9))
    return axes


@plots.style()
def score_drift(runs: Mapping[str, pd.DataFrame]) -> np.ndarray:
    """Mean score, mean slope of the inner sigmoids (log axis) and loss against the step: a line for each run.

    Each run has the columns step, level, slope (nan: not drawn) and loss.
    """
    axes = plots.panels(1, 3, 3.6, 3.7)[0]
    panels = {"level": "mean score", "slope": "mean slope of the sigmoids", "loss": "held-out loss [nats]"}
    for ax, (column, y_label) in zip(axes, panels.items(), strict=True):
        for index, (name, run) in enumerate(runs.items()):
            plots.line(ax, index, run["step"], run[column], markevery=8, markersize=5, label=name)
        plots.label(ax, "", "optimiser step", y_label, no_grid="x")
    axes[1].set_yscale("log")
    axes[2].axhline(np.log(2), color="0.35", linestyle=":", linewidth=1.2)
    axes[2].text(200, np.log(2), "log 2", ha="right", va="bottom", fontsize=9, color="0.25")
    axes[0].figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncol=4)
    return axes


@plots.style()
def rank_curves(ranks: Mapping[str, np.ndarray], num_items: int) -> Axes:
    """Share of targets within the first k places, against k: a line a scorer, chance dotted. Ranks count from 1."""
    ax = plots.panels(1, 1, 7.4, 3.9)[0, 0]
    ks = np.unique(np.geomspace(1, num_items, 60).round())
    lines = ("-", "--", "-.", (0, (1, 1)))
    for index, (label, values) in enumerate(ranks.items()):
        share = (np.asarray(values)[:, None] <= ks).mean(axis=0)
        marks = {"markevery": (4 * index % 7, 8), "markersize": 6}
        plots.line(ax, index, ks, share, linestyle=lines[index % 4], label=label, **marks)
    ax.plot(ks, ks / num_items, color="0.5", linestyle=":", label="chance")
    ax.set_xscale("log")
    plots.label(ax, "", "k, places counted in the ranking of all films", "share of hidden films within k")
    ax.legend(loc="upper left")
    return ax


@plots.style()
def against_popularity(scores: Mapping[str, np.ndarray], counts: np.ndarray, *, ylabel: str) -> np.ndarray:
    """One point an item: a number of each item against how often it occurs (log axis), a panel a model."""
    axes = plots.panels(1, len(scores), 8.8 / len(scores), 3.4)[0]
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if min(counts) <= tick <= max(counts)]
    for index, (ax, (label, values)) in enumerate(zip(axes, scores.items(), strict=True)):
        look = {"color": plots.palette()[index], "marker": plots.MARKERS[index % 5]}
        ax.scatter(counts, values, s=9, alpha=0.5, linewidths=0, **look)
        ax.set_xscale("log")
        ax.set_xticks(ticks, map(str, ticks))
        ax.minorticks_off()
        plots.label(ax, label, "times in the training parts", ylabel if ax is axes[0] else "")
    return axes
