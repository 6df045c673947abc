"""Numbers that a notebook quotes: what others published, and the kit's own recorded runs."""

import functools
import json
from pathlib import Path
from typing import Any

from s3rec_lite.runs.records import read_records
from s3rec_lite.support.errors import DataError
from s3rec_lite.support.text import find_checkout


def project_root() -> Path:
    """The folder that holds data/ and notebooks/. Raises DataError when notebooks were copied away from the project."""
    root = find_checkout()
    if root is None:
        raise DataError("data/published.json was not found: open the notebooks inside a clone of the project")
    return root


@functools.cache
def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def published(*keys: str) -> Any:
    """A number or table of ``data/published.json``: ``published("sampled", "lastfm", "HR@10", "SASRec")``.

    Raises KeyError, naming what exists, for an unknown key.
    """
    value: Any = _read(project_root() / "data" / "published.json")
    for depth, key in enumerate(keys, start=1):
        if key not in value:
            raise KeyError(f"nothing at {'/'.join(keys[:depth])}; there are: {', '.join(value)}")
        value = value[key]
    return value


def records(kind: str | None = None) -> list[dict[str, Any]]:
    """The records in ``data/results``, those of one kind if it is given."""
    every = read_records(project_root() / "data" / "results")
    return [record for record in every if kind is None or record["kind"] == kind]
