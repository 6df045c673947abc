"""Every figure of the kit: data in, matplotlib Axes out; and how a figure is saved.

Colours are seaborn's "colorblind" palette, and no figure relies on colour alone. Nothing here changes
matplotlib's global settings: figures are made outside pyplot (in a notebook: make the axes yourself and
pass them in).
"""

import io
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from s3rec_lite.support.config import OBJECTIVES
from s3rec_lite.support.files import write_bytes

OBJECTIVE_TITLES = {
    "aap": "AAP: item and attributes",
    "mip": "MIP: sequence and item",
    "map": "MAP: sequence and attributes",
    "sp": "SP: sequence and segment",
}
PROTOCOL_TITLES = {
    "full": "full ranking",
    "sampled": "drawn negatives",
    "given": "the authors' negatives",
    "authors": "the authors' full ranking",
    "unfiltered": "full ranking, history kept",
}
MARKERS = ("o", "s", "^", "D", "v")
DPI = 150


def palette() -> list[tuple[float, float, float]]:
    """The colours of all figures, safe for colour-blind readers."""
    return list(sns.color_palette("colorblind"))


def style() -> AbstractContextManager:
    """The look of all figures, as a context: nothing outside of it changes."""
    settings = {
        **sns.axes_style("whitegrid"),
        **sns.plotting_context("notebook"),
        "axes.edgecolor": "0.4",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 12,
        "axes.titleweight": "normal",
        "axes.labelsize": 11,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "legend.fontsize": 10,
        "legend.frameon": False,
        "figure.facecolor": "white",
    }
    return mpl.rc_context(settings)


def panels(rows: int, columns: int, width: float, height: float, **options: Any) -> np.ndarray:
    """Empty axes [rows, columns] of a new figure; ``width`` and ``height`` of a panel in inches."""
    with style():
        figure = Figure(figsize=(columns * width, rows * height), layout="constrained")
        return figure.subplots(rows, columns, squeeze=False, **options)


def loss_curves(
    history: pd.DataFrame | Mapping[str, Sequence[float]],
    axes: Sequence[Axes] | None = None,
    *,
    reduction: str = "sum",
    title: str | None = None,
) -> list[Axes]:
    """The losses of the four objectives against the epoch, a panel each.

    history: what `pretrain` returned, or its columns. axes: four axes to draw in; None makes them.
    reduction: what the losses are means of: sequences for "sum", terms for "mean" (the setting of that name).
    """
    with style():
        drawn = list(panels(2, 2, 4.2, 2.9, sharex=True).flat) if axes is None else list(axes)
        unit = "nats per sequence" if reduction == "sum" else "nats per term"
        for index, (name, place) in enumerate(zip(OBJECTIVES, drawn, strict=True)):
            marker = MARKERS[index] if len(history["epoch"]) <= 30 else None
            place.plot(history["epoch"], history[name], color=palette()[index], marker=marker, markersize=5)
            place.set_title(OBJECTIVE_TITLES[name], loc="left")
            place.set_ylabel(f"loss [{unit}]")
            mark_epochs(place, history["epoch"])
            place.margins(y=0.12)
            place.grid(axis="x", visible=False)
        for place in drawn[-2:]:
            place.set_xlabel("pre-training epoch")
        if title:
            drawn[0].figure.suptitle(title, x=0.01, ha="left")
    return drawn


def mark_epochs(ax: Axes, epochs: Sequence[int]) -> None:
    """Ticks at whole epochs only, also when there is just one."""
    ax.xaxis.set_major_locator(FixedLocator(epochs) if len(epochs) == 1 else MaxNLocator(integer=True))


def validation_curves(
    histories: Mapping[str, pd.DataFrame | Mapping[str, Sequence[float]]],
    monitor: str,
    ax: Axes | None = None,
    *,
    title: str | None = None,
) -> Axes:
    """The validation metric against the fine-tuning epoch, a line a model; a large marker is the best epoch.

    histories: label to what `finetune` returned (or its columns). monitor: the column, such as "NDCG@10".
    """
    with style():
        ax = panels(1, 1, 7.0, 4.0)[0, 0] if ax is None else ax
        for index, (label, history) in enumerate(histories.items()):
            epochs, values = np.asarray(history["epoch"]), np.asarray(history[monitor], dtype=float)
            if not len(values):
                continue
            colour, best = palette()[index], int(values.argmax())
            ax.plot(epochs, values, color=colour, linestyle=("-", "--", ":", "-.")[index % 4], label=label)
            ax.plot(
                epochs[best], values[best], MARKERS[index % 5], color=colour, markersize=10,
                markeredgecolor="white", label=f"best: {values[best]:.4f} after {epochs[best]} epochs",
            )  # fmt: skip
        ax.set_xlabel("fine-tuning epoch")
        ax.set_ylabel(f"validation {monitor}")
        ax.set_ylim(bottom=0)
        mark_epochs(ax, max((history["epoch"] for history in histories.values()), key=len, default=[]))
        ax.grid(axis="x", visible=False)
        if ax.get_legend_handles_labels()[0]:
            ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), ncol=min(2, len(histories)))
        if title:
            ax.set_title(title, loc="left")
    return ax


def comparison(
    reports: Mapping[str, Mapping[str, Mapping[str, Any]]],
    metrics: Sequence[str] = ("HR@10", "NDCG@10", "MRR"),
    axes: Sequence[Axes] | None = None,
    *,
    title: str | None = None,
) -> list[Axes]:
    """Metrics of several models with their 95% intervals: dots with error bars, a panel for each protocol.

    reports: label of the model to protocol to ``Report.to_dict()``. Chance is a short grey line.
    """
    with style():
        protocols = [name for name in PROTOCOL_TITLES if all(name in report for report in reports.values())]
        drawn = list(panels(1, len(protocols), 4.6, 4.0).flat) if axes is None else list(axes)
        places = np.arange(len(metrics))
        spread = 0.3 * (np.arange(len(reports)) - (len(reports) - 1) / 2) / max(1, len(reports) - 1)
        for place, protocol in zip(drawn, protocols, strict=True):
            for index, (label, report) in enumerate(reports.items()):
                facts = report[protocol]
                values = np.array([facts["metrics"][name] for name in metrics])
                bounds = np.array([facts["intervals"][name] for name in metrics]).T  # [2, metrics]
                place.errorbar(
                    places + spread[index], values, yerr=np.abs(bounds - values), label=label,
                    color=palette()[index], fmt=MARKERS[index % 5], markersize=8, capsize=4, linewidth=2, clip_on=False,
                )  # fmt: skip
            chance = [facts["chance"][name] for name in metrics]
            place.hlines(chance, places - 0.3, places + 0.3, color="0.45", linestyle=":", label="chance")
            place.set_xticks(places, metrics)
            place.set_xlim(-0.6, len(metrics) - 0.4)
            place.set_ylim(bottom=0)
            place.set_ylabel("mean over users, 95% interval" if place is drawn[0] else "")
            place.set_title(_protocol_title(protocol, facts), loc="left")
            place.grid(axis="x", visible=False)
        if axes is None:
            handles, labels = drawn[0].get_legend_handles_labels()
            drawn[0].figure.legend(handles, labels, loc="outside lower center", ncol=len(labels))
        else:
            drawn[0].legend()
        if title:
            drawn[0].figure.suptitle(title, x=0.01, ha="left")
    return drawn


def _protocol_title(protocol: str, facts: Mapping[str, Any]) -> str:
    if protocol == "sampled":
        return f"{facts['candidates']['most'] - 1} drawn negatives"
    return PROTOCOL_TITLES[protocol]


def record_figures(runs: Sequence[Mapping[str, Any]], folder: str | Path, head: str) -> list[Path]:
    """The figures of a reproduction, ``folder/<head>-pretraining-losses.png`` and so on, from its run records.

    A figure without anything to show (no epochs) is left out. Returns the paths.
    """
    labels = {label_of(run): run for run in runs}
    first = runs[0]
    what = f"{first['data']['name']}, seed {first['seed']}"
    makers = {"pretraining-losses": _record_losses, "validation": _record_validation, "comparison": _record_tests}
    drawn = {name: maker(labels, what) for name, maker in makers.items()}
    return [
        save_figure(made[0], Path(folder) / f"{head}-{name}.png", made[1])
        for name, made in drawn.items()
        if made is not None
    ]


def label_of(run: Mapping[str, Any]) -> str:
    """How figures call the model of a run."""
    return f"{run['model']} ({'with' if run['settings']['pretrain'] else 'without'} pre-training)"


def _record_losses(labels: Mapping[str, Mapping[str, Any]], what: str) -> tuple[Figure, str] | None:
    run = next((run for run in labels.values() if run["settings"]["pretrain"]), None)
    losses = run["history"]["pretraining"] if run else None
    if not losses:
        return None
    axes = loss_curves(losses, reduction=run["settings"]["pretrain"]["reduction"], title=f"Pre-training losses: {what}")
    changes = [f"{name.upper()} from {losses[name][0]:.4g} to {losses[name][-1]:.4g}" for name in OBJECTIVES]
    alt = (
        f"Four line charts of the pre-training losses on {what}, in nats, over {len(losses['epoch'])} epochs: "
        f"{', '.join(changes)}."
    )
    return axes[0].figure, alt


def _record_validation(labels: Mapping[str, Mapping[str, Any]], what: str) -> tuple[Figure, str] | None:
    if not all(run["history"]["finetuning"] for run in labels.values()):
        return None
    monitor = next(iter(labels.values()))["validation"]["metric"]
    histories = {label: run["history"]["finetuning"] for label, run in labels.items()}
    ax = validation_curves(histories, monitor, title=f"Validation during fine-tuning: {what}")
    best = [
        f"{label} reaches its best, {run['validation']['value']:.4f}, after {run['best_epoch']} epochs"
        for label, run in labels.items()
    ]
    return ax.figure, f"Line chart of validation {monitor} during fine-tuning on {what}: {'; '.join(best)}."


def _record_tests(labels: Mapping[str, Mapping[str, Any]], what: str) -> tuple[Figure, str]:
    metrics = ("HR@10", "NDCG@10", "MRR")
    axes = comparison({label: run["test"] for label, run in labels.items()}, metrics, title=f"Test results: {what}")
    values = [
        f"{label}, {_protocol_title(name, facts)}: "
        + ", ".join(f"{metric} {facts['metrics'][metric]:.4f}" for metric in metrics)
        for label, run in labels.items()
        for name, facts in run["test"].items()
    ]
    return axes[0].figure, f"Dots with 95% intervals of the test results on {what}. {'; '.join(values)}."


def save_figure(figure: Figure, path: str | Path, alt: str) -> Path:
    """Write a figure as PNG and its description for readers who cannot see it as ``<name>.txt`` beside it.

    The description is also in the PNG itself. The same figure gives the same bytes. Raises S3RecError when
    the folder cannot be written.
    """
    path, buffer = Path(path), io.BytesIO()
    with style():  # matplotlib makes the tick labels only now
        figure.savefig(
            buffer, format="png", dpi=DPI, bbox_inches="tight", facecolor="white",
            metadata={"Software": None, "Description": alt},
        )  # fmt: skip
    write_bytes(path, buffer.getvalue())
    write_bytes(path.with_suffix(".txt"), (alt + "\n").encode())
    return path
