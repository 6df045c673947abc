"""Figures of the last chapter: recorded runs beside printed rows, differences with intervals, measured bounds."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from s3rec_lite.figures import plots
from s3rec_lite.support.config import OBJECTIVES


def beside_printed(frame: pd.DataFrame) -> list[Axes]:
    """The kit's values with intervals beside printed ones; a panel a protocol.

    frame: columns protocol, metric, model, value, low, high, printed.
    """
    protocols = list(dict.fromkeys(frame["protocol"]))
    axes = list(plots.panels(1, len(protocols), 4.7, 3.4).flat)
    for ax, protocol in zip(axes, protocols, strict=True):
        part = frame[frame["protocol"] == protocol]
        metrics = list(dict.fromkeys(part["metric"]))
        for place, (model, rows) in enumerate(part.groupby("model", sort=False)):
            x = np.array([metrics.index(metric) for metric in rows["metric"]]) + 0.3 * (place - 0.5)
            spread = np.abs(rows[["low", "high"]].to_numpy().T - rows["value"].to_numpy())
            ax.errorbar(
                x, rows["value"], yerr=spread, fmt=plots.MARKERS[place], color=plots.palette()[place], capsize=4,
                markersize=8, linewidth=2, label=f"{model}, this kit (95% interval)",
            )  # fmt: skip
            ax.plot(
                x + 0.09, rows["printed"], linestyle="none", marker="x", markersize=9, markeredgewidth=2.5,
                color=plots.palette()[place], label=f"{model}, printed",
            )  # fmt: skip
        ax.set_xticks(range(len(metrics)), metrics)
        ax.set_xlim(-0.6, len(metrics) - 0.4)
        ax.set_ylim(bottom=0)
        ax.set_title(protocol, loc="left")
        ax.grid(axis="x", visible=False)
    axes[0].set_ylabel("mean over users")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(handles, labels, loc="outside lower center", ncol=2)
    return axes


def differences(rows: pd.DataFrame, labels: Sequence[str], protocols: Mapping[str, str]) -> list[Axes]:
    """Differences with 95% intervals, a line a comparison, a panel a protocol; hollow where chance would do.

    rows: comparisons of the study record, one metric. labels: for the lines, by their order in ``rows``.
    protocols: name in the record to title.
    """
    axes = list(plots.panels(1, len(protocols), 4.7, 0.55 * len(labels) + 1.5, sharey=True).flat)
    for ax, (protocol, title) in zip(axes, protocols.items(), strict=True):
        part = rows[rows["protocol"] == protocol].to_dict("records")
        for place, row in enumerate(part):
            low, high = row["interval"]
            sure = row["larger_than_chance"]
            ax.plot([low, high], [place, place], color=plots.palette()[0], linewidth=2)
            ax.plot(
                row["difference"], place, "o", markersize=9, color=plots.palette()[0],
                markerfacecolor=plots.palette()[0] if sure else "white", markeredgewidth=2,
            )  # fmt: skip
        ax.axvline(0, color="0.3", linewidth=1)
        ax.set_yticks(range(len(labels)), labels)
        ax.set_ylim(len(labels) - 0.5, -0.5)
        ax.set_title(title, loc="left")
        ax.xaxis.set_major_locator(MaxNLocator(5))
        ax.set_xlabel(f"difference in {part[0]['metric']}")
        ax.grid(axis="y", visible=False)
    return axes


def lines(
    curves: Mapping[str, pd.DataFrame], x_label: str, y_label: str, titles: Mapping[str, str], ticks: Sequence[float]
) -> list[Axes]:
    """Metric against what is varied, with a range; a panel for each key of ``titles``.

    curves: label to a frame with columns x and, for each protocol p of ``titles``, p, p_low, p_high.
    """
    axes = list(plots.panels(1, len(titles), 4.7, 3.2).flat)
    for ax, (protocol, title) in zip(axes, titles.items(), strict=True):
        for place, (label, frame) in enumerate(curves.items()):
            spread = np.abs(frame[[f"{protocol}_low", f"{protocol}_high"]].to_numpy().T - frame[protocol].to_numpy())
            ax.errorbar(
                frame["x"], frame[protocol], yerr=spread, marker=plots.MARKERS[place], capsize=4, markersize=7,
                linestyle=("-", "--")[place % 2], color=plots.palette()[place], label=label,
            )  # fmt: skip
        ax.set_xticks(list(ticks), [f"{tick:g}" for tick in ticks])
        ax.set_xlabel(x_label)
        ax.set_title(title, loc="left")
        ax.margins(y=0.3)
    axes[0].set_ylabel(y_label)
    if len(curves) > 1:
        axes[0].legend(loc="lower right")
    return axes


def measured_information(frame: pd.DataFrame, cap: float, truth: float) -> Axes:
    """What the four critics show after each number of pre-training epochs, in nats: mean and range of the seeds.

    frame: columns epochs, seed, AAP, MIP, MAP and SP, a row a model. cap: log K. truth: exact information of item
    and attribute.
    """
    ax = plots.panels(1, 1, 8.2, 4.0)[0, 0]
    by_length = frame.groupby("epochs")
    epochs = list(by_length.groups)
    for place, name in enumerate(OBJECTIVES):
        values = by_length[name.upper()].agg(["mean", "min", "max"])  # [E, 3]
        ax.errorbar(
            epochs, values["mean"], yerr=[values["mean"] - values["min"], values["max"] - values["mean"]],
            marker=plots.MARKERS[place], color=plots.palette()[place], capsize=3, markersize=7, label=name.upper(),
        )  # fmt: skip
    ax.axhline(truth, color="0.3", linestyle="--", linewidth=1)
    ax.annotate("item and attribute, exact", (epochs[-1], truth), (0, 4), textcoords="offset points", ha="right")
    ax.axhline(cap, color="0.3", linestyle=":", linewidth=1)
    ax.annotate(f"cap log K = {cap:.2f}", (epochs[-1], cap), (0, -13), textcoords="offset points", ha="right")
    ax.set_xticks(epochs)
    ax.set_ylim(min(0, -0.05), cap + 0.3)
    ax.set_xlabel("pre-training epochs")
    ax.set_ylabel("information shown [nats]")
    ax.legend(loc="upper left", ncol=4, bbox_to_anchor=(0.0, 0.9))
    return ax


def ratios(frame: pd.DataFrame) -> Axes:
    """S3-Rec over SASRec, percent, a dot a published pair, grouped by source.

    frame: columns source and gain (percent).
    """
    sources = list(dict.fromkeys(frame["source"]))
    ax = plots.panels(1, 1, 8.6, 0.5 * len(sources) + 1.4)[0, 0]
    for place, source in enumerate(sources):
        gains = frame.loc[frame["source"] == source, "gain"]
        colour = plots.palette()[place % 8]
        ax.plot(gains, [place] * len(gains), plots.MARKERS[place % 5], color=colour, markersize=9, alpha=0.8)
    ax.axvline(0, color="0.3", linewidth=1)
    ax.set_yticks(range(len(sources)), sources)
    ax.set_ylim(len(sources) - 0.5, -0.5)
    ax.set_xlabel("HR@10 of S3-Rec over SASRec [%]")
    ax.grid(axis="y", visible=False)
    return ax
