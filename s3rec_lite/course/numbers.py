"""Numbers that a notebook quotes: what others published, and the kit's own recorded runs."""

import functools
import json
from pathlib import Path
from typing import Any

from s3rec_lite.runs.records import read_records
from s3rec_lite.support.errors import DataError


def project_root() -> Path:
    """The folder that holds data/ and notebooks/: upwards from the working folder, else beside the package.

    Raises DataError when the notebooks were copied away from the project.
    """
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).parents[2]):
        if (folder / "data" / "published.json").exists():
            return folder
    raise DataError("data/published.json was not found: open the notebooks inside a clone of the project")


@functools.cache
def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def published(*keys: str) -> Any:
    """A number or table of ``data/published.json``: ``published("sampled", "lastfm", "HR@10", "SASRec")``.

    Raises KeyError, naming what exists, for an unknown key.
    """
    value: Any = _read(project_root() / "data" / "published.json")
    for place, key in enumerate(keys):
        if key not in value:
            raise KeyError(f"nothing at {'/'.join(keys[: place + 1])}; there are: {', '.join(value)}")
        value = value[key]
    return value


def records(kind: str | None = None) -> list[dict[str, Any]]:
    """The records in ``data/results``, those of one kind if it is given."""
    found = read_records(project_root() / "data" / "results")
    return [record for record in found if kind is None or record["kind"] == kind]
