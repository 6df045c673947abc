"""What embeddings have learned: nearest neighbours by cosine, how many share an attribute, and pictures of both.

Every function takes an embedding table with the rows of the model's own: ids as row numbers, row 0 unused.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from s3rec_lite.data import SequenceData
from s3rec_lite.figures import plots
from torch import Tensor

_Table = Tensor | np.ndarray
_Ids = Sequence[int] | np.ndarray


def _rows(table: _Table) -> np.ndarray:
    """The table as float64 [rows, H], detached from the model."""
    return (table.detach().cpu().numpy() if isinstance(table, Tensor) else np.asarray(table)).astype(np.float64)


def _items(data: SequenceData, among: _Ids | None) -> np.ndarray:
    return np.arange(1, data.num_items + 1) if among is None else np.asarray(among)


def _attribute(data: SequenceData, attribute: int) -> str:
    return data.attribute_names[attribute - 1] if data.attribute_names else f"attribute {attribute}"


# Nearest neighbours


def _nearest_columns(table: _Table, chosen: np.ndarray, k: int, among: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As `neighbours`, with positions in ``among`` instead of ids."""
    rows = _rows(table)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    cosines = rows[chosen] @ rows[among].T  # [N, M]
    cosines[chosen[:, None] == among] = -np.inf
    best = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
    return best, np.take_along_axis(cosines, best, axis=1)


def neighbours(table: _Table, chosen: _Ids, k: int, among: _Ids) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of ``among`` for each of ``chosen`` [N], itself left out: ids [N, k] and cosines [N, k]."""
    among = np.asarray(among)
    columns, cosines = _nearest_columns(table, np.asarray(chosen), k, among)
    return among[columns], cosines


def nearest(table: _Table, data: SequenceData, items: _Ids, k: int = 5, *, among: _Ids | None = None) -> pd.DataFrame:
    """The k nearest items of each chosen item, by cosine, with titles and the attributes that both have.

    among: ids that may be neighbours; all items by default.
    """
    ids, cosines = neighbours(table, items, k, _items(data, among))
    has, rows = data.attributes.numpy(), []
    for number, item in enumerate(items):
        for rank, (other, cosine) in enumerate(zip(ids[number], cosines[number], strict=True), start=1):
            both = ", ".join(_attribute(data, int(a)) for a in np.flatnonzero(has[item] & has[other]))
            rows.append((data.title(item), rank, data.title(int(other)), round(float(cosine), 2), both))
    return pd.DataFrame(rows, columns=["item", "place", "neighbour", "cosine", "attributes of both"])


# Attributes that neighbours share


def _likeness(data: SequenceData, measure: str, among: np.ndarray) -> np.ndarray:
    """How alike the attributes of two items are by a measure of `sharing`, float64 [N, N] over ``among``."""
    has = data.attributes.numpy()[among].astype(np.float64)
    common = has @ has.T
    if measure == "any":
        return (common > 0).astype(np.float64)
    sizes = has.sum(axis=1)
    return common / np.maximum(sizes[:, None] + sizes - common, 1)


def sharing(
    table: _Table, data: SequenceData, k: int | Sequence[int] = 10, *, measure: str = "any", among: _Ids | None = None
) -> pd.DataFrame:
    """How alike the attributes of the k nearest items are, on average over items: columns k, nearest, chance.

    The chance is the same mean over all other items instead of the k nearest. Items without attributes do not count.

    Args:
        k: one number or several.
        measure: "any", 1 for two items with an attribute in common, else 0; "jaccard", their common attributes divided
            by all that either has.
        among: ids that count; all items by default.
    """
    among = _items(data, among)
    among = among[data.attributes.numpy()[among].any(axis=1)]
    alike, sizes = _likeness(data, measure, among), np.atleast_1d(k)
    columns, _ = _nearest_columns(table, among, int(sizes.max()), among)
    running = np.take_along_axis(alike, columns, axis=1).mean(axis=0).cumsum()  # over ranks 1..k
    others = (alike.sum() - np.trace(alike)) / (len(among) * (len(among) - 1))
    return pd.DataFrame({"k": sizes, "nearest": running[sizes - 1] / sizes, "chance": others})


@plots.style()
def sharing_curves(
    tables: Mapping[str, _Table],
    data: SequenceData,
    ks: Sequence[int] = (1, 2, 5, 10, 20, 50),
    ax: Axes | None = None,
    *,
    measure: str = "any",
) -> Axes:
    """`sharing` against k, a line a table (such as before and after training), chance dotted."""
    ax = plots.panels(1, 1, 7.0, 3.6)[0, 0] if ax is None else ax
    for index, (name, table) in enumerate(tables.items()):
        frame = sharing(table, data, ks, measure=measure)
        plots.line(ax, index, frame["k"], frame["nearest"], label=name)
    ax.axhline(frame["chance"].iloc[0], color="0.35", linestyle=":", label="chance")
    ax.set_xscale("log")
    ax.set_xticks(list(ks), [str(k) for k in ks])
    ax.minorticks_off()
    names = {"any": "share with an attribute in common", "jaccard": "mean Jaccard index of attributes"}
    top = 1.02 if measure == "any" else None
    plots.label(ax, "", "k nearest items", names[measure], no_grid="x", ylim=(0, top))
    ax.legend()
    return ax


# A map


def _project(table: _Table, chosen: np.ndarray) -> tuple[np.ndarray, float]:
    """Chosen rows on their first two principal axes [N, 2], and the share of their variance that these hold."""
    rows = _rows(table)[chosen]
    centred = rows - rows.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2, np.abs(axes[:2]).argmax(axis=1)].diagonal())[:, None]  # one sign of the two
    return centred @ axes.T, float((sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-300))


@plots.style()
def item_map(tables: Mapping[str, _Table], data: SequenceData, attributes: Sequence[str]) -> list[Axes]:
    """Item embeddings on two principal axes, a panel a table; items with exactly one of ``attributes`` are marked."""
    axes, items = list(plots.panels(1, len(tables), 8.8 / len(tables), 4.0).flat), _items(data, None)
    known = data.attribute_names or ()
    has = data.attributes.numpy()[items][:, [known.index(name) + 1 for name in attributes]]
    one = has.sum(axis=1) == 1
    for ax, (title, table) in zip(axes, tables.items(), strict=True):
        points, share = _project(table, items)
        ax.scatter(*points[~one].T, s=7, color="0.8", label="other or several")
        for index, name in enumerate(attributes):
            dots = plots.look(index, linestyle="-", s=20, alpha=0.8, linewidths=0)
            ax.scatter(*points[one & has[:, index]].T, **dots, label=name)
        y_label = "second principal axis" if ax is axes[0] else ""
        plots.label(ax, f"{title} ({share:.0%} of the variance)", "first principal axis", y_label, no_grid="both")
    handles, labels = axes[0].get_legend_handles_labels()
    axes[0].figure.legend(handles, labels, loc="outside lower center", ncol=len(labels), markerscale=1.6)
    return axes
