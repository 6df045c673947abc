"""Figures of the chapter on data and views: data in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import MaxNLocator

from s3rec_lite.datasets import SequenceData
from s3rec_lite.figures import plots
from s3rec_lite.views import Views

COLUMNS = {
    "pos_items": "the prefix",
    "masked_items": "context of AAP, MIP, MAP",
    "neg_items": "negatives of MIP",
    "masked_segment": "context of SP",
    "pos_segment": "positive of SP",
    "neg_segment": "negative of SP",
}
KINDS = ("padding", "item of the prefix", "mask token", "foreign item")


def timeline(minutes: np.ndarray, gaps: Mapping[str, float]) -> np.ndarray:
    """One user's interactions against the clock, and how far neighbours lie apart.

    minutes: [T] since the first interaction, in time order. gaps: label to share of neighbouring interactions.
    """
    with plots.style():
        axes = plots.panels(1, 2, 4.8, 3.4)[0]
        places = np.arange(1, len(minutes) + 1)
        axes[0].step(minutes, places, where="post", color="0.7")
        axes[0].plot(minutes, places, "o", color=plots.palette()[0], markersize=6)
        axes[0].yaxis.set_major_locator(MaxNLocator(integer=True))
        _name(axes[0], "One user's whole history", "minutes since the first rating", "place in the sequence")
        axes[1].barh(list(gaps), list(gaps.values()), color=plots.palette()[0], height=0.65)
        for row, share in enumerate(gaps.values()):
            axes[1].text(share + 0.01, row, f"{share:.1%}", va="center", fontsize=10)
        axes[1].invert_yaxis()
        axes[1].grid(axis="y", visible=False)
        _name(axes[1], "Time between neighbours, all users", "share of neighbouring ratings", xlim=(0, 0.65))
    return axes


def prefix_rules(lengths: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Two rules of cutting prefixes: how long the samples are, and how often each place of a history is an input.

    lengths: rule to prefix lengths [N]. inputs: rule to samples per user that hold each place, newest first [M].
    """
    with plots.style():
        axes = plots.panels(1, 2, 4.8, 3.4)[0]
        for index, rule in enumerate(lengths):
            shares = np.cumsum(np.bincount(lengths[rule])[1:]) / len(lengths[rule])
            options = {
                "color": plots.palette()[index], "linestyle": ("-", "--")[index], "linewidth": 2,
                "marker": plots.MARKERS[index], "markersize": 5, "markevery": 7, "label": rule,
            }  # fmt: skip
            axes[0].plot(np.arange(1, len(shares) + 1), shares, **options)
            axes[1].plot(np.arange(1, len(inputs[rule]) + 1), inputs[rule], **options)
        _name(axes[0], "How long the samples are", "prefix length [items]", "share of samples up to this length")
        places = "place before the validation item (1: newest)"
        _name(axes[1], "How often an item is an input", places, "samples that hold it, per user")
        for ax in axes:
            ax.legend(loc="upper left")
    return axes


def view_diagram(views: Views, data: SequenceData, row: int = 0) -> Axes:
    """The six views of one prefix side by side with titles, oldest item on top; then the items' attributes."""
    with plots.style():
        width = views.pos_items.shape[1]
        ax = plots.panels(1, 1, 12.4, 0.34 * width + 1.3)[0, 0]
        prefix = views.pos_items[row].tolist()
        for column, name in enumerate(COLUMNS):
            for place, item in enumerate(getattr(views, name)[row].tolist()):
                _cell(ax, column, place, _kind(item, prefix[place], data.mask_token), data, item)
        for place, item in enumerate(prefix):
            names = [data.attribute_names[a - 1] for a in data.attributes[item].nonzero().flatten().tolist()]
            short = ", ".join(names) if len(", ".join(names)) <= 28 else ", ".join(names)[:26].rstrip(", ") + "…"
            ax.text(len(COLUMNS) + 0.04, place + 0.52, short, va="center", fontsize=8)
        ax.set(xlim=(0, len(COLUMNS) + 1), ylim=(width, 0))
        heads = [f"{text}\n{name}" for name, text in COLUMNS.items()] + ["asked by AAP, MAP\nattributes of the prefix"]
        ax.set_xticks(np.arange(len(heads)) + 0.5, heads, fontsize=9)
        ax.xaxis.tick_top()
        ax.set_yticks(np.arange(width) + 0.5, [str(place) for place in range(50 - width, 50)])
        ax.set_ylabel("position of the encoder")
        ax.tick_params(length=0)
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        keys = [Patch(**_look(kind), label=kind) for kind in KINDS]
        ax.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncol=len(KINDS))
    return ax


def mask_shares(lengths: np.ndarray, counted: Mapping[str, tuple[np.ndarray, np.ndarray]], ratio: float) -> np.ndarray:
    """Theory (lines) and counts (markers) of masking by prefix length, with and without the forced last item.

    lengths: [M] of the theory lines. counted: "forced" and "plain" to (masked share, share without any mask), [M].
    """
    with plots.style():
        axes = plots.panels(1, 2, 4.8, 3.4)[0]
        lengths = np.asarray(lengths)
        theory = {
            "forced": (ratio + (1 - ratio) / lengths, 0.0 * lengths),
            "plain": (ratio + 0.0 * lengths, (1 - ratio) ** lengths),
        }
        for index, (name, label) in enumerate({"forced": "last item always", "plain": f"plain {ratio:g}"}.items()):
            options = {"color": plots.palette()[index], "markersize": 5, "markerfacecolor": "white"}
            for panel, ax in enumerate(axes):
                ax.plot(lengths, theory[name][panel], ("-", "--")[index], label=f"{label}: theory", **options)
                ax.plot(lengths, counted[name][panel], plots.MARKERS[index], label=f"{label}: counted", **options)
        _name(axes[0], "How much is hidden", "prefix length [items]", "share of items masked", ylim=(-0.03, 1.03))
        _name(axes[1], "Nothing hidden at all", "prefix length [items]", "share of prefixes", ylim=(-0.03, 1.03))
        for ax in axes:
            ax.legend(loc="upper right", fontsize=9)
    return axes


def segments(lengths: np.ndarray, lengths_theory: np.ndarray, ends: np.ndarray, ends_theory: np.ndarray) -> np.ndarray:
    """Segment lengths 1, 2, ... [M], and the share of segments that end last for prefixes of length 2, 3, ... [N]."""
    with plots.style():
        axes = plots.panels(1, 2, 4.8, 3.4)[0]
        blue, orange = plots.palette()[0], plots.palette()[1]
        axes[0].bar(np.arange(1, len(lengths) + 1), lengths, color=(*blue, 0.45), label="counted")
        axes[0].plot(np.arange(1, len(lengths) + 1), lengths_theory, "s", color=orange, markersize=4, label="theory")
        _name(axes[0], "How long segments are", "segment length [items]", "share of segments")
        axes[1].plot(np.arange(2, len(ends) + 2), ends, "o", color=blue, markerfacecolor="white", label="counted")
        axes[1].plot(np.arange(2, len(ends) + 2), ends_theory, "--", color=orange, linewidth=2, label="theory")
        title = "Segments that reach the last position"
        _name(axes[1], title, "prefix length [items]", "share of segments", ylim=(0, 1))
        for ax in axes:
            ax.legend()
    return axes


def leaks(
    rates: Mapping[str, tuple[float, float]], epochs: Sequence[int], spies: Mapping[str, Sequence[float]]
) -> np.ndarray:
    """How often a user's own test item is drawn as a negative, and what a spy that counts negatives finds.

    rates: label to draws per user and epoch of (the own test item, any unseen item on average).
    spies: label to HR@10 at each of the epochs; the label "chance" is drawn in grey.
    """
    with plots.style():
        axes = plots.panels(1, 2, 4.8, 3.6)[0]
        rows, colours = np.arange(len(rates)), (plots.palette()[1], plots.palette()[9])
        for index, label in enumerate(("own test item", "any unseen item")):
            values = [pair[index] for pair in rates.values()]
            look = {"color": colours[index], "hatch": ("///", "")[index], "edgecolor": "w"}
            axes[0].barh(rows + 0.36 * index, values, 0.36, label=label, **look)
        axes[0].set_yticks(rows + 0.18, list(rates))
        axes[0].invert_yaxis()
        axes[0].grid(axis="y", visible=False)
        axes[0].legend(loc="upper center", bbox_to_anchor=(0.4, -0.18), ncol=2, fontsize=9)
        _name(axes[0], "How often the answer is a negative", "draws as a negative, per user and epoch")
        for index, (label, values) in enumerate(spies.items()):
            if label == "chance":
                axes[1].axhline(values[0], color="0.45", linestyle=":", label="chance")
            else:
                options = {"color": colours[index], "marker": plots.MARKERS[index], "label": label}
                axes[1].plot(epochs, values, linestyle=("-", "--")[index], linewidth=2, **options)
        axes[1].legend(loc="upper left")
        title, x = "A spy that only counts negatives", "fine-tuning epochs watched"
        _name(axes[1], title, x, "HR@10 on the test items", ylim=(0, None))
    return axes


def _name(ax: Axes, title: str, x: str, y: str = "", **limits: tuple[float, float | None]) -> None:
    ax.set(xlabel=x, ylabel=y, **limits)
    ax.set_title(title, loc="left")


def _kind(item: int, own: int, mask_token: int) -> str:
    if item in (0, mask_token):
        return KINDS[0] if item == 0 else KINDS[2]
    return KINDS[1] if item == own else KINDS[3]


def _look(kind: str) -> dict[str, object]:
    return {
        "padding": {"facecolor": "0.97", "edgecolor": "0.85", "linestyle": ":"},
        "item of the prefix": {"facecolor": (*plots.palette()[9], 0.25), "edgecolor": "white"},
        "mask token": {"facecolor": "0.35", "edgecolor": "white"},
        "foreign item": {"facecolor": (*plots.palette()[1], 0.55), "edgecolor": "white", "hatch": "///"},
    }[kind]


def _cell(ax: Axes, column: int, place: int, kind: str, data: SequenceData, item: int) -> None:
    ax.add_patch(Rectangle((column + 0.02, place + 0.04), 0.96, 0.92, linewidth=1, **_look(kind)))
    if kind == "padding":
        return
    title = "[mask]" if kind == "mask token" else data.title(item)
    short = title if len(title) <= 21 else title[:19].rstrip(" ,:(") + "…"
    text = ax.text(column + 0.5, place + 0.52, short, ha="center", va="center", fontsize=8.5)
    text.set_color("white" if kind == "mask token" else "black")
    if kind == "foreign item":
        text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8})
