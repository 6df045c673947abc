"""The figures of the tour: the idea of the paper, results beside each other, and the map of the course."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from course.chapters import CHAPTERS
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from s3rec_lite.data import SequenceData
from s3rec_lite.experiments.reports import Report
from s3rec_lite.figures import plots

_GROUPS = {  # the boxes of the map
    "overview": (0,),
    "foundations": (1, 2, 3),
    "four pairs of views": (4, 5, 6, 7),
    "training": (8, 9),
    "judgement": (10,),
}


def _canvas(width: float, height: float, right: float, top: float) -> Axes:
    """Axes without any frame for free drawing, (0, 0) to (right, top)."""
    ax = plots.panels(1, 1, width, height)[0, 0]
    ax.set(xlim=(0, right), ylim=(0, top))
    ax.axis("off")
    return ax


def _box(ax: Axes, x: float, y: float, width: float, height: float, text: str = "", **look: Any) -> None:
    """A rounded box around (x, y); look: of the box, but for ``size`` and ``colour`` of the text."""
    font = {"fontsize": look.pop("size", 10), "color": look.pop("colour", "0.1"), "linespacing": 1.15}
    shape = {"boxstyle": "round,pad=0,rounding_size=0.12", "fc": "white", "ec": "0.35", "lw": 1.2}
    plots.box(ax, x, y, width, height, **shape | look)
    plots.write(ax, x, y, text, **font)


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], heads: str = "-|>") -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": heads, "color": "0.35", "lw": 1.4, "mutation_scale": 13})


def _tiles(ax: Axes, x: float, y: float, films: Sequence[int], marked: Sequence[int] = (), hide: bool = False) -> None:
    """Films as small squares, film 1 at x; ``marked`` ones have a coloured rim, and show "?" with ``hide``."""
    rim = {"ec": plots.palette()[3], "lw": 2.6}
    for film in films:
        hidden = hide and film in marked
        look: dict[str, Any] = {"fc": "0.82" if hidden else "white", "lw": 1.1} | (rim if film in marked else {})
        _box(ax, x + 0.62 * (film - 1), y, 0.54, 0.54, **look)
        plots.write(ax, x + 0.62 * (film - 1), y, "?" if hidden else str(film), fontsize=10)


def genres(data: SequenceData, item: int, absent: bool = False) -> list[str]:
    """Names of the attributes that an item has, or of those it has not."""
    owned = data.attributes[item].numpy()
    return [name for a, name in enumerate(data.attribute_names or (), start=1) if owned[a] != absent]


def idea(data: SequenceData, history: Sequence[int], target: int, other_film: int, other_pair: Sequence[int]) -> Axes:
    """The paper in one picture, on six films and the one that follows.

    Film 5 is AAP's item, film 4 the one that MIP and MAP hide, films 2 and 3 the segment of SP. other_film and
    other_pair: films of somebody else, the negatives.
    """
    ax = _canvas(9.6, 6.7, 19.2, 13.4)
    films = [int(item) for item in history]
    for index, item in enumerate(films):
        x, title = 1.75 + 3.15 * index, textwrap.fill(data.title(item), 15)
        _box(ax, x, 12.4, 2.9, 1.5, f"{index + 1}\n{title}")
        ax.text(x, 11.5, ", ".join(genres(data, item)), ha="center", va="top", fontsize=9.5, color="0.3")
    for x, head in ((0.2, "pre-training"), (6.6, "given"), (11.4, "belongs to it"), (15.2, "does not")):
        ax.text(x, 10.25, head, fontsize=11, weight="bold", va="center")
    has4, has5 = (", ".join(genres(data, films[index])) for index in (3, 4))
    lacks4, lacks5 = (", ".join(genres(data, films[index], absent=True)[-3:-1]) for index in (3, 4))
    every, pair = range(1, 7), "\n".join(data.title(int(item)) for item in other_pair)
    objectives = (
        _Line("AAP", "item | its attributes", [5], [5], has5, lacks5),
        _Line("MIP", "sequence | hidden item", every, [4], [4], data.title(other_film)),
        _Line("MAP", "sequence | hidden attributes", every, [4], has4, lacks4),
        _Line("SP", "sequence | hidden segment", every, [2, 3], [2, 3], pair),
    )
    for index, line in enumerate(objectives):
        _draw_line(ax, 9.1 - 1.55 * index, line, "<|-|>")
    ax.plot([0.2, 19.0], [3.3, 3.3], color="0.6", linewidth=1)
    ax.text(0.2, 2.7, "fine-tuning", fontsize=11, weight="bold", va="center")
    next_item = _Line("next item", "sequence | what follows", every, [], data.title(target), "every other film")
    _draw_line(ax, 1.4, next_item, "-|>")
    return ax


class _Line(NamedTuple):
    """One line of `idea`."""

    name: str
    views: str
    given: Sequence[int]  # films, by their numbers
    marked: Sequence[int]  # those of them with a rim; hidden, if other films stand beside them
    partner: Sequence[int] | str  # what belongs to them: films or words
    stranger: str  # what does not


def _draw_line(ax: Axes, y: float, line: _Line, heads: str) -> None:
    ax.text(0.2, y + 0.27, line.name, fontsize=11.5, weight="bold", va="center", color=plots.palette()[0])
    ax.text(0.2, y - 0.33, line.views, fontsize=10, va="center", color="0.25")
    _tiles(ax, 6.9, y, line.given, line.marked, hide=len(line.given) > 1)
    _arrow(ax, (10.55, y), (11.35, y), heads)
    if isinstance(line.partner, str):
        _box(ax, 13.1, y, 3.2, 1.0, textwrap.fill(line.partner, 18), ec=plots.palette()[3], lw=2.2)
    else:
        _tiles(ax, 11.75 - 0.62 * (line.partner[0] - 1), y, line.partner, line.partner)
    _box(ax, 17.1, y, 3.9, 1.0, line.stranger, fc="0.95", ec="0.6", size=9.5, colour="0.3")


@plots.style()
def hit_curves(reports: Mapping[str, Report], cutoff: int = 10) -> np.ndarray:
    """Left: HR@k of five models against k. Right: HR at one cutoff with 95% intervals. Chance is a thin line.

    reports: a model that counts, an untrained, a pre-trained, and two fine-tuned ones, without and with pre-training.
    """
    left, right = axes = plots.panels(1, 2, 5.0, 3.9, width_ratios=(1.5, 1))[0]
    num_candidates = int(np.median(next(iter(reports.values())).ranks.num_candidates))
    ks = np.arange(1, 201)
    looks = ((2, "-.", "^"), (7, (0, (1, 1)), "v"), (4, ":", "D"), (plots.WITHOUT, "--", "s"), (plots.WITH, "-", "o"))
    for index, (label, report) in enumerate(reports.items()):
        number, line, marker = looks[index]
        shares = [report.per_user(f"HR@{k}").mean() for k in ks]
        at = shares[cutoff - 1]
        look: dict[str, Any] = {"linestyle": line, "marker": marker, "markersize": 7, "markevery": [cutoff - 1]}
        plots.line(left, number, ks, shares, linewidth=2, label=label, **look)
        bounds = np.reshape(report.interval(f"HR@{cutoff}"), (2, 1))
        plots.intervals(right, number, [index], [at], bounds, along="x", marker=marker, linewidth=2)
    left.plot(ks, ks / num_candidates, color="0.5", linewidth=1, label="chance")
    right.axvline(cutoff / num_candidates, color="0.5", linewidth=1)
    left.set_xscale("log")
    left.set_xticks([1, cutoff, 100], ["1", str(cutoff), "100"])
    y_label = "share of users whose film is in it (HR@k)"
    plots.label(left, "", "k, length of the list", y_label, no_grid="x", ylim=(0, None))
    left.legend(loc="upper left")
    right.xaxis.set_major_locator(MaxNLocator(4))
    plots.label_rows(right, list(reports))
    plots.label(right, "", f"HR@{cutoff}, 95% interval", no_grid="y", xlim=(0, None))
    return axes


@plots.style()
def result_dots(frame: pd.DataFrame, metric: str) -> np.ndarray:
    """Results and their intervals, if any; columns protocol (a panel each), source, model, value, low, high.

    The first model is the one with pre-training, the second the one without.
    """
    protocols, sources, models = (list(dict.fromkeys(frame[name])) for name in ("protocol", "source", "model"))
    axes = plots.panels(1, len(protocols), 4.7, 3.3, sharey=True)[0]
    for ax, protocol in zip(axes, protocols, strict=True):
        for index, model in zip((plots.WITH, plots.WITHOUT), models, strict=True):
            rows = frame[(frame["protocol"] == protocol) & (frame["model"] == model)]
            y = [sources.index(source) + 0.14 * (2 * index - 1) for source in rows["source"]]
            look = {"capsize": 3, "linewidth": 2, "label": model}
            plots.intervals(ax, index, y, rows["value"], rows[["low", "high"]].T, along="x", **look)
        plots.label_rows(ax, sources)
        plots.label(ax, protocol, f"{metric}, mean over test users", no_grid="y", xlim=(0, None))
    plots.legend_below(axes[0])
    return axes


def course_map() -> Axes:
    """The chapters as boxes with minutes, in five groups; an arrow leads to what builds on a group."""
    ax = _canvas(9.8, 4.0, 25.6, 8.2)
    for index, (name, numbers) in enumerate(_GROUPS.items()):
        left, colour, tall = 0.1 + 5.25 * index, plots.palette()[index], 1.75 * len(numbers) + 0.25
        _box(ax, left + 2.2, 3.8, 4.4, tall, fc=(*colour, 0.10), ec=colour, lw=1.4)
        ax.text(left + 2.2, 3.8 + tall / 2 + 0.3, name, ha="center", fontsize=10.5, weight="bold", color="0.2")
        for position, number in enumerate(numbers):
            chapter, y = CHAPTERS[number], 3.8 + 1.75 * ((len(numbers) - 1) / 2 - position)
            title = textwrap.fill(f"{number:02d}  {chapter.title}", 22)
            _box(ax, left + 2.2, y, 4.15, 1.5, f"{title}\n{chapter.minutes} min", size=9.5, lw=1)
        if index:
            _arrow(ax, (left - 0.8, 3.8), (left, 3.8))
    return ax
