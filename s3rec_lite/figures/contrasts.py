"""Pictures of chapters 5 and 7: token rows of the views, the squashed loss, what a critic learned about items."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from s3rec_lite.figures import plots
from s3rec_lite.information import double_sigmoid_range

KINDS = ("item", "mask", "padding", "own", "foreign")
"""what a cell of `token_rows` can be"""


def token_rows(
    rows: Sequence[Sequence[int]],
    labels: Sequence[str],
    ax: Axes | None = None,
    *,
    mask_token: int,
    kinds: Sequence[Sequence[str]] | None = None,
    marked: Sequence[tuple[int, int]] = (),
    title: str | None = None,
) -> Axes:
    """Rows of ids as boxes, oldest left: items blue, masks hatched, padding empty.

    rows: ids [R, L]. kinds: for each id one of `KINDS`, where it is not what the id says ("own" and "foreign" for
    segments). marked: (row, column) of boxes with a thick frame.
    """
    with plots.style():
        width = len(rows[0])
        if ax is None:
            ax = plots.panels(1, 1, 1.9 + 0.42 * width, 0.6 + 0.42 * len(rows))[0, 0]
        blue, orange, green = plots.palette()[:3]
        fills = {
            "item": (*blue, 0.25),
            "mask": "0.88",
            "padding": "white",
            "own": (*orange, 0.45),
            "foreign": (*green, 0.35),
        }
        for r, row in enumerate(rows):
            for c, item in enumerate(row):
                kind = "padding" if item == 0 else "mask" if item == mask_token else "item"
                kind = kinds[r][c] if kinds is not None and kinds[r][c] else kind
                thick = (r, c) in marked
                box = Rectangle(
                    (c - 0.45, r - 0.42), 0.9, 0.84, facecolor=fills[kind], edgecolor="0.1" if thick else "0.6",
                    linewidth=2.4 if thick else 0.8, hatch={"mask": "////", "foreign": "...."}.get(kind),
                    linestyle=":" if kind == "padding" else "-",
                )  # fmt: skip
                box.set_hatch_linewidth(0.4) if hasattr(box, "set_hatch_linewidth") else None
                ax.add_patch(box)
                text = {"mask": "[m]", "padding": ""}.get(kind, str(item))
                ax.text(
                    c, r, text, ha="center", va="center", fontsize=10 if len(text) < 4 else 8,
                    fontweight="bold" if kind in ("own", "foreign") else "normal",
                )  # fmt: skip
        ax.set_xlim(-0.6, width - 0.4)
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.set_yticks(range(len(rows)), labels)
        ax.set_xticks([0, width - 1], ["oldest slot", "last slot"])
        ax.grid(visible=False)
        ax.tick_params(length=0)
        for side in ax.spines.values():
            side.set_visible(False)
        if title:
            ax.set_title(title, loc="left")
    return ax


def squashing(axes: Sequence[Axes] | None = None, reach: float = 8.0) -> list[Axes]:
    """Loss and slope of the plain and of the twice squashed pair loss, against the positive's score.

    The negative's score is the opposite, so that the difference is twice the number on the axis.
    """
    x = np.linspace(-reach, reach, 401)
    squashed = np.tanh(x / 2)  # sigmoid(x) - sigmoid(-x)
    own = 1 / (1 + np.exp(-x))
    losses = {"plain": np.logaddexp(0, -2 * x), "squashed twice": np.logaddexp(0, -squashed)}
    slopes = {
        "plain": 1 / (1 + np.exp(2 * x)),
        "squashed twice": own * (1 - own) / (1 + np.exp(squashed)),
    }
    with plots.style():
        drawn = list(plots.panels(1, 2, 4.4, 3.5).flat) if axes is None else list(axes)
        for ax, curves in zip(drawn, (losses, slopes), strict=True):
            for index, (label, y) in enumerate(curves.items()):
                ax.plot(x, y, color=plots.palette()[index], linestyle=("-", "--")[index], linewidth=2.2, label=label)
            ax.set_xlabel("positive's score (negative's is the opposite)")
            ax.grid(axis="x", visible=False)
        lowest, _, highest = double_sigmoid_range()
        for level, where in ((lowest, "bottom"), (highest, "bottom")):
            drawn[0].axhline(level, color="0.4", linestyle=":", linewidth=1)
            drawn[0].text(reach, level, f"{level:.4f}", ha="right", va=where, fontsize=9, color="0.25")
        drawn[0].set_ylim(0, 3)
        drawn[0].set_ylabel("loss [nats]")
        drawn[1].set_ylabel("size of the gradient")
        drawn[0].set_title("what the pair costs", loc="left")
        drawn[1].set_title("what the positive's score feels", loc="left")
        drawn[0].legend(loc="upper right", bbox_to_anchor=(1, 0.9))
    return drawn


def rank_curves(
    ranks: Mapping[str, np.ndarray], num_items: int, ax: Axes | None = None, *, title: str | None = None
) -> Axes:
    """Share of targets within the first k places, against k: a line a scorer, chance dotted. Ranks count from 1."""
    with plots.style():
        ax = plots.panels(1, 1, 7.4, 3.9)[0, 0] if ax is None else ax
        ks = np.unique(np.geomspace(1, num_items, 60).round())
        for index, (label, values) in enumerate(ranks.items()):
            share = (np.asarray(values)[:, None] <= ks).mean(axis=0)
            ax.plot(
                ks, share, color=plots.palette()[index], linestyle=("-", "--", "-.", (0, (1, 1)))[index % 4],
                marker=plots.MARKERS[index % 5], markevery=(4 * index % 7, 8), markersize=6, label=label,
            )  # fmt: skip
        ax.plot(ks, ks / num_items, color="0.5", linestyle=":", label="chance")
        ax.set_xscale("log")
        ax.set_xlabel("k, places counted in the ranking of all films")
        ax.set_ylabel("share of hidden films within k")
        ax.legend(loc="upper left")
        if title:
            ax.set_title(title, loc="left")
    return ax


def against_popularity(
    scores: Mapping[str, np.ndarray], counts: np.ndarray, axes: Sequence[Axes] | None = None, *, ylabel: str
) -> list[Axes]:
    """One point an item: a number of each item against how often it occurs (log axis), a panel a model."""
    with plots.style():
        drawn = list(plots.panels(1, len(scores), 8.8 / len(scores), 3.4).flat) if axes is None else list(axes)
        for index, (ax, (label, values)) in enumerate(zip(drawn, scores.items(), strict=True)):
            ax.scatter(
                counts, values, s=9, alpha=0.5, linewidths=0, color=plots.palette()[index],
                marker=plots.MARKERS[index % 5],
            )  # fmt: skip
            ax.set_xscale("log")
            ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if min(counts) <= tick <= max(counts)]
            ax.set_xticks(ticks, map(str, ticks))
            ax.minorticks_off()
            ax.set_xlabel("times in the training parts")
            ax.set_title(label, loc="left")
        drawn[0].set_ylabel(ylabel)
    return drawn
