"""How a notebook shows a figure: with alt text, and kept in figures/ when the notebooks are made anew."""

import io
import os
from collections.abc import Iterable

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from s3rec_lite.course.numbers import project_root
from s3rec_lite.figures import plots

WRITE = "S3REC_WRITE_FIGURES"
"""environment variable; set to 1 by `make notebooks`, so that merely running a chapter changes no file"""
DPI = 120


def show(figure: Figure | Axes | Iterable[Axes], name: str, alt: str):
    """The figure as an image with alt text, for the end of a cell; also ``figures/<name>.png`` and ``.txt``.

    figure: a figure, or (any of) its axes. name: as "04-neighbours", starting with the chapter's number.
    alt: what the picture shows, for readers who cannot see it; numbers only if they are the same in every run.
    """
    from IPython.display import Image  # only notebooks need it

    figure = _figure_of(figure)
    buffer = io.BytesIO()
    with plots.style():
        figure.savefig(
            buffer, format="png", dpi=DPI, bbox_inches="tight", facecolor="white",
            metadata={"Software": None, "Description": alt},
        )  # fmt: skip
    data = buffer.getvalue()
    if os.environ.get(WRITE) == "1":
        folder = project_root() / "figures"
        plots.write_bytes(folder / f"{name}.png", data)
        plots.write_bytes(folder / f"{name}.txt", (alt + "\n").encode())
    return Image(data=data, alt=alt, width=int(int.from_bytes(data[16:20], "big") * 100 / DPI))


def _figure_of(drawn: Figure | Axes | Iterable[Axes]) -> Figure:
    if isinstance(drawn, Figure):
        return drawn
    return drawn.figure if isinstance(drawn, Axes) else next(iter(np.ravel(list(drawn)))).figure
