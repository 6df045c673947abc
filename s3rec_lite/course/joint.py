"""Figures of the chapter on pre-training: numbers in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter

from s3rec_lite.figures.plots import MARKERS, OBJECTIVE_TITLES, mark_epochs, palette, panels, style
from s3rec_lite.support.config import OBJECTIVES

SHORT = tuple(name.upper() for name in OBJECTIVES)
HATCHES = ("", "//", "..", "xx")


def share_rows(rows: Mapping[str, Sequence[float]]) -> Axes:
    """Shares of the four objectives, a row for each entry, on a logarithmic axis; shares between 0 and 1."""
    with style():
        ax = panels(1, 1, 8.4, 0.42 * len(rows) + 1.3)[0, 0]
        places = np.arange(len(rows))[::-1]
        for index, name in enumerate(OBJECTIVES):
            values = [100 * row[index] for row in rows.values()]
            ax.plot(
                values, places, MARKERS[index], color=palette()[index], markersize=9,
                markeredgecolor="white", label=name.upper(), zorder=3,
            )  # fmt: skip
        ax.hlines(places, 0.006, 100, color="0.85", zorder=1)
        ax.set_xscale("log")
        ax.set_xlim(0.006, 100)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}%"))
        ax.set_yticks(places, list(rows))
        ax.set_ylim(-0.6, len(rows) - 0.4)
        ax.set_xlabel("share of the joint loss at step 0 (logarithmic axis)")
        ax.grid(axis="y", visible=False)
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.17), ncol=4)
    return ax


def share_bars(panels_of_bars: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Axes]:
    """A panel for each kind of share: a group of four bars for each moment of training; shares between 0 and 1."""
    with style():
        drawn = list(panels(1, len(panels_of_bars), 4.6, 3.4, sharey=True).flat)
        for place, (title, moments) in zip(drawn, panels_of_bars.items(), strict=True):
            for index, name in enumerate(OBJECTIVES):
                values = [100 * share[index] for share in moments.values()]
                bars = place.bar(
                    np.arange(len(moments)) + 0.2 * (index - 1.5), values, 0.19, color=palette()[index],
                    hatch=HATCHES[index], edgecolor="white", linewidth=0, label=name.upper(),
                )  # fmt: skip
                place.bar_label(
                    bars, [f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in values], fontsize=8
                )
            place.set_xticks(np.arange(len(moments)), list(moments))
            place.set_title(title, loc="left")
            place.set_ylim(0, 105)
            place.grid(axis="x", visible=False)
        drawn[0].set_ylabel("share [%]")
        handles, labels = drawn[0].get_legend_handles_labels()
        drawn[0].figure.legend(handles, labels, loc="outside lower center", ncol=4)
    return drawn


def cosine_maps(matrices: Mapping[str, np.ndarray]) -> list[Axes]:
    """Cosines between the four gradients, a 4 x 4 map for each moment of training, three in a row."""
    with style():
        drawn = list(panels(-(-len(matrices) // 3), 3, 3.0, 3.0).flat)
        for place, (title, matrix) in zip(drawn, matrices.items(), strict=True):
            place.imshow(matrix, vmin=-1, vmax=1, cmap="PuOr_r")
            for row, column in np.ndindex(*matrix.shape):
                value = matrix[row, column]
                place.text(
                    column, row, f"{value:.2f}".replace("-0.00", "0.00"), ha="center", va="center", fontsize=10,
                    color="white" if abs(value) > 0.65 else "black",
                )  # fmt: skip
            place.set_xticks(range(4), SHORT)
            place.set_yticks(range(4), SHORT if place in drawn[::3] else [""] * 4)
            place.set_title(title, loc="left")
            place.grid(visible=False)
            place.tick_params(length=0)
    return drawn


def weight_sweep(weights: np.ndarray, series: np.ndarray, used: float, objective: str) -> Axes:
    """Cosine of the joint gradient with each objective's own, series [N, 4], against one of the weights [N]."""
    with style():
        ax = panels(1, 1, 7.6, 3.6)[0, 0]
        for index in range(len(OBJECTIVES)):
            ax.plot(
                weights, series[:, index], color=palette()[index], label=SHORT[index], marker=MARKERS[index],
                markevery=(4 * index, 16), markersize=6,
            )  # fmt: skip
        ax.axvline(used, color="0.45", linestyle=":")
        ax.annotate(
            f"the paper's {used:g}",
            (used, 1.03),
            xycoords=("data", "axes fraction"),
            ha="center",
            color="0.3",
            fontsize=10,
        )
        ax.axhline(0, color="0.6", linewidth=1)
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.set_xlabel(f"weight of {objective} (logarithmic axis; the others as in the paper)")
        ax.set_ylabel("cosine with the joint gradient")
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return ax


def weighted_parts(histories: Mapping[str, Mapping[str, Sequence[float]]], weights: Mapping[str, float]) -> list[Axes]:
    """The four weighted parts of the joint loss against the epoch, a panel for each run, logarithmic."""
    with style():
        drawn = list(panels(1, len(histories), 4.6, 3.7).flat)
        for place, (title, history) in zip(drawn, histories.items(), strict=True):
            for index, name in enumerate(OBJECTIVES):
                place.plot(
                    history["epoch"], weights[name] * np.asarray(history[name]), color=palette()[index],
                    marker=MARKERS[index], markersize=5, label=OBJECTIVE_TITLES[name],
                )  # fmt: skip
            place.set_yscale("log")
            place.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            place.yaxis.set_minor_formatter(NullFormatter())
            place.set_title(title, loc="left")
            place.set_xlabel("pre-training epoch")
            mark_epochs(place, history["epoch"])
            place.grid(axis="x", visible=False)
        drawn[0].set_ylabel("weighted loss [nats per sequence]")
        handles, labels = drawn[0].get_legend_handles_labels()
        drawn[0].figure.legend(handles, labels, loc="outside lower center", ncol=2)
    return drawn


def position_norms(norms: Mapping[str, np.ndarray]) -> Axes:
    """Lengths of the position vectors against their slot, a line for each model; the last slot is marked."""
    with style():
        ax = panels(1, 1, 8.2, 3.6)[0, 0]
        for index, (label, values) in enumerate(norms.items()):
            colour = palette()[index]
            ax.plot(values, color=colour, linestyle=("-", "--", ":")[index], linewidth=2, label=label)
            ax.plot(len(values) - 1, values[-1], MARKERS[index], color=colour, markersize=9, clip_on=False, zorder=3)
        ax.set_xlabel("slot (the newest item stands in the last one)")
        ax.set_ylabel("length of the position vector")
        ax.set_ylim(bottom=0)
        ax.grid(axis="x", visible=False)
        ax.legend(loc="upper left")
    return ax
