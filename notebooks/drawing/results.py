"""Figures of the last chapter: recorded runs beside printed rows, differences with intervals, measured bounds.

They are drawn outside of `plots.style` but for their axes: their legends have a frame.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from s3rec_lite.figures import plots
from s3rec_lite.support.config import OBJECTIVES


def beside_printed(frame: pd.DataFrame) -> np.ndarray:
    """The kit's values with intervals beside printed ones; a panel a protocol.

    frame: columns protocol, metric, model, value, low, high, printed.
    """
    protocols = frame.groupby("protocol", sort=False)
    axes = plots.panels(1, len(protocols), 4.7, 3.4)[0]
    for ax, (protocol, part) in zip(axes, protocols, strict=True):
        metrics = list(dict.fromkeys(part["metric"]))
        for model, rows in part.groupby("model", sort=False):
            index = plots.WITH if model == "S3Rec" else plots.WITHOUT
            x = np.array([metrics.index(metric) for metric in rows["metric"]]) + 0.3 * (index - 0.5)
            label = f"{model}, this kit (95% interval)"
            plots.intervals(ax, index, x, rows["value"], rows[["low", "high"]].T, linewidth=2, label=label)
            cross = {"marker": "x", "markersize": 9, "markeredgewidth": 2.5, "label": f"{model}, printed"}
            plots.dots(ax, index, x + 0.09, rows["printed"], **cross)
        plots.label_columns(ax, metrics)
        plots.label(ax, str(protocol), "", "mean over users" if ax is axes[0] else "", ylim=(0, None))
    plots.legend_below(axes[0], 2)
    return axes


def differences(rows: pd.DataFrame, labels: Sequence[str], protocols: Mapping[str, str]) -> np.ndarray:
    """Differences with 95% intervals, a line a comparison, a panel a protocol, both panels on one axis with zero in it.

    Thick: the interval over users; the dot is hollow where chance over users would do. Thin, below: the interval over
    seeds of those rows that are means over seeds.

    rows: comparisons of the study record, one metric, with "over_seeds" (low, high) or None. labels: for the lines, by
    their order in ``rows``. protocols: name in the record to title.
    """
    blue = plots.palette()[0]
    axes = plots.panels(1, len(protocols), 4.7, 0.55 * len(labels) + 1.7, sharex=True, sharey=True)[0]
    for ax, (protocol, title) in zip(axes, protocols.items(), strict=True):
        part = rows[rows["protocol"] == protocol].to_dict("records")
        for y, row in enumerate(part):
            ax.plot(row["interval"], [y, y], color=blue, linewidth=2.5)
            filling = blue if row["larger_than_chance"] else "white"
            ax.plot(row["difference"], y, "o", color=blue, markersize=9, markerfacecolor=filling, markeredgewidth=2)
            if row["over_seeds"]:
                ax.plot(row["over_seeds"], [y + 0.28] * 2, "|-", color="0.35", linewidth=1, markersize=6)
        ax.axvline(0, color="0.3", linewidth=1)
        ax.xaxis.set_major_locator(MaxNLocator(5))
        plots.label_rows(ax, labels)
        plots.label(ax, title, f"difference in {part[0]['metric']}", no_grid="y")
    axes[0].plot([], [], color=blue, linewidth=2.5, label="95% interval over users")
    axes[0].plot([], [], "|-", color="0.35", linewidth=1, markersize=6, label="95% interval over seeds")
    plots.legend_below(axes[0])
    return axes


def measured_information(frame: pd.DataFrame, cap: float, truth: float) -> Axes:
    """What the four critics show after each number of pre-training epochs, in nats: mean and range of the seeds.

    frame: columns epochs, seed, AAP, MIP, MAP and SP, a row a model. cap: log K. truth: exact information of item
    and attribute.
    """
    ax = plots.panels(1, 1, 8.2, 4.0)[0, 0]
    by_length = frame.groupby("epochs")
    epochs = list(by_length.groups)
    for index, name in enumerate(OBJECTIVES):
        values = by_length[name.upper()].agg(["mean", "min", "max"])  # [E, 3]
        look: dict[str, Any] = {"linestyle": "-", "markersize": 7, "capsize": 3, "label": name.upper()}
        plots.intervals(ax, index, epochs, values["mean"], values[["min", "max"]].T, **look)
    levels = (("item and attribute, exact", truth, "--", 4), (f"cap log K = {cap:.2f}", cap, ":", -13))
    for text, nats, line, offset in levels:
        ax.axhline(nats, color="0.3", linestyle=line, linewidth=1)
        ax.annotate(text, (epochs[-1], nats), (0, offset), textcoords="offset points", ha="right")
    limits: dict[str, Any] = {"xticks": epochs, "ylim": (-0.05, cap + 0.3)}
    plots.label(ax, "", "pre-training epochs", "information shown [nats]", **limits)
    ax.legend(loc="upper left", ncol=4, bbox_to_anchor=(0.0, 0.9))
    return ax


def ratios(frame: pd.DataFrame) -> Axes:
    """S3-Rec over SASRec, percent, a dot a published pair, grouped by source.

    frame: columns source and gain (percent).
    """
    sources = {source: rows["gain"] for source, rows in frame.groupby("source", sort=False)}
    ax = plots.panels(1, 1, 8.6, 0.5 * len(sources) + 1.4)[0, 0]
    for y, gains in enumerate(sources.values()):
        plots.dots(ax, y % 8, gains, [y] * len(gains), marker=plots.MARKERS[y % 5], markersize=9, alpha=0.8)
    ax.axvline(0, color="0.3", linewidth=1)
    plots.label_rows(ax, [str(source) for source in sources])
    plots.label(ax, "", "HR@10 of S3-Rec over SASRec [%]", no_grid="y")
    return ax
