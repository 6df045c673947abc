"""Curves and levels of the two chapters on attributes (AAP and MAP): bounds, shares, probabilities."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from s3rec_lite.figures import plots

PLAIN = {"frameon": True, "facecolor": "white", "framealpha": 1, "edgecolor": "none"}  # hides grid lines below a legend


def bound_panels(
    panels: Mapping[str, Mapping[str, tuple[Sequence[float], Sequence[float], float]]],
    truth: float | Sequence[float],
    truth_label: str,
    *,
    unit: str | Sequence[str] = "certified information [nats]",
    low: float | None = -0.3,
) -> list[Axes]:
    """Nats against the step: panel title to label to (steps, values, cap); caps dashed, the truth a solid black line.

    A cap of nan is not drawn. truth, unit: one for all panels, which then share their scale, or one a panel.
    """
    shared = np.isscalar(truth)
    truths = [truth] * len(panels) if shared else list(truth)
    units = [unit] * len(panels) if isinstance(unit, str) else list(unit)
    axes = list(plots.panels(1, len(panels), 9.0 / len(panels), 3.9, sharey=shared).flat)
    with plots.style():
        for place, (ax, (title, curves)) in enumerate(zip(axes, panels.items(), strict=True)):
            ax.axhline(truths[place], color="black", linewidth=1.6)
            ax.text(
                0.99, truths[place], truth_label, ha="right", va="bottom", fontsize=9,
                transform=ax.get_yaxis_transform(),
            )  # fmt: skip
            for index, (label, (steps, values, cap)) in enumerate(curves.items()):
                colour = plots.palette()[index]
                ax.plot(
                    steps, values, color=colour, marker=plots.MARKERS[index % 5], markersize=4.5, label=label,
                    markevery=max(1, len(steps) // 8),
                )  # fmt: skip
                if np.isfinite(cap):
                    ax.axhline(cap, color=colour, linestyle="--", linewidth=1.2)
            ax.set_title(title, loc="left")
            ax.set_xlabel("optimiser step")
            ax.grid(axis="x", visible=False)
            ax.set_ylim(bottom=low)
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncol=2 if len(curves) == 4 else 3)
            if place == 0 or not shared:
                ax.set_ylabel(units[place])
    return axes


def masked_share_curve(points: Mapping[str, tuple[float, float]], mask_ratio: float = 0.2) -> Axes:
    """Share of masked positions against the mean prefix length, the formula as a line and data sets as points."""
    ax = plots.panels(1, 1, 7.6, 3.4)[0, 0]
    lengths = np.linspace(4, 26, 100)
    with plots.style():
        ax.plot(lengths, mask_ratio + (1 - mask_ratio) / lengths, color="0.35", label="0.2 + 0.8 / mean length")
        ax.axhline(mask_ratio, color="0.35", linestyle=":", label="the paper's 0.2")
        for index, (name, (length, share)) in enumerate(points.items()):
            ax.plot(length, share, plots.MARKERS[index % 5], color=plots.palette()[index], markersize=10)
            near = [other for other, (place, _) in points.items() if 0 < place - length < 0.6]
            shift = (-9, -15) if near else (7, 5)  # two data sets nearly coincide
            ax.annotate(
                name, (length, share), xytext=shift, textcoords="offset points", fontsize=10,
                ha="right" if near else "left",
            )  # fmt: skip
        ax.set_ylim(0.15, 0.42)
        ax.set_xlabel("mean length of a prefix [items]")
        ax.set_ylabel("share of masked positions")
        ax.grid(axis="x", visible=False)
        ax.legend(loc="upper right", **PLAIN)
    return ax


def true_and_yours(truth: Sequence[float], yours: Sequence[float], xlabel: str) -> Axes:
    """Bars of true probabilities, one for each attribute id from 1, and the model's as dots."""
    ax = plots.panels(1, 1, 9.0, 3.0)[0, 0]
    ids = np.arange(1, len(truth) + 1)
    with plots.style():
        ax.bar(ids, truth, color="0.8", label="true", width=0.75)
        ax.plot(ids, yours, "o", color=plots.palette()[1], markersize=6, label="yours")
        ax.set_xlabel(xlabel)
        ax.set_ylabel("probability")
        ax.set_ylim(0, 1)
        ax.set_xlim(0.2, len(truth) + 0.8)
        ax.grid(axis="x", visible=False)
        ax.legend(**PLAIN)
    return ax


def losses_per_position(curves: Mapping[str, tuple[Sequence[float], float]], title: str) -> Axes:
    """Nats of one position against the epoch: label to (values, loss of the best constant), the latter dashed."""
    ax = plots.panels(1, 1, 7.6, 3.6)[0, 0]
    with plots.style():
        for index, (label, (values, constant)) in enumerate(curves.items()):
            epochs, colour = np.arange(1, len(values) + 1), plots.palette()[index]
            ax.plot(epochs, values, color=colour, marker=plots.MARKERS[index], label=label)
            ax.axhline(constant, color=colour, linestyle=("--", ":")[index % 2], linewidth=1.4)
        ax.text(len(values), constant + 0.12, "best constants", ha="right", fontsize=9)
        ax.set_ylim(bottom=0)
        plots.mark_epochs(ax, list(epochs))
        ax.set_xlabel("pre-training epoch")
        ax.set_ylabel("loss of one position [nats]")
        ax.set_title(title, loc="left")
        ax.grid(axis="x", visible=False)
        ax.legend(**PLAIN)
    return ax
