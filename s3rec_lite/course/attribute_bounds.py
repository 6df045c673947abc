"""Figures of the two chapters on attributes (AAP and MAP): bounds, shares, probabilities and losses."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from s3rec_lite.figures import plots

_WHITE = {"frameon": True, "facecolor": "white", "framealpha": 1, "edgecolor": "none"}  # a legend that hides the grid


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
