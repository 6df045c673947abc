"""A data set by its name, from a file of any known format, or from a DataFrame."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from s3rec_lite.data import SequenceData
from s3rec_lite.datasets.authors import read_authors
from s3rec_lite.datasets.interactions import Tabular, read_interactions
from s3rec_lite.datasets.planted import planted, planted_of_size
from s3rec_lite.datasets.recbole import read_recbole
from s3rec_lite.datasets.sources import NAMES, fetch, unknown_name
from s3rec_lite.datasets.toy import toy
from s3rec_lite.support.errors import DataError


def load_dataset(
    source: Tabular,
    *,
    root: str | Path | None = None,
    item_attribute: str | Sequence[str] | None = "class",
    k_core: int | None = 5,
    progress: bool = True,
    user: str = "user",
    item: str = "item",
    time: str | None = "time",
    item_attributes: Tabular | None = None,
    titles: Tabular | None = None,
    require_attributes: bool = True,
    id_order: str = "name",
    time_rounding: str = "none",
) -> SequenceData:
    """Load a data set by name (see NAMES), from a file, or from a DataFrame.

    Args:
        source: a name, or planted:USERSxITEMS for a made-up world of any size; or a path to the authors'
            `X.txt`, to a RecBole `.inter` file or its folder, or to a `.csv` file; or a DataFrame.
        root: folder that keeps downloads; see `cache_root`.
        item_attribute: RecBole only, columns that hold the attributes; None for none.
        k_core: RecBole, CSV and DataFrame only; None, 0 or 1 keep everything.
        progress: whether to show download progress on stderr.
        user, item, time: CSV and DataFrame only, names of the columns; time=None keeps the order.
        item_attributes: CSV and DataFrame only, table of items and attributes. For `X.csv` a file
            `X_attributes.csv` beside it is used if there is one.
        titles: CSV and DataFrame only, table of items and titles. For `X.csv`: `X_titles.csv`.
        require_attributes: authors' format only; if False, a missing json file means no attributes.
        id_order, time_rounding: RecBole only, see `read_recbole`.

    Raises:
        DataError: for unknown names, missing or malformed files, wrong checksums and failed downloads.
    """
    as_recbole = partial(
        read_recbole, item_attribute=item_attribute, k_core=k_core, id_order=id_order, time_rounding=time_rounding
    )
    read_table = partial(read_interactions, user=user, item=item, time=time, k_core=k_core)
    if isinstance(source, pd.DataFrame):
        return read_table(source, item_attributes=item_attributes, titles=titles)

    # A name
    name, path = str(source).lower(), Path(source)
    if isinstance(source, str) and name in NAMES:
        files = list(fetch(name, root, progress).values())  # the one with the interactions comes first
        if name == "ml-100k":
            return as_recbole(files[0], name=name)
        return read_authors(files[0], name=name) if files else {"toy": toy, "planted": planted}[name]()
    if isinstance(source, str) and name.startswith("planted:"):
        return planted_of_size(name.removeprefix("planted:"))

    # A path
    if is_recbole(source):
        return as_recbole(path)
    if path.suffix == ".txt":
        return read_authors(path, require_attributes=require_attributes)
    if path.suffix == ".csv":
        item_attributes = _table_beside(path, "_attributes", item_attributes)
        titles = _table_beside(path, "_titles", titles)
        return read_table(path, item_attributes=item_attributes, titles=titles)
    if path.exists():
        raise DataError(f"{path}: unknown kind of file; give .txt, .inter, .csv or a folder with a .inter")
    raise unknown_name(str(source))


def is_recbole(source: Tabular) -> bool:
    """Whether `load_dataset` reads RecBole's atomic files for this source."""
    if isinstance(source, pd.DataFrame):
        return False
    if isinstance(source, str) and source.lower() in NAMES:
        return source.lower() == "ml-100k"
    return Path(source).is_dir() or Path(source).suffix == ".inter"


def _table_beside(path: Path, ending: str, given: Tabular | None) -> Tabular | None:
    neighbour = path.with_name(f"{path.stem}{ending}.csv")
    return neighbour if given is None and neighbour.exists() else given
