"""How a notebook shows a figure: with alt text, and kept in figures/ when the notebooks are made anew."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from s3rec_lite.figures import plots
from s3rec_lite.support.text import find_checkout

if TYPE_CHECKING:
    from IPython.display import Image

WRITE = "S3REC_WRITE_FIGURES"
"""environment variable; set to 1 by `make notebooks`, so that merely running a chapter changes no file"""
_DPI = 120


def show(figure: Figure | Axes | Iterable[Axes], name: str, alt: str) -> "Image":
    """The figure as an image with alt text, for the end of a cell; also ``figures/<name>.png`` and ``.txt``.

    Args:
        figure: a figure, or (any of) its axes.
        name: as "04-neighbours", starting with the chapter's number.
        alt: what the picture shows, for readers who cannot see it; numbers only if they are the same in every run.
    """
    from IPython.display import Image  # only notebooks need it

    whole: Any = figure if isinstance(figure, Figure) else np.ravel(np.asarray(figure))[0].figure
    picture = plots.png(whole, alt, _DPI)
    if os.environ.get(WRITE) == "1":
        folder = (find_checkout() or Path.cwd()) / "figures"
        plots.write_picture(folder / f"{name}.png", picture, alt)
    width = int.from_bytes(picture[16:20], "big")  # pixels, from the header
    return Image(data=picture, alt=alt, width=int(width * 100 / _DPI))
