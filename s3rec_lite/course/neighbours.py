"""What embeddings have learned: nearest neighbours by cosine, how many share an attribute, and pictures of both.

Every function takes an embedding table with the rows of the model's own: ids as row numbers, row 0 unused.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from torch import Tensor

from s3rec_lite.datasets import SequenceData
from s3rec_lite.figures import plots

Table = Tensor | np.ndarray


def rows_of(table: Table) -> np.ndarray:
    """The table as float64 [rows, H], detached from the model."""
    return (table.detach().cpu().numpy() if isinstance(table, Tensor) else np.asarray(table)).astype(np.float64)


def cosines(table: Table, chosen: Sequence[int], among: Sequence[int]) -> np.ndarray:
    """Cosine of each row ``chosen`` [N] with each row ``among`` [M]: float64 [N, M]."""
    rows = rows_of(table)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows[np.asarray(chosen)] @ rows[np.asarray(among)].T


def neighbours(table: Table, chosen: Sequence[int], k: int, among: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest of ``among`` for each of ``chosen`` [N], itself left out: ids [N, k] and cosines [N, k]."""
    chosen, among = np.asarray(chosen), np.asarray(among)
    values = cosines(table, chosen, among)
    values[chosen[:, None] == among] = -np.inf
    best = np.argsort(-values, axis=1, kind="stable")[:, :k]
    return among[best], np.take_along_axis(values, best, axis=1)


def nearest(
    table: Table, data: SequenceData, items: Sequence[int], k: int = 5, *, among: Sequence[int] | None = None
) -> pd.DataFrame:
    """The k nearest items of each chosen item, by cosine, with titles and the attributes that both have.

    among: ids that may be neighbours; all items by default.
    """
    ids, values = neighbours(table, items, k, _items(data, among))
    has = data.attributes.numpy()
    rows = [
        (
            data.title(item), place + 1, data.title(int(other)), round(float(value), 2),
            ", ".join(_attribute(data, a) for a in np.flatnonzero(has[item] & has[other])),
        )
        for item, others, near in zip(items, ids, values, strict=True)
        for place, (other, value) in enumerate(zip(others, near, strict=True))
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["item", "place", "neighbour", "cosine", "attributes of both"])


def nearest_attributes(table: Table, data: SequenceData, attributes: Sequence[str], k: int = 3) -> pd.DataFrame:
    """The k nearest attributes of each attribute, named, by cosine: one row an attribute."""
    chosen = [data.attribute_names.index(name) + 1 for name in attributes]
    ids, values = neighbours(table, chosen, k, np.arange(1, data.num_attributes + 1))
    lines = [
        ", ".join(f"{_attribute(data, a)} ({v:.2f})" for a, v in zip(*row, strict=True))
        for row in zip(ids, values, strict=True)
    ]
    return pd.DataFrame({"attribute": list(attributes), "nearest (cosine)": lines})


def shared(data: SequenceData, measure: str = "any", among: Sequence[int] | None = None) -> np.ndarray:
    """How alike the attributes of two items are, float64 [N, N] over ``among``.

    "any": 1 if they have an attribute in common. "jaccard": common attributes divided by all that either has.
    """
    has = data.attributes.numpy()[_items(data, among)].astype(np.float64)
    common = has @ has.T
    if measure == "any":
        return (common > 0).astype(np.float64)
    sizes = has.sum(axis=1)
    return common / np.maximum(sizes[:, None] + sizes - common, 1)


def sharing(
    table: Table,
    data: SequenceData,
    k: int | Sequence[int] = 10,
    *,
    measure: str = "any",
    among: Sequence[int] | None = None,
) -> pd.DataFrame:
    """How alike the attributes of the k nearest items are, on average over items: columns k, nearest, chance.

    chance: the same mean over all other items instead of the k nearest. Items without attributes do not count.
    """
    among = _items(data, among)
    among = among[data.attributes.numpy()[among].any(axis=1)]
    alike, sizes = shared(data, measure, among), np.atleast_1d(k)
    ids, _ = neighbours(table, among, int(sizes.max()), among)
    columns = _places(among, ids)
    running = np.take_along_axis(alike, columns, axis=1).mean(axis=0).cumsum()  # over places 1..k
    others = (alike.sum() - np.trace(alike)) / (len(among) * (len(among) - 1))
    return pd.DataFrame({"k": sizes, "nearest": running[sizes - 1] / sizes, "chance": others})


def sharing_curves(
    tables: Mapping[str, Table],
    data: SequenceData,
    ks: Sequence[int] = (1, 2, 5, 10, 20, 50),
    ax: Axes | None = None,
    *,
    measure: str = "any",
    among: Sequence[int] | None = None,
    title: str | None = None,
) -> Axes:
    """`sharing` against k, a line a table (such as before and after training), chance dotted."""
    ax = plots.panels(1, 1, 7.0, 3.6)[0, 0] if ax is None else ax
    with plots.style():
        for index, (label, table) in enumerate(tables.items()):
            frame = sharing(table, data, ks, measure=measure, among=among)
            ax.plot(
                frame["k"], frame["nearest"], color=plots.palette()[index], marker=plots.MARKERS[index % 5],
                linestyle=("-", "--", "-.", ":")[index % 4], label=label,
            )  # fmt: skip
        ax.axhline(frame["chance"].iloc[0], color="0.35", linestyle=":", label="chance")
        ax.set_xscale("log")
        ax.set_xticks(list(ks), [str(k) for k in ks])
        ax.minorticks_off()
        ax.set_xlabel("k nearest items")
        names = {"any": "share with an attribute in common", "jaccard": "mean Jaccard index of attributes"}
        ax.set_ylabel(names[measure])
        ax.set_ylim(0, 1.02 if measure == "any" else None)
        ax.grid(axis="x", visible=False)
        ax.legend()
        if title:
            ax.set_title(title, loc="left")
    return ax


def project(table: Table, rows: Sequence[int]) -> tuple[np.ndarray, float]:
    """Chosen rows on their first two principal axes [N, 2], and the share of their variance that these hold."""
    chosen = rows_of(table)[np.asarray(rows)]
    centred = chosen - chosen.mean(axis=0)
    _, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    axes = axes[:2] * np.sign(axes[:2, np.abs(axes[:2]).argmax(axis=1)].diagonal())[:, None]  # one sign of the two
    return centred @ axes.T, float((sizes[:2] ** 2).sum() / max((sizes**2).sum(), 1e-300))


def item_map(
    tables: Mapping[str, Table],
    data: SequenceData,
    attributes: Sequence[str],
    axes: Sequence[Axes] | None = None,
    *,
    among: Sequence[int] | None = None,
) -> list[Axes]:
    """Item embeddings on two principal axes, a panel a table; items with exactly one of ``attributes`` are marked."""
    among = _items(data, among)
    drawn = list(plots.panels(1, len(tables), 8.8 / len(tables), 4.0).flat) if axes is None else list(axes)
    has = data.attributes.numpy()[among][:, [data.attribute_names.index(name) + 1 for name in attributes]]
    one = has.sum(axis=1) == 1
    with plots.style():
        for ax, (label, table) in zip(drawn, tables.items(), strict=True):
            points, held = project(table, among)
            ax.scatter(*points[~one].T, s=7, color="0.8", label="other or several")
            for index, name in enumerate(attributes):
                ax.scatter(
                    *points[one & has[:, index]].T, s=20, color=plots.palette()[index], marker=plots.MARKERS[index % 5],
                    alpha=0.8, linewidths=0, label=name,
                )  # fmt: skip
            ax.set_title(f"{label} ({held:.0%} of the variance)", loc="left")
            ax.set_xlabel("first principal axis")
            ax.grid(visible=False)
        drawn[0].set_ylabel("second principal axis")
        handles, labels = drawn[0].get_legend_handles_labels()
        drawn[0].figure.legend(handles, labels, loc="outside lower center", ncol=len(labels), markerscale=1.6)
    return drawn


def _items(data: SequenceData, among: Sequence[int] | None) -> np.ndarray:
    return np.arange(1, data.num_items + 1) if among is None else np.asarray(among)


def _places(among: np.ndarray, ids: np.ndarray) -> np.ndarray:
    order = np.argsort(among)
    return order[np.searchsorted(among, ids, sorter=order)]


def _attribute(data: SequenceData, attribute: int) -> str:
    return data.attribute_names[attribute - 1] if data.attribute_names else f"attribute {attribute}"
