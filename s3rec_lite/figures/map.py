"""The figures of the tour: the idea of the paper, results beside each other, and the map of the course."""

import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from s3rec_lite.course.chapters import CHAPTERS
from s3rec_lite.data import SequenceData
from s3rec_lite.experiments.reports import Report
from s3rec_lite.figures import plots

GROUPS = {  # the boxes of the map
    "overview": (0,),
    "foundations": (1, 2, 3),
    "four pairs of views": (4, 5, 6, 7),
    "training": (8, 9),
    "judgement": (10,),
}


def _box(
    ax: Axes, x: float, y: float, width: float, height: float, text: str = "", *,
    face="white", edge="0.35", line: float = 1.2, size: float = 10, colour="0.1",
) -> None:  # fmt: skip
    """A rounded box with its centre at (x, y) and a text in it."""
    corner = (x - width / 2, y - height / 2)
    shape = "round,pad=0,rounding_size=0.12"
    ax.add_patch(FancyBboxPatch(corner, width, height, boxstyle=shape, fc=face, ec=edge, lw=line))
    ax.text(x, y, text, ha="center", va="center", fontsize=size, color=colour, linespacing=1.15)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], both: bool = False) -> None:
    style = "<|-|>" if both else "-|>"
    ax.annotate("", end, start, arrowprops={"arrowstyle": style, "color": "0.35", "lw": 1.4, "mutation_scale": 13})


def _tiles(ax: Axes, x: float, y: float, labels: Sequence, hidden: Sequence[int] = (), marked: Sequence[int] = ()):
    """Films as small squares from x to the right (None: a gap); ``hidden`` ones show "?", ``marked`` a coloured rim."""
    for place, label in enumerate(labels):
        if label is None:
            continue
        edge, line = (plots.palette()[3], 2.6) if place in marked else ("0.35", 1.1)
        covered = place in hidden
        _box(ax, x + 0.62 * place, y, 0.54, 0.54, face="0.82" if covered else "white", edge=edge, line=line)
        ax.text(x + 0.62 * place, y, "?" if covered else label, ha="center", va="center", fontsize=10)


def _canvas(width: float, height: float, right: float, top: float) -> Axes:
    ax = plots.panels(1, 1, width, height)[0, 0]
    ax.set_xlim(0, right)
    ax.set_ylim(0, top)
    ax.axis("off")
    return ax


def genres(data: SequenceData, item: int, absent: bool = False) -> list[str]:
    """Names of the attributes that an item has, or of those it has not."""
    owned = data.attributes[item].numpy()
    return [name for a, name in enumerate(data.attribute_names, start=1) if owned[a] != absent]


def idea(
    data: SequenceData, history: Sequence[int], target: int, other_film: int, other_pair: Sequence[int]
) -> Axes:  # fmt: skip
    """The paper in one picture, on six films and the one that follows.

    Film 5 is AAP's item, film 4 the one that MIP and MAP hide, films 2 and 3 the segment of SP. other_film and
    other_pair: films of somebody else, the negatives.
    """
    ax = _canvas(9.6, 6.7, 19.2, 13.4)
    films = [int(item) for item in history]
    for place, item in enumerate(films):
        x, title = 1.75 + 3.15 * place, textwrap.fill(data.title(item), 15)
        _box(ax, x, 12.4, 2.9, 1.5, f"{place + 1}\n{title}")
        ax.text(x, 11.5, ", ".join(genres(data, item)), ha="center", va="top", fontsize=9.5, color="0.3")
    for x, head in ((0.2, "pre-training"), (6.6, "given"), (11.4, "belongs to it"), (15.2, "does not")):
        ax.text(x, 10.25, head, fontsize=11, weight="bold", va="center")
    wrong = [", ".join(genres(data, films[place], absent=True)[-3:-1]) for place in (4, 3)]
    shown, pair = range(1, 7), "\n".join(data.title(int(item)) for item in other_pair)
    rows = (
        ("AAP", "item | its attributes", [None] * 4 + [5], (), (4,), ", ".join(genres(data, films[4])), wrong[0]),
        ("MIP", "sequence | hidden item", shown, (3,), (3,), [4], data.title(other_film)),
        ("MAP", "sequence | hidden attributes", shown, (3,), (3,), ", ".join(genres(data, films[3])), wrong[1]),
        ("SP", "sequence | hidden segment", shown, (1, 2), (1, 2), [2, 3], pair),
    )
    for line, row in enumerate(rows):
        _row(ax, 9.1 - 1.55 * line, *row)
    ax.plot([0.2, 19.0], [3.3, 3.3], color="0.6", linewidth=1)
    ax.text(0.2, 2.7, "fine-tuning", fontsize=11, weight="bold", va="center")
    _row(ax, 1.4, "next item", "sequence | what follows", shown, (), (), data.title(target), "every other film")
    return ax


def _row(ax: Axes, y: float, name: str, words: str, given, hidden, marked, partner, stranger: str) -> None:
    """One line of `idea`: what is given, what belongs to it (films as numbers, or words), and what does not."""
    ax.text(0.2, y + 0.27, name, fontsize=11.5, weight="bold", va="center", color=plots.palette()[0])
    ax.text(0.2, y - 0.33, words, fontsize=10, va="center", color="0.25")
    _tiles(ax, 6.9, y, given, hidden, marked)
    _arrow(ax, (10.55, y), (11.35, y), both=name != "next item")
    if isinstance(partner, list):
        _tiles(ax, 11.75, y, partner, marked=range(len(partner)))
    else:
        _box(ax, 13.1, y, 3.2, 1.0, textwrap.fill(partner, 18), edge=plots.palette()[3], line=2.2)
    _box(ax, 17.1, y, 3.9, 1.0, stranger, face="0.95", edge="0.6", size=9.5, colour="0.3")


def hit_curves(reports: Mapping[str, Report], cutoff: int = 10) -> Axes:
    """HR@k of several models against k, with the 95% interval at one cutoff; chance is a thin line."""
    ax = plots.panels(1, 1, 8.2, 4.2)[0, 0]
    with plots.style():
        num_candidates = int(np.median(next(iter(reports.values())).ranks.num_candidates))
        ks = np.arange(1, 201)
        lines = ("-.", (0, (1, 1)), ":", "--", "-")
        for index, (label, report) in enumerate(reports.items()):
            share = [report.per_user(f"HR@{k}").mean() for k in ks]
            colour, at = plots.palette()[(2, 7, 4, 1, 0)[index]], cutoff * 1.07 ** (index - 2)
            ax.plot(ks, share, color=colour, linestyle=lines[index], linewidth=2, label=label)
            value, bounds = report.per_user(f"HR@{cutoff}").mean(), report.interval(f"HR@{cutoff}")
            ax.errorbar(
                at, value, yerr=np.abs(np.subtract(bounds, value))[:, None], color=colour, capsize=3,
                fmt=plots.MARKERS[index], markersize=6,
            )  # fmt: skip
        ax.plot(ks, ks / num_candidates, color="0.5", linewidth=1, label="chance")
        ax.set_xscale("log")
        ax.set_xticks([1, 10, 100], ["1", "10", "100"])
        ax.set_ylim(bottom=0)
        ax.set_xlabel("k, length of the list")
        ax.set_ylabel("share of users whose film is in it (HR@k)")
        ax.grid(axis="x", visible=False)
        ax.legend(loc="upper left")
    return ax


def result_dots(frame: pd.DataFrame, metric: str) -> list[Axes]:
    """Results and their intervals, if any; columns protocol (a panel each), source, model, value, low, high."""
    protocols, sources = list(dict.fromkeys(frame["protocol"])), list(dict.fromkeys(frame["source"]))
    axes = list(plots.panels(1, len(protocols), 4.7, 3.3, sharey=True).flat)
    with plots.style():
        for ax, protocol in zip(axes, protocols, strict=True):
            for index, model in enumerate(dict.fromkeys(frame["model"])):
                rows = frame[(frame["protocol"] == protocol) & (frame["model"] == model)]
                places = [sources.index(source) + 0.14 * (2 * index - 1) for source in rows["source"]]
                spread = np.nan_to_num(np.stack([rows["value"] - rows["low"], rows["high"] - rows["value"]]))
                ax.errorbar(
                    rows["value"], places, xerr=spread, label=model, color=plots.palette()[(0, 1)[index]],
                    fmt=plots.MARKERS[index], markersize=8, capsize=3, linewidth=2,
                )  # fmt: skip
            ax.set_title(protocol, loc="left")
            ax.set_xlabel(f"{metric}, mean over test users")
            ax.set_xlim(left=0)
            ax.set_yticks(range(len(sources)), sources)
            ax.set_ylim(len(sources) - 0.5, -0.5)
            ax.grid(axis="y", visible=False)
        handles, labels = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(handles, labels, loc="outside lower center", ncol=2)
    return axes


def course_map() -> Axes:
    """The chapters as boxes with minutes, in five groups; an arrow leads to what builds on a group."""
    ax = _canvas(9.8, 4.0, 25.6, 8.2)
    for index, (name, numbers) in enumerate(GROUPS.items()):
        left, colour, tall = 0.1 + 5.25 * index, plots.palette()[index], 1.75 * len(numbers) + 0.25
        _box(ax, left + 2.2, 3.8, 4.4, tall, face=(*colour, 0.10), edge=colour, line=1.4)
        ax.text(left + 2.2, 3.8 + tall / 2 + 0.3, name, ha="center", fontsize=10.5, weight="bold", color="0.2")
        for place, number in enumerate(numbers):
            chapter, y = CHAPTERS[number], 3.8 + 1.75 * ((len(numbers) - 1) / 2 - place)
            title = textwrap.fill(f"{number:02d}  {chapter.title}", 22)
            _box(ax, left + 2.2, y, 4.15, 1.5, f"{title}\n{chapter.minutes} min", size=9.5, line=1)
        if index:
            _arrow(ax, (left - 0.8, 3.8), (left, 3.8))
    return ax
