"""Figures of the chapter on data and views: data in, axes out."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from s3rec_lite.datasets import SequenceData
from s3rec_lite.figures import plots
from s3rec_lite.views import Views

_COLUMNS = {
    "pos_items": "the prefix",
    "masked_items": "context of AAP, MIP, MAP",
    "neg_items": "negatives of MIP",
    "masked_segment": "context of SP",
    "pos_segment": "positive of SP",
    "neg_segment": "negative of SP",
}
_LOOKS = {
    "padding": {"facecolor": "0.97", "edgecolor": "0.85", "linestyle": ":"},
    "item of the prefix": {"facecolor": (*plots.palette()[9], 0.25), "edgecolor": "white"},
    "mask token": {"facecolor": "0.35", "edgecolor": "white"},
    "foreign item": {"facecolor": (*plots.palette()[1], 0.55), "edgecolor": "white", "hatch": "///"},
}


@plots.style()
def timeline(minutes: np.ndarray, gaps: Mapping[str, float]) -> np.ndarray:
    """One user's interactions against the clock, and how far neighbours lie apart.

    minutes: [T] since the first interaction, in time order. gaps: label to share of neighbouring interactions.
    """
    left, right = axes = plots.panels(1, 2, 4.8, 3.4)[0]
    positions = np.arange(1, len(minutes) + 1)
    left.step(minutes, positions, where="post", color="0.7")
    left.plot(minutes, positions, "o", color=plots.palette()[0], markersize=6)
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    plots.label(left, "One user's whole history", "minutes since the first rating", "place in the sequence")
    right.barh(list(gaps), list(gaps.values()), color=plots.palette()[0], height=0.65)
    for row, share in enumerate(gaps.values()):
        right.text(share + 0.01, row, f"{share:.1%}", va="center", fontsize=10)
    right.invert_yaxis()
    title = "Time between neighbours, all users"
    plots.label(right, title, "share of neighbouring ratings", no_grid="y", xlim=(0, 0.65))
    return axes


@plots.style()
def prefix_rules(lengths: Mapping[str, np.ndarray], inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """Two rules of cutting prefixes: how long the samples are, and how often each place of a history is an input.

    lengths: rule to prefix lengths [N]. inputs: rule to samples per user that hold each place, newest first [M].
    """
    left, right = axes = plots.panels(1, 2, 4.8, 3.4)[0]
    for index, rule in enumerate(lengths):
        shares = np.cumsum(np.bincount(lengths[rule])[1:]) / len(lengths[rule])
        for ax, values in ((left, shares), (right, inputs[rule])):
            x = np.arange(1, len(values) + 1)
            plots.line(ax, index, x, values, linewidth=2, markersize=5, markevery=7, label=rule)
    plots.label(left, "How long the samples are", "prefix length [items]", "share of samples up to this length")
    x_label = "place before the validation item (1: newest)"
    plots.label(right, "How often an item is an input", x_label, "samples that hold it, per user")
    for ax in axes:
        ax.legend(loc="upper left")
    return axes


@plots.style()
def view_diagram(views: Views, data: SequenceData, row: int = 0) -> Axes:
    """The six views of one prefix side by side with titles, oldest item on top; then the items' attributes."""
    width = views.pos_items.shape[1]
    ax = plots.panels(1, 1, 12.4, 0.34 * width + 1.3)[0, 0]
    prefix = views.pos_items[row].tolist()
    for column, name in enumerate(_COLUMNS):
        for slot, item in enumerate(getattr(views, name)[row].tolist()):
            _cell(ax, column, slot, item, prefix[slot], data)
    for slot, item in enumerate(prefix):
        names = [data.attribute_names[a - 1] for a in data.attributes[item].nonzero().flatten().tolist()]
        text = _shorten(", ".join(names), 28, ", ")
        ax.text(len(_COLUMNS) + 0.04, slot + 0.52, text, va="center", fontsize=8)
    heads = [f"{text}\n{name}" for name, text in _COLUMNS.items()] + ["asked by AAP, MAP\nattributes of the prefix"]
    ax.set_xticks(np.arange(len(heads)) + 0.5, heads, fontsize=9)
    ax.xaxis.tick_top()
    ax.set_yticks(np.arange(width) + 0.5, [str(slot) for slot in range(50 - width, 50)])
    plots.bare(ax)
    ax.set(ylabel="position of the encoder", xlim=(0, len(heads)), ylim=(width, 0))
    keys = [Patch(**look, label=kind) for kind, look in _LOOKS.items()]
    ax.legend(handles=keys, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncol=len(keys))
    return ax


def _cell(ax: Axes, column: int, slot: int, item: int, own: int, data: SequenceData) -> None:
    """One item of a view as a box with its title; ``own``: the item of the prefix in this slot."""
    font = {"fontsize": 8.5, "color": "black"}
    if item == 0:
        kind = "padding"
    elif item == data.mask_token:
        kind, font["color"] = "mask token", "white"
    elif item == own:
        kind = "item of the prefix"
    else:
        kind, font["bbox"] = "foreign item", {"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8}
    plots.box(ax, column + 0.5, slot + 0.5, 0.96, 0.92, linewidth=1, **_LOOKS[kind])
    if kind != "padding":
        text = "[mask]" if kind == "mask token" else _shorten(data.title(item), 21, " ,:(")
        plots.write(ax, column + 0.5, slot + 0.52, text, **font)


def _shorten(text: str, length: int, ends: str) -> str:
    """At most ``length`` characters; a text that is cut ends in none of ``ends``."""
    return text if len(text) <= length else text[: length - 2].rstrip(ends) + "…"


@plots.style()
def mask_shares(lengths: np.ndarray, counted: Mapping[str, tuple[np.ndarray, np.ndarray]], ratio: float) -> np.ndarray:
    """Theory (lines) and counts (markers) of masking by prefix length, with and without the forced last item.

    lengths: [M] of the theory lines. counted: "forced" and "plain" to (masked share, share without any mask), [M].
    """
    lengths = np.asarray(lengths)
    nothing = np.zeros(len(lengths))
    theory = {
        "forced": (ratio + (1 - ratio) / lengths, nothing),
        "plain": (ratio + nothing, (1 - ratio) ** lengths),
    }
    axes = plots.panels(1, 2, 4.8, 3.4)[0]
    texts = (("How much is hidden", "share of items masked"), ("Nothing hidden at all", "share of prefixes"))
    for panel, (ax, (title, y_label)) in enumerate(zip(axes, texts, strict=True)):
        for index, (name, label) in enumerate({"forced": "last item always", "plain": f"plain {ratio:g}"}.items()):
            plots.line(ax, index, lengths, theory[name][panel], marker=None, label=f"{label}: theory")
            look = {"markersize": 5, "markerfacecolor": "white", "label": f"{label}: counted"}
            plots.dots(ax, index, lengths, counted[name][panel], **look)
        plots.label(ax, title, "prefix length [items]", y_label, ylim=(-0.03, 1.03))
        ax.legend(loc="upper right", fontsize=9)
    return axes


@plots.style()
def segments(lengths: np.ndarray, lengths_theory: np.ndarray, ends: np.ndarray, ends_theory: np.ndarray) -> np.ndarray:
    """Segment lengths 1, 2, ... [M], and the share of segments that end last for prefixes of length 2, 3, ... [N]."""
    left, right = axes = plots.panels(1, 2, 4.8, 3.4)[0]
    blue, orange = plots.palette()[:2]
    sizes = np.arange(1, len(lengths) + 1)
    left.bar(sizes, lengths, color=(*blue, 0.45), label="counted")
    left.plot(sizes, lengths_theory, "s", color=orange, markersize=4, label="theory")
    plots.label(left, "How long segments are", "segment length [items]", "share of segments")
    sizes = np.arange(2, len(ends) + 2)
    right.plot(sizes, ends, "o", color=blue, markerfacecolor="white", label="counted")
    right.plot(sizes, ends_theory, "--", color=orange, linewidth=2, label="theory")
    title = "Segments that reach the last position"
    plots.label(right, title, "prefix length [items]", "share of segments", ylim=(0, 1))
    for ax in axes:
        ax.legend()
    return axes


@plots.style()
def leaks(
    rates: Mapping[str, tuple[float, float]], epochs: Sequence[int], spies: Mapping[str, Sequence[float]]
) -> np.ndarray:
    """How often a user's own test item is drawn as a negative, and what a spy that counts negatives finds.

    rates: label to draws per user and epoch of (the own test item, any unseen item on average).
    spies: label to HR@10 at each of the epochs; the label "chance" is drawn in grey.
    """
    left, right = axes = plots.panels(1, 2, 4.8, 3.6)[0]
    rows, colours = np.arange(len(rates)), (plots.palette()[1], plots.palette()[9])
    for index, label in enumerate(("own test item", "any unseen item")):
        values = [pair[index] for pair in rates.values()]
        look = {"color": colours[index], "hatch": ("///", "")[index], "edgecolor": "w"}
        left.barh(rows + 0.36 * index, values, 0.36, label=label, **look)
    left.set_yticks(rows + 0.18, list(rates))
    left.invert_yaxis()
    left.legend(loc="upper center", bbox_to_anchor=(0.4, -0.18), ncol=2, fontsize=9)
    plots.label(left, "How often the answer is a negative", "draws as a negative, per user and epoch", no_grid="y")

    for index, (label, values) in enumerate(spies.items()):
        if label == "chance":
            right.axhline(values[0], color="0.45", linestyle=":", label="chance")
        else:
            plots.line(right, index, epochs, values, color=colours[index], linewidth=2, label=label)
    right.legend(loc="upper left")
    title, x_label = "A spy that only counts negatives", "fine-tuning epochs watched"
    plots.label(right, title, x_label, "HR@10 on the test items", ylim=(0, None))
    return axes
