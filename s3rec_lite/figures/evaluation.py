"""The figures of chapter 9: losses, protocols, ranks and intervals. Data in, matplotlib Axes out."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from s3rec_lite.figures import plots

NAMES = {
    "meituan": "Meituan", "beauty": "Beauty", "sports": "Sports", "toys": "Toys", "yelp": "Yelp",
    "lastfm": "LastFM", "ml-100k": "MovieLens-100k",
}  # fmt: skip
"""how figures and tables call the data sets"""
LINES = ("-", "--", ":")


def frozen_gradient(scores: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Value and gradient of writings of one loss, a panel each; curves: label to (values, gradients)."""
    with plots.style():
        axes = plots.panels(1, 2, 4.6, 3.3)
        for index, (label, lines) in enumerate(curves.items()):
            for ax, line in zip(axes[0], lines, strict=True):
                ax.plot(scores, line, LINES[index], color=plots.palette()[index], linewidth=2.5 - index, label=label)
        axes[0, 0].set_ylabel("loss [nats]")
        axes[0, 1].set_ylabel("derivative of the loss")
        for ax in axes[0]:
            ax.set_xlabel("score of the negative item")
        axes[0, 0].legend(loc="upper left")
    return axes


def finetuning_curves(histories: Mapping[tuple[str, str], pd.DataFrame], monitor: str) -> np.ndarray:
    """Validation metric against the epoch, a panel a loss; histories: (loss, start) to what `finetune` returned."""
    losses = list(dict.fromkeys(loss for loss, _ in histories))
    with plots.style():
        axes = plots.panels(1, len(losses), 3.2, 3.2, sharey=True)
        for ax, loss in zip(axes[0], losses, strict=True):
            runs = [(start, history) for (other, start), history in histories.items() if other == loss]
            for index, (start, history) in enumerate(runs):
                ax.plot(
                    history["epoch"], history[monitor], LINES[index], marker=plots.MARKERS[index], markersize=5,
                    color=plots.palette()[index], label=start,
                )  # fmt: skip
            ax.set_title(loss, loc="left")
            ax.set_xlabel("fine-tuning epoch")
            ax.set_ylim(bottom=0)
            plots.mark_epochs(ax, runs[0][1]["epoch"])
        axes[0, 0].set_ylabel(f"validation {monitor}")
        axes[0, 0].figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncol=2)
    return axes


def zero_rule(positives: np.ndarray, authors: np.ndarray, full: float, measured: Sequence[float]) -> Axes:
    """HR@10 with seen items at score 0 against how many items score above 0; measured: a band on that axis."""
    with plots.style():
        ax = plots.panels(1, 1, 7.5, 3.4)[0, 0]
        colours = plots.palette()
        ax.axvspan(*measured, color="0.88", zorder=0)
        ax.text(np.sqrt(measured[0] * measured[1]), 0.01, "measured\non LastFM", ha="center", fontsize=9, color="0.25")
        ax.axhline(full, color=colours[0], linewidth=2, label="seen items removed")
        ax.plot(positives, authors, "--", marker="s", markersize=5, color=colours[1], label="seen items at score 0")
        ax.set_xscale("symlog", linthresh=1)
        ax.set_xlim(left=-0.1)
        ax.set_ylim(bottom=0)
        ax.set_xlabel("items with a score above 0")
        ax.set_ylabel("HR@10, mean over users")
        ax.legend(loc="center", bbox_to_anchor=(0.68, 0.35))
    return ax


def slopes(sampled: Mapping[str, Any], full: Mapping[str, Any], metric: str, marked: Sequence[str]) -> np.ndarray:
    """Ranks of the shared methods under two protocols, a panel a data set; ``marked`` methods stand out.

    Equal values get neighbouring ranks, so that no name hides another.
    """
    with plots.style():
        axes = plots.panels(2, 3, 3.25, 3.3)
        for ax, name in zip(axes.flat, [name for name in full if name != "source"], strict=True):
            methods = shared_methods(sampled[name][metric], full[name][metric])
            ranks = [
                pd.Series({method: table[name][metric][method] for method in methods}).rank(
                    ascending=False, method="first"
                )
                for table in (sampled, full)
            ]
            for method in methods:
                place = marked.index(method) if method in marked else None
                colour = "0.72" if place is None else plots.palette()[place]
                style = {"linestyle": "-", "linewidth": 1, "markersize": 4, "zorder": 2, "marker": "o"}
                if place is not None:
                    style = {"linestyle": LINES[place], "linewidth": 2.4, "markersize": 7, "zorder": 3}
                    style["marker"] = plots.MARKERS[place]
                ends = [ranks[0][method], ranks[1][method]]
                ax.plot([0, 1], ends, color=colour, **style)
                for side, end in enumerate(ends):
                    ax.text(
                        (-0.08, 1.08)[side], end, method, ha=("right", "left")[side], va="center", fontsize=8.5,
                        color="0.4" if place is None else colour, weight="normal" if place is None else "bold",
                    )  # fmt: skip
            ax.set_title(NAMES[name], loc="left")
            ax.set_xticks([0, 1], ["99 negatives", "all items"])
            ax.set_xlim(-0.85, 1.85)
            ax.set_ylim(len(methods) + 0.5, 0.5)
            ax.set_yticks([1, 5, 10])
            ax.grid(visible=False)
        for ax in axes[:, 0]:
            ax.set_ylabel(f"rank by {metric}, 1 = best")
    return axes


def shared_methods(first: Mapping[str, float], second: Mapping[str, float]) -> list[str]:
    """The methods that both published rows hold, best of the first row on top."""
    return sorted((name for name in first if name in second and name != "improvement"), key=lambda name: -first[name])


def worth_of_ranks(shares: np.ndarray, curves: Mapping[str, np.ndarray], num_items: int, cutoff: float) -> np.ndarray:
    """What one user adds to a metric against the full rank: the top of the list, and the whole catalogue.

    shares: full rank / num_items. curves: label to gains. cutoff: ranks up to this one in the left panel.
    """
    with plots.style():
        axes = plots.panels(1, 2, 4.6, 3.4, sharey=True)
        for ax, scale in zip(axes[0], (num_items, 100), strict=True):
            for index, (label, gains) in enumerate(curves.items()):
                ax.plot(
                    shares * scale, gains, LINES[index // 2], color=plots.palette()[index], linewidth=2, label=label
                )
        axes[0, 0].set_xlim(0, cutoff)
        axes[0, 1].set_xlim(0, 25)
        axes[0, 0].set_xlabel(f"full rank of the target, of {num_items:,} items")
        axes[0, 1].set_xlabel("full rank, percent of the catalogue")
        axes[0, 0].set_ylabel("worth of this user")
        axes[0, 0].figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncol=4)
    return axes


def resolution(
    differences: pd.DataFrame, users: np.ndarray, detectable: Mapping[str, np.ndarray], sizes: Mapping[str, int]
) -> np.ndarray:
    """Left: measured differences with intervals (columns label, difference, low, high). Right: what can be detected.

    detectable: label to smallest detectable difference for each number of ``users``; sizes: data set to users.
    """
    with plots.style():
        axes = plots.panels(1, 2, 4.8, 3.6)
        left, right = axes[0]
        places = -np.arange(len(differences))
        left.axvline(0, color="0.4", linewidth=1)
        errors = np.abs(differences[["low", "high"]].to_numpy().T - differences["difference"].to_numpy())
        left.errorbar(
            differences["difference"], places, xerr=errors, fmt="o", color=plots.palette()[0], capsize=4, markersize=7
        )
        left.set_yticks(places, differences["label"])
        left.set_xlabel("HR@10: S3-Rec minus SASRec, 95% interval")
        left.margins(y=0.15)
        for index, (label, values) in enumerate(detectable.items()):
            right.plot(users, values, LINES[index], color=plots.palette()[index], linewidth=2, label=label)
        for name, count in sizes.items():
            right.axvline(count, color="0.7", linewidth=1, zorder=0)
            right.text(count, 0.09, f" {NAMES[name]}", rotation=90, ha="right", va="top", fontsize=9, color="0.35")
        right.set_xscale("log")
        right.set_ylim(0, 0.09)
        right.set_xlabel("users")
        right.set_ylabel("detectable difference in HR@10")
        left.figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncol=3)
    return axes


def seed_dots(rows: pd.DataFrame, metric: str, printed: Mapping[str, Mapping[str, float]]) -> np.ndarray:
    """One dot a fine-tuning seed, a panel a protocol; printed: protocol to label to the published value."""
    with plots.style():
        protocols = list(printed)
        axes = plots.panels(1, len(protocols), 4.6, 3.4)
        for ax, protocol in zip(axes[0], protocols, strict=True):
            of = rows[rows["protocol"] == protocol]
            top = max(of[metric].max(), *printed[protocol].values())
            for place, (label, value) in enumerate(printed[protocol].items()):
                dots = of[(of["pretraining_epochs"] > 0) == (label == "S3-Rec")].sort_values(metric)
                ax.plot(
                    np.full(len(dots), place), dots[metric], plots.MARKERS[place], linestyle="none", markersize=9,
                    color=plots.palette()[place], alpha=0.85,
                )  # fmt: skip
                height = -np.inf
                for _, row in dots.iterrows():  # labels from below, none upon another
                    height = max(row[metric], height + 0.065 * top)
                    ax.text(place + 0.07, height, f"seed {row['seed']}", fontsize=9, va="center")
                ax.hlines(value, place - 0.25, place + 0.03, color="0.3", linestyle=":", linewidth=2)
                ax.text(place - 0.27, value, "printed", ha="right", va="center", fontsize=9, color="0.3")
            ax.set_xticks(range(2), ["no pre-training", "released checkpoint"])
            ax.set_xlim(-0.7, 1.5)
            ax.set_ylim(0, 1.2 * top)
            ax.set_ylabel(f"test {metric}")
            ax.set_title(plots.PROTOCOL_TITLES[protocol] if protocol == "full" else "99 negatives", loc="left")
            ax.grid(axis="x", visible=False)
    return axes
