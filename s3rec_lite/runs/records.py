"""Records: one JSON file for every run that the kit reports, and what they say about each other.

A record is a plain dict with a ``name`` (its file name) and a ``kind``: "run", "comparison", "study", "course-times",
"bench-pretrain", "bench-evaluate" or "bench-scale". Tables on the screen and in the README are made from records only.
"""

import dataclasses
import datetime
import json
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from s3rec_lite import __version__
from s3rec_lite.data import SequenceData, fingerprint
from s3rec_lite.experiments.comparisons import Comparison
from s3rec_lite.support.errors import DataError, SettingError
from s3rec_lite.support.files import write_text
from s3rec_lite.support.runtime import machine
from s3rec_lite.support.text import text_table

Record = dict[str, Any]
SHOWN_METRICS = ("HR@10", "NDCG@10", "MRR")
"""columns of the tables; all other metrics stay in the record"""
_KINDS = ("run", "comparison", "study", "course-times", "bench-pretrain", "bench-evaluate", "bench-scale")


def make_record(name: str, kind: str, data: SequenceData | None, **content: Any) -> Record:
    """A record with what all of them have: version, date, machine, and data where it has one; ``content`` follows."""
    if kind not in _KINDS:
        raise SettingError(f"no kind of record {kind!r}; there are {', '.join(_KINDS)}")
    return {
        "name": plain_name(name),
        "kind": kind,
        "kit": __version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        **({} if data is None else {"data": describe_data(data)}),
        **content,
    }


def plain_name(name: str) -> str:
    """A name that every file system takes."""
    return re.sub("[^A-Za-z0-9._-]+", "-", name)


def describe_data(data: SequenceData) -> dict[str, str | int]:
    """Name, fingerprint and sizes of a data set."""
    return {
        "name": data.name,
        "fingerprint": fingerprint(data),
        "users": data.num_users,
        "items": data.num_items,
        "attributes": data.num_attributes,
        "interactions": data.num_interactions,
    }


def history_columns(history: pd.DataFrame | None) -> dict[str, list[float]] | None:
    """A history by columns, losses and metrics to six significant digits; None if there is none."""
    if history is None:
        return None
    return {
        str(column): [int(value) if float(value).is_integer() else float(f"{value:.6g}") for value in history[column]]
        for column in history
    }


def write_record(record: Record, folder: str | Path) -> Path:
    """Write a record to ``folder/<name>.json``, atomically. Raises S3RecError when that is not possible."""
    path = Path(folder) / f"{record['name']}.json"
    write_text(path, to_json(record) + "\n")
    return path


def read_records(folder: str | Path) -> list[Record]:
    """All records of a folder, by file name; an absent folder has none.

    Raises DataError that names a file which is no record.
    """
    return [read_record(path) for path in sorted(Path(folder).glob("*.json"))]


def read_record(path: str | Path) -> Record:
    """One record. Raises DataError when the file is not one."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}); delete it, the run writes it anew"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it, the run writes it anew") from None
    if not isinstance(record, dict) or record.get("kind") not in _KINDS or "name" not in record:
        raise DataError(f"{path}: not a record of this kit; move it out of this folder")
    return record


def to_json(value: Any, indent: str = "") -> str:
    """JSON with one line for each setting or metric, and each list on one line."""
    if isinstance(value, dict) and value:
        inner = indent + "  "
        lines = [f"{inner}{json.dumps(str(key))}: {to_json(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain_value)


def _plain_value(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a record cannot hold a {type(value).__name__}")


# --- tables -------------------------------------------------------------------------------------------------


def results_table(records: Sequence[Record]) -> str:
    """Test results for the screen: a row a model with its 95% intervals below; then what they say."""
    texts = []
    for runs, comparisons in group_runs(records):
        first = runs[0]
        data, protocols = first["data"], shown_protocols(first)
        head = f"{data['name']}: {data['users']:,} users, {data['items']:,} items, "
        head += f"preset {first['preset']}, seed {first['seed']}"

        rows = [["", *(SHOWN_METRICS * len(protocols)), "minutes"]]
        for run in runs:
            facts = [(run["test"][name], metric) for name in protocols for metric in SHOWN_METRICS]
            values = [f"{test['metrics'][metric]:.4f}" for test, metric in facts]
            intervals = [dashed(test["intervals"][metric]) for test, metric in facts]
            rows += [[run["model"], *values, f"{sum(run['minutes'].values()):.1f}"], ["", *intervals, ""]]

        # Each protocol's title stands above its columns.
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        titles, size = " " * (widths[0] + 2), len(SHOWN_METRICS)
        for number, name in enumerate(protocols):
            columns = widths[1 + size * number : 1 + size * (number + 1)]
            titles += protocol_title(first, name).ljust(sum(columns) + 2 * size)

        texts.append("\n".join([head, "", titles.rstrip(), text_table(rows)]))
        texts.append("\n".join(textwrap.fill(sentence, 100) for sentence in sentences(comparisons)))
    return "\n\n".join(text for text in texts if text)


def group_runs(records: Sequence[Record]) -> list[tuple[list[Record], list[Record]]]:
    """Runs and their comparisons, grouped by data, preset and seed, in the order of the runs."""
    groups: dict[tuple, tuple[list[Record], list[Record]]] = {}
    for kind in ("run", "comparison"):
        for record in records:
            if record["kind"] == kind:
                key = (record["data"]["fingerprint"], record["preset"], record["seed"])
                groups.setdefault(key, ([], []))[kind == "comparison"].append(record)
    # The control goes below the model that it is the control of.
    return [
        (sorted(runs, key=lambda run: run["settings"]["pretrain"] is None), comparisons)
        for runs, comparisons in groups.values()
        if runs
    ]


def shown_protocols(run: Record) -> list[str]:
    """The protocols of the tables; all others stay in the record."""
    return [name for name in ("full", "sampled") if name in run["test"]]


def protocol_title(run: Record, protocol: str) -> str:
    """``full ranking`` or ``99 sampled negatives``."""
    if protocol == "full":
        return "full ranking"
    return f"{run['test'][protocol]['candidates']['most'] - 1} sampled negatives"


def sentences(comparisons: Sequence[Record], metric: str = "NDCG@10") -> list[str]:
    """One sentence for each comparison and protocol: is the difference larger than chance allows?"""
    fields = [field.name for field in dataclasses.fields(Comparison)]
    texts = []
    for record in comparisons:
        for protocol, title in (("full", "full ranking"), ("sampled", "sampled negatives")):
            if protocol in record["differences"]:
                values = record["differences"][protocol][metric]
                comparison = Comparison(**{name: values[name] for name in fields})
                texts.append(f"{record['data']['name']}, {title}: {comparison}")
    return texts


def dashed(interval: Sequence[float]) -> str:
    """``0.110-0.135``."""
    return f"{interval[0]:.3f}-{interval[1]:.3f}"
