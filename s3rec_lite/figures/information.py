"""Drawings of the chapter on mutual information: data in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from s3rec_lite.figures import plots

LABELS = {"dv": "DV", "mine": "MINE", "nwj": "NWJ", "js": "JS", "smile": "SMILE", "info_nce": "InfoNCE"}
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))


def _cells(ax: Axes, table: np.ndarray, texts: Sequence[Sequence[str]], rows, columns, cmap: str, limit) -> None:
    """A table of numbers on colours; cells that are not finite stay white."""
    ax.imshow(np.where(np.isfinite(table), table, np.nan), cmap=cmap, vmin=limit[0], vmax=limit[1], aspect="auto")
    for (i, j), value in np.ndenumerate(table):
        dark = np.isfinite(value) and abs(value) > 0.7 * limit[1]
        ax.text(j, i, texts[i][j], ha="center", va="center", color="white" if dark else "0.15", fontsize=11)
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.grid(visible=False)
    for side in ax.spines.values():
        side.set_visible(False)


def joint_table(joint: np.ndarray, ratio: np.ndarray, rows: Sequence[str], columns: Sequence[str]) -> np.ndarray:
    """The joint distribution of film and attribute beside the log ratio of every cell."""
    with plots.style():
        axes = plots.panels(1, 2, 4.6, 3.3)
        left, right = axes[0]
        texts = [[f"{p:.3f}" if p else "0" for p in row] for row in joint]
        _cells(left, joint, texts, rows, columns, "Blues", (0, 0.2))
        left.set_title("p(x, a)", loc="left")
        texts = [[f"{v:+.2f}" if np.isfinite(v) else "−∞" for v in row] for row in ratio]
        _cells(right, ratio, texts, [""] * len(rows), columns, "PuOr", (-1.8, 1.8))
        right.set_title("log p(x, a) / (p(x) p(a))  [nats]", loc="left")
    return axes


def plug_in(panels: Sequence[tuple[str, float, Sequence[int], Mapping[str, Sequence[float]]]]) -> np.ndarray:
    """Mean estimates against the number of samples; a panel for each title, truth, sizes, label to means."""
    with plots.style():
        axes = plots.panels(1, len(panels), 4.6, 3.6)
        for ax, (title, truth, sizes, curves) in zip(axes[0], panels, strict=True):
            ax.axhline(truth, color="0.2", linestyle="--", label="truth")
            for index, (label, means) in enumerate(curves.items()):
                look = {"color": plots.palette()[index], "marker": plots.MARKERS[index], "linestyle": LINES[index]}
                ax.plot(sizes, means, label=label, **look)
            ax.set_xscale("log")
            ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
            ax.minorticks_off()
            ax.set_xlabel("samples N")
            ax.set_title(title, loc="left")
            ax.legend()
        axes[0, 0].set_ylabel("mean estimate [nats]")
    return axes


def optimal_critic(results: Mapping[int, Mapping[str, np.ndarray]], theory: Mapping[int, np.ndarray]) -> np.ndarray:
    """Bias and spread of bounds that are fed the true log ratio.

    results: dimension to name to [levels, 3] of truth, mean and standard deviation. theory: dimension to
    the standard deviation of NWJ.
    """
    with plots.style():
        axes = plots.panels(len(results), 2, 4.6, 3.2)
        for (bias, spread), (dim, rows) in zip(axes, results.items(), strict=True):
            for index, (name, row) in enumerate(rows.items()):
                look = {"color": plots.palette()[index], "marker": plots.MARKERS[index], "linestyle": LINES[index]}
                bias.plot(row[:, 0], row[:, 1] - row[:, 0], **look)
                spread.plot(row[:, 0], row[:, 2], label=LABELS[name], **look)
            levels = row[:, 0]
            bias.axhline(0, color="0.2", linestyle="--", linewidth=1)
            spread.plot(levels, theory[dim], color="0.2", linestyle="--", linewidth=1, label="NWJ, theory")
            spread.set_yscale("log")
            bias.set_ylabel("mean − truth [nats]")
            spread.set_ylabel("standard deviation [nats]")
            bias.set_title(f"Bias, {dim} dimension{'s' * (dim > 1)}", loc="left")
            spread.set_title(f"Spread, {dim} dimension{'s' * (dim > 1)}", loc="left")
            bias.set_xticks(levels), spread.set_xticks(levels)
        for ax in axes[-1]:
            ax.set_xlabel("true mutual information [nats]")
        handles, labels = spread.get_legend_handles_labels()
        bias.figure.legend(handles, labels, loc="outside lower center", ncol=len(labels))
    return axes


def training_traces(
    traces: Mapping[str, np.ndarray], truth: np.ndarray, cap: float, smooth: int = 25, limit: float = 7.0
) -> np.ndarray:
    """What critics say while they train on a staircase of truths, a panel each: name to values [steps]."""
    with plots.style():
        columns = 3
        axes = plots.panels(-(-len(traces) // columns), columns, 3.2, 2.5, sharex=True, sharey=True)
        kernel = np.ones(smooth) / smooth
        for index, (ax, (label, values)) in enumerate(zip(axes.flat, traces.items(), strict=True)):
            colour = plots.palette()[index]
            values = np.clip(values, -limit, 2 * limit)
            ax.plot(values, color=colour, alpha=0.25, linewidth=0.8)
            running = np.convolve(values, kernel, mode="valid")
            ax.plot(np.arange(len(running)) + smooth / 2, running, color=colour, linewidth=2)
            ax.plot(truth, color="0.1", linestyle="--", linewidth=1.3, label="truth")
            if label == "info_nce":
                ax.axhline(cap, color="0.3", linestyle=":", linewidth=1.5, label="log K")
                ax.legend(loc="upper left", frameon=True, framealpha=1, edgecolor="none", fontsize=9)
            ax.set_title(LABELS[label], loc="left")
            ax.set_ylim(-0.3, limit)
            ax.grid(axis="x", visible=False)
        axes[0, 0].legend(loc="upper left")
        for ax in axes[:, 0]:
            ax.set_ylabel("value [nats]")
        for ax in axes[-1]:
            ax.set_xlabel("training step")
    return axes


def log_k(truths: Sequence[float], values: Mapping[int, Sequence[float]], caps: Mapping[int, float]) -> Axes:
    """InfoNCE against the truth, a curve for each number of candidates, with its cap."""
    with plots.style():
        ax = plots.panels(1, 1, 7.2, 4.2)[0, 0]
        ax.plot([0, max(truths)], [0, max(truths)], color="0.2", linestyle="--", linewidth=1.2)
        ax.text(truths[-3], truths[-3] + 0.25, "truth", ha="right")
        for index, (candidates, means) in enumerate(values.items()):
            colour = plots.palette()[index]
            ax.plot(truths, means, color=colour, marker=plots.MARKERS[index])
            ax.axhline(caps[candidates], color=colour, linestyle=":", linewidth=1.3)
            label = f"log {candidates} = {caps[candidates]:.2f}"
            ax.text(max(truths) + 0.15, caps[candidates], label, va="center", color=colour)
        ax.set(xlim=(0, max(truths) + 0.1), ylim=(0, max(truths) * 0.82))
        ax.set(xlabel="true mutual information [nats]", ylabel="InfoNCE, optimal critic [nats]")
    return ax


def pairwise_losses(gaps: np.ndarray, losses: Mapping[str, np.ndarray], gradients: Mapping[str, np.ndarray]):
    """Two losses against f+ - f-, and how hard each pulls."""
    with plots.style():
        axes = plots.panels(1, 2, 4.6, 3.5)
        for index, label in enumerate(losses):
            look = {"color": plots.palette()[index], "linestyle": LINES[index], "linewidth": 2.2, "label": label}
            axes[0, 0].plot(gaps, losses[label], **look)
            axes[0, 1].plot(gaps, gradients[label], **look)
        axes[0, 0].set_ylim(0, 2.5)
        axes[0, 0].axhline(np.log(2), color="0.4", linestyle=":", linewidth=1.2)
        axes[0, 0].text(gaps[0], np.log(2) - 0.04, "chance: log 2", va="top", fontsize=9.5)
        axes[0, 0].set_ylabel("loss [nats]")
        axes[0, 1].set_ylabel("size of the gradient")
        axes[0, 0].legend(loc="upper right")
        for ax in axes[0]:
            ax.set_xlabel("raw score gap  $s^+ - s^-$,  with $s^- = -s^+$")
    return axes


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
    with plots.style():
        axes = plots.panels(1, 2, 4.8, 4.6, sharey=True, width_ratios=(1, 1.35))
        left, right = axes[0]
        colours = plots.palette()
        bars = left.bar(range(len(truths)), truths.values(), color="0.72", edgecolor="0.3", width=0.65)
        white = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
        left.bar_label(bars, [f"{value:.2f}" for value in truths.values()], padding=4, bbox=white)
        left.set_xticks(range(len(truths)), truths, rotation=30, ha="right")
        left.set_ylabel("mutual information of item and attribute [nats]")
        left.set_title("What there is", loc="left")
        places = np.arange(len(candidates))
        for index, (label, values) in enumerate(caps.items()):
            bars = right.bar(
                places + 0.4 * index - 0.2, values, 0.38, color=colours[index], alpha=0.75, hatch=("", "///")[index],
                edgecolor="white", label=f"cap, {label}",
            )  # fmt: skip
            right.bar_label(bars, [f"{value:.2f}" for value in values], padding=2)
        for index, (label, values) in enumerate(measured.items()):
            right.plot(
                places[: len(values)] + 0.4 * index - 0.2, values, plots.MARKERS[index], color="black",
                markersize=8, markeredgecolor="white", label=label,
            )  # fmt: skip
        for ax in axes[0]:
            ax.axhline(truths[line], color="0.1", linestyle="--", linewidth=1.3, zorder=1.5)
            ax.grid(axis="x", visible=False)
        right.axhline(1, color=colours[1], linestyle=":", linewidth=1.5, zorder=0)
        right.text(-0.45, 1.04, "below 1 nat for every K", fontsize=9)
        right.text(len(candidates) - 0.45, truths[line] + 0.06, f"truth, {line}", ha="right", fontsize=10)
        right.set_xticks(places, [f"K = {value}" for value in candidates])
        right.set_title("What K candidates can certify", loc="left")
        right.legend(loc="upper left", fontsize=9)
    return axes
