"""Figures of the chapter on mutual information: data in, axes out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from s3rec_lite.figures import plots

_LABELS = {"dv": "DV", "mine": "MINE", "nwj": "NWJ", "js": "JS", "smile": "SMILE", "info_nce": "InfoNCE"}
_LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))


def _number_table(
    ax: Axes, table: np.ndarray, texts: Sequence[Sequence[str]], cmap: str, limits: tuple[float, float]
) -> None:
    """Numbers on colours; cells that are not finite stay white."""
    ax.imshow(np.where(np.isfinite(table), table, np.nan), cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto")
    for (row, column), value in np.ndenumerate(table):
        dark = np.isfinite(value) and abs(value) > 0.7 * limits[1]
        plots.write(ax, column, row, texts[row][column], color="white" if dark else "0.15", fontsize=11)
    plots.bare(ax)


@plots.style()
def joint_table(joint: np.ndarray, ratio: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> np.ndarray:
    """The joint distribution of film and attribute beside the log ratio of every cell."""
    left, right = axes = plots.panels(1, 2, 4.6, 3.3)[0]
    probabilities = [[f"{p:.3f}" if p else "0" for p in row] for row in joint]
    _number_table(left, joint, probabilities, "Blues", (0, 0.2))
    ratios = [[f"{v:+.2f}" if np.isfinite(v) else "−∞" for v in row] for row in ratio]
    _number_table(right, ratio, ratios, "PuOr", (-1.8, 1.8))
    for ax, labels in ((left, rows), (right, [""] * len(rows))):
        ax.set_xticks(range(len(columns)), columns)
        ax.set_yticks(range(len(rows)), labels)
    left.set_title("p(x, a)", loc="left")
    right.set_title("log p(x, a) / (p(x) p(a))  [nats]", loc="left")
    return axes


@plots.style()
def plug_in(panels: Sequence[tuple[str, float, Sequence[int], Mapping[str, Sequence[float]]]]) -> np.ndarray:
    """Mean estimates against the number of samples; a panel for each title, truth, sizes, label to means."""
    axes = plots.panels(1, len(panels), 3.7, 3.4)[0]
    for ax, (title, truth, sizes, means) in zip(axes, panels, strict=True):
        ax.axhline(truth, color="0.2", linestyle="--", label="truth")
        plots.curves(ax, sizes, means, _LINES)
        ax.set_xscale("log")
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        ax.minorticks_off()
        plots.label(ax, title, "samples N")
    plots.legend_below(axes[0])
    axes[0].set_ylabel("mean estimate [nats]")
    return axes


@plots.style()
def optimal_critic(results: Mapping[int, Mapping[str, np.ndarray]], theory: Mapping[int, np.ndarray]) -> np.ndarray:
    """Bias and spread of bounds that are fed the true log ratio.

    results: dimension to name to [levels, 3] of truth, mean and standard deviation. theory: dimension to
    the standard deviation of NWJ.
    """
    axes = plots.panels(len(results), 2, 4.6, 3.2)
    for (bias, spread), (dim, estimates) in zip(axes, results.items(), strict=True):
        truth = next(iter(estimates.values()))[:, 0]
        plots.curves(bias, truth, {name: of[:, 1] - of[:, 0] for name, of in estimates.items()}, _LINES)
        plots.curves(spread, truth, {_LABELS[name]: of[:, 2] for name, of in estimates.items()}, _LINES)
        bias.axhline(0, color="0.2", linestyle="--", linewidth=1)
        spread.plot(truth, theory[dim], color="0.2", linestyle="--", linewidth=1, label="NWJ, theory")
        spread.set_yscale("log")
        x_label = "true mutual information [nats]" if bias in axes[-1] else ""
        dimensions = f"{dim} dimension{'s' * (dim > 1)}"
        plots.label(bias, f"Bias, {dimensions}", x_label, "mean − truth [nats]", xticks=truth)
        plots.label(spread, f"Spread, {dimensions}", x_label, "standard deviation [nats]", xticks=truth)
    plots.legend_below(spread)
    return axes


@plots.style()
def training_traces(
    traces: Mapping[str, np.ndarray],
    truth: np.ndarray,
    cap: float,
    limit: float = 7.0,
    ceilings: Mapping[str, np.ndarray] | None = None,
) -> np.ndarray:
    """What critics say while they train on a staircase of truths, a panel each: name to values [steps].

    ceilings: name to the most that this form of critic can show at each step, where it is known.
    """
    axes = plots.panels(-(-len(traces) // 3), 3, 3.2, 2.5, sharex=True, sharey=True)
    smooth = 25  # steps
    for index, (ax, (name, values)) in enumerate(zip(axes.flat, traces.items(), strict=True)):
        colour = plots.palette()[index]
        values = np.clip(values, -limit, 2 * limit)
        running = np.convolve(values, np.ones(smooth) / smooth, mode="valid")
        ax.plot(values, color=colour, alpha=0.25, linewidth=0.8)
        ax.plot(np.arange(len(running)) + smooth / 2, running, color=colour, linewidth=2)
        ax.plot(truth, color="0.1", linestyle="--", linewidth=1.3, label="truth")
        if ceilings and name in ceilings:
            ax.plot(ceilings[name], color="0.1", linestyle="-.", linewidth=1.3, label="ceiling of the critic")
        if name == "info_nce":
            ax.axhline(cap, color="0.3", linestyle=":", linewidth=1.5, label="log K")
            ax.legend(loc="upper left", frameon=True, framealpha=1, edgecolor="none", fontsize=9)
        x_label, y_label = ("training step" if ax in axes[-1] else ""), ("value [nats]" if ax in axes[:, 0] else "")
        plots.label(ax, _LABELS[name], x_label, y_label, no_grid="x", ylim=(-0.3, limit))
    axes[0, 0].legend(loc="upper left")
    return axes


@plots.style()
def log_k(truths: Sequence[float], values: Mapping[int, Sequence[float]], caps: Mapping[int, float]) -> Axes:
    """InfoNCE against the truth, a curve for each number of candidates, with its cap."""
    ax = plots.panels(1, 1, 7.2, 4.2)[0, 0]
    end = max(truths)
    ax.plot([0, end], [0, end], color="0.2", linestyle="--", linewidth=1.2)
    ax.text(truths[-3], truths[-3] + 0.25, "truth", ha="right")
    for index, (candidates, means) in enumerate(values.items()):
        colour, cap = plots.palette()[index], caps[candidates]
        plots.line(ax, index, truths, means, linestyle="-")
        ax.axhline(cap, color=colour, linestyle=":", linewidth=1.3)
        ax.text(end + 0.15, cap, f"log {candidates} = {cap:.2f}", va="center", color=colour)
    limits: dict[str, Any] = {"xlim": (0, end + 0.1), "ylim": (0, end * 0.82)}
    plots.label(ax, "", "true mutual information [nats]", "InfoNCE, optimal critic [nats]", **limits)
    return ax


@plots.style()
def pairwise_losses(
    gaps: np.ndarray, losses: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Two losses against f+ - f-, and how hard each pulls."""
    left, right = axes = plots.panels(1, 2, 4.6, 3.5)[0]
    plots.curves(left, gaps, losses, marker=None, linewidth=2.2)
    plots.curves(right, gaps, gradients, marker=None, linewidth=2.2)
    left.axhline(np.log(2), color="0.4", linestyle=":", linewidth=1.2)
    left.text(gaps[0], np.log(2) - 0.04, "chance: log 2", va="top", fontsize=9.5)
    left.legend(loc="upper right")
    x_label = "raw score gap  $s^+ - s^-$,  with $s^- = -s^+$"
    plots.label(left, "", x_label, "loss [nats]", ylim=(0, 2.5))
    plots.label(right, "", x_label, "size of the gradient")
    return axes


@plots.style()
def certified(
    truths: Mapping[str, float],
    candidates: Sequence[int],
    caps: Mapping[str, Sequence[float]],
    measured: Mapping[str, Sequence[float]],
    line: str,
) -> np.ndarray:
    """What there is, beside what K candidates can certify, on one scale.

    truths: data set to nats. caps: free and bounded, one value for each K. measured: the same two, on a data
    set. line: the data set whose truth runs through both panels.
    """
    left, right = axes = plots.panels(1, 2, 4.8, 4.6, sharey=True, width_ratios=(1, 1.35))[0]
    bars = left.bar(range(len(truths)), truths.values(), color="0.72", edgecolor="0.3", width=0.65)
    left.bar_label(bars, fmt="%.2f", label_type="center", fontsize=10)
    left.set_xticks(range(len(truths)), truths, rotation=30, ha="right")
    plots.label(left, "What there is", "", "mutual information of item and attribute [nats]", no_grid="x")

    x = np.arange(len(candidates))
    for index, (label, values) in enumerate(caps.items()):
        look = {"color": plots.palette()[index], "alpha": 0.75, "hatch": ("", "///")[index], "edgecolor": "white"}
        bars = right.bar(x + 0.4 * index - 0.2, values, 0.38, label=f"cap, {label}", **look)
        right.bar_label(bars, fmt="%.2f", padding=2, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.3})
    for index, (label, values) in enumerate(measured.items()):
        look = {"color": "black", "markersize": 8, "markeredgecolor": "white", "label": label}
        plots.dots(right, index, x[: len(values)] + 0.4 * index - 0.2, values, **look)
    right.axhline(1, color="0.1", linestyle=":", linewidth=1.5, zorder=0, label="1 nat, above every sigmoid cap")
    right.text(-0.45, truths[line] + 0.06, f"truth, {line}", fontsize=10)
    right.set_xticks(x, [f"K = {value}" for value in candidates])
    plots.label(right, "What K candidates can certify", no_grid="x", ylim=(0, 5.6))
    for ax in axes:
        ax.axhline(truths[line], color="0.1", linestyle="--", linewidth=1.3, zorder=1.5)
    right.legend(loc="upper left", fontsize=9, frameon=True, framealpha=1, edgecolor="none")
    return axes
