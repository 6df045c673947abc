"""The figures of chapter 9: losses, protocols, ranks and intervals. Data in, matplotlib Axes out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from s3rec_lite.figures import plots

NAMES = {
    "meituan": "Meituan",
    "beauty": "Beauty",
    "sports": "Sports",
    "toys": "Toys",
    "yelp": "Yelp",
    "lastfm": "LastFM",
    "ml-100k": "MovieLens-100k",
}
"""how figures and tables call the data sets"""


@plots.style()
def frozen_gradient(scores: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Value and gradient of two ways to write one loss, a panel each; curves: label to (values, gradients)."""
    axes = plots.panels(1, 2, 4.6, 3.3)[0]
    for part, (ax, y_label) in enumerate(zip(axes, ("loss [nats]", "derivative of the loss"), strict=True)):
        for index, (label, values) in enumerate(curves.items()):
            plots.line(ax, index, scores, values[part], marker=None, linewidth=2.5 - index, label=label)
        plots.label(ax, "", "score of the negative item", y_label)
    axes[0].legend(loc="upper left")
    return axes


@plots.style()
def finetuning_curves(histories: Mapping[tuple[str, str], pd.DataFrame], monitor: str) -> np.ndarray:
    """Validation metric against the epoch, a panel a loss; histories: (loss, start) to what `finetune` returned.

    The start "pre-trained" has the look of all that is pre-trained, any other that of what is not.
    """
    losses = list(dict.fromkeys(loss for loss, _ in histories))
    axes = plots.panels(1, len(losses), 3.2, 3.2, sharey=True)[0]
    for ax, loss in zip(axes, losses, strict=True):
        runs = {start: history for (other, start), history in histories.items() if other == loss}
        for start, history in runs.items():
            index = plots.WITH if start == "pre-trained" else plots.WITHOUT
            plots.line(ax, index, history["epoch"], history[monitor], markersize=5, label=start)
        plots.label(ax, loss, "fine-tuning epoch", ylim=(0, None))
        plots.mark_epochs(ax, next(iter(runs.values()))["epoch"])
    axes[0].set_ylabel(f"validation {monitor}")
    plots.legend_below(axes[0])
    return axes


@plots.style()
def zero_rule(
    positives: Sequence[int], authors: Sequence[float], removed: Sequence[float], measured: Sequence[float]
) -> Axes:
    """HR@10 against how many items score above 0, a marker a measurement; measured: a band on that axis.

    authors: with seen items at score 0. removed: with seen items taken out.
    """
    ax = plots.panels(1, 1, 7.5, 3.4)[0, 0]
    ax.axvspan(*measured, color="0.88", zorder=0)
    ax.text(np.sqrt(measured[0] * measured[1]), 0.01, "measured\non LastFM", ha="center", fontsize=9, color="0.25")
    around = {"markersize": 10, "markerfacecolor": "none", "markeredgewidth": 2, "label": "seen items removed"}
    plots.dots(ax, 0, positives, removed, **around)
    plots.dots(ax, 1, positives, authors, markersize=5, label="seen items at score 0")
    ax.set_xscale("symlog", linthresh=1)
    limits: dict[str, Any] = {"xlim": (-0.15, None), "ylim": (-0.002, None)}
    plots.label(ax, "", "items with a score above 0", "HR@10, mean over users", **limits)
    ax.legend(loc="center", bbox_to_anchor=(0.68, 0.35))
    return ax


@plots.style()
def slopes(sampled: Mapping[str, Any], full: Mapping[str, Any], metric: str, marked: Sequence[str]) -> np.ndarray:
    """Ranks of the shared methods under two protocols, a panel a data set; ``marked`` methods stand out.

    Equal values get neighbouring ranks, so that no name hides another.
    """
    axes = plots.panels(2, 3, 3.25, 3.3)
    for ax, name in zip(axes.flat, [name for name in full if name != "source"], strict=True):
        methods = shared_methods(sampled[name][metric], full[name][metric])
        values = pd.DataFrame({side: table[name][metric] for side, table in enumerate((sampled, full))})
        ranks = values.loc[methods].rank(ascending=False, method="first")
        for method, ends in ranks.iterrows():
            line: dict[str, Any] = {"color": "0.72", "marker": "o", "linestyle": "-", "linewidth": 1, "zorder": 2}
            line["markersize"] = 4
            font = {"color": "0.4", "weight": "normal"}
            if method in marked:
                line = plots.look(marked.index(method), linewidth=2.4, markersize=7, zorder=3)
                font = {"color": line["color"], "weight": "bold"}
            ax.plot([0, 1], ends, **line)
            for x, end, side in ((-0.08, ends[0], "right"), (1.08, ends[1], "left")):
                ax.text(x, end, method, ha=side, va="center", fontsize=8.5, **font)
        ticks: dict[str, Any] = {"xticks": [0, 1], "xticklabels": ["99 negatives", "all items"], "yticks": [1, 5, 10]}
        limits: dict[str, Any] = {"xlim": (-0.85, 1.85), "ylim": (len(methods) + 0.5, 0.5)}
        plots.label(ax, NAMES[name], no_grid="both", **ticks, **limits)
    for ax in axes[:, 0]:
        ax.set_ylabel(f"rank by {metric}, 1 = best")
    return axes


def shared_methods(first: Mapping[str, float], second: Mapping[str, float]) -> list[str]:
    """The methods that both published rows hold, best of the first row on top."""
    return sorted((name for name in first if name in second and name != "improvement"), key=lambda name: -first[name])


@plots.style()
def worth_of_ranks(shares: np.ndarray, curves: Mapping[str, np.ndarray], num_items: int, cutoff: float) -> np.ndarray:
    """What one user adds to a metric against the full rank: the top of the list, and the whole catalogue.

    shares: full rank / num_items. curves: label to gains. cutoff: ranks up to this one in the left panel.
    """
    top, whole = axes = plots.panels(1, 2, 4.6, 3.4, sharey=True)[0]
    for ax, scale in ((top, num_items), (whole, 100)):
        plots.curves(ax, shares * scale, curves, lines=("-", "-", "--", "--"), marker=None, linewidth=2)
    x_label = f"full rank of the target, of {num_items:,} items"
    plots.label(top, "", x_label, "worth of this user", xlim=(0, cutoff))
    plots.label(whole, "", "full rank, percent of the catalogue", xlim=(0, 25))
    plots.legend_below(top)
    return axes


@plots.style()
def resolution(
    differences: pd.DataFrame, users: np.ndarray, detectable: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> np.ndarray:
    """Left: measured differences with intervals (columns label, difference, low, high). Right: what can be detected.

    detectable: label to smallest detectable difference for each number of ``users``; sizes: data set to users.
    """
    left, right = axes = plots.panels(1, 2, 4.8, 3.6)[0]
    rows = -np.arange(len(differences))
    left.axvline(0, color="0.4", linewidth=1)
    values, bounds = differences["difference"], differences[["low", "high"]].T
    plots.intervals(left, 0, rows, values, bounds, along="x", markersize=7)
    left.set_yticks(rows, differences["label"])
    left.margins(y=0.15)
    plots.label(left, "", "HR@10: S3-Rec minus SASRec, 95% interval")

    plots.curves(right, users, detectable, marker=None, linewidth=2)
    for name, count in sizes.items():
        right.axvline(count, color="0.7", linewidth=1, zorder=0)
        right.text(count, 0.09, f" {NAMES[name]}", rotation=90, ha="right", va="top", fontsize=9, color="0.35")
    plots.label(right, "", "users", "detectable difference in HR@10", xscale="log", ylim=(0, 0.09))
    right.figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncol=3)
    return axes


@plots.style()
def seed_dots(rows: pd.DataFrame, metric: str, printed: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """One dot a fine-tuning seed, a panel a protocol; printed: protocol to label to the published value."""
    axes = plots.panels(1, len(printed), 4.6, 3.4)[0]
    for ax, (protocol, published) in zip(axes, printed.items(), strict=True):
        ranked = rows[rows["protocol"] == protocol]
        top = max(ranked[metric].max(), *published.values())
        for x, (label, value) in enumerate(published.items()):
            runs = ranked[(ranked["pretraining_epochs"] > 0) == (label == "S3-Rec")].sort_values(metric)
            index = plots.WITH if label == "S3-Rec" else plots.WITHOUT
            plots.dots(ax, index, np.full(len(runs), x), runs[metric], markersize=9, alpha=0.85)
            height = -np.inf
            for seed, result in zip(runs["seed"], runs[metric], strict=True):  # from below, no label upon another
                height = max(result, height + 0.065 * top)
                ax.text(x + 0.07, height, f"seed {seed}", fontsize=9, va="center")
            ax.hlines(value, x - 0.25, x + 0.03, color="0.3", linestyle=":", linewidth=2)
            ax.text(x - 0.27, value, "printed", ha="right", va="center", fontsize=9, color="0.3")
        title = plots.PROTOCOL_TITLES[protocol] if protocol == "full" else "99 negatives"
        ax.set_xticks(range(2), ["no pre-training", "released checkpoint"])
        plots.label(ax, title, "", f"test {metric}", no_grid="x", xlim=(-0.7, 1.5), ylim=(0, 1.2 * top))
    return axes
