"""Records: one JSON file for every run that the kit reports, and the tables made from them.

A record is a plain dict with a ``name`` (its file name) and a ``kind``: "run", "comparison", "study", "course-times",
"bench-pretrain" or "bench-evaluate". Tables on the screen and in the README are made from records only.
"""

import dataclasses
import datetime
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from s3rec_lite.data import SequenceData, fingerprint
from s3rec_lite.experiments.comparisons import Comparison
from s3rec_lite.support.errors import DataError, SettingError
from s3rec_lite.support.files import write_text
from s3rec_lite.support.runtime import machine

KINDS = ("run", "comparison", "study", "course-times", "bench-pretrain", "bench-evaluate")
SHOWN = ("HR@10", "NDCG@10", "MRR")
_PLAIN = re.compile(r"[^A-Za-z0-9._-]+")


def make_record(name: str, kind: str, data: SequenceData, **content: Any) -> dict[str, Any]:
    """A record with what all of them have: version, data and sizes, machine and date; ``content`` follows."""
    if kind not in KINDS:
        raise SettingError(f"no kind of record {kind!r}; there are {', '.join(KINDS)}")
    return {
        "name": plain_name(name),
        "kind": kind,
        "kit": kit_version(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "data": describe_data(data),
        **content,
    }


def kit_version() -> str:
    """The version of this package."""
    from s3rec_lite import __version__  # only now: the package imports this module before it is complete

    return __version__


def plain_name(name: str) -> str:
    """A name that every file system takes."""
    return _PLAIN.sub("-", name)


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


def minutes(history: pd.DataFrame | None) -> float:
    """Minutes of training by the seconds of its epochs: breaks between two calls do not count."""
    return 0.0 if history is None or history.empty else round(float(history["seconds"].sum()) / 60, 2)


def write_record(record: dict[str, Any], folder: str | Path) -> Path:
    """Write a record to ``folder/<name>.json``, atomically. Raises S3RecError when that is not possible."""
    path = Path(folder) / f"{record['name']}.json"
    write_text(path, to_json(record) + "\n")
    return path


def read_records(folder: str | Path) -> list[dict[str, Any]]:
    """All records of a folder, by file name; an absent folder has none.

    Raises DataError that names a file which is no record.
    """
    return [read_record(path) for path in sorted(Path(folder).glob("*.json"))]


def read_record(path: str | Path) -> dict[str, Any]:
    """One record. Raises DataError when the file is not one."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}); delete it, the run writes it anew"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); delete it, the run writes it anew") from None
    if not isinstance(record, dict) or record.get("kind") not in KINDS or "name" not in record:
        raise DataError(f"{path}: not a record of this kit; move it out of this folder")
    return record


def to_json(value: Any, indent: str = "") -> str:
    """JSON with one line for each setting or metric, and lists of numbers kept on one line."""
    if isinstance(value, dict) and value:
        inner = indent + "  "
        lines = [f"{inner}{json.dumps(str(key))}: {to_json(item, inner)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a record cannot hold a {type(value).__name__}")


def of_kind(records: Sequence[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The records of one kind."""
    return [record for record in records if record.get("kind") == kind]


# --- tables -------------------------------------------------------------------------------------------------


def results_table(records: Sequence[dict[str, Any]]) -> str:
    """Test results for the screen: a row a model with its 95% intervals below; then what they say."""
    texts = []
    for runs, comparisons in grouped(records):
        first = runs[0]
        sizes = first["data"]
        head = f"{sizes['name']}: {sizes['users']:,} users, {sizes['items']:,} items, "
        head += f"preset {first['preset']}, seed {first['seed']}"
        rows = [["", *(metric for _ in shown_protocols(first) for metric in SHOWN), "minutes"]]
        for run in runs:
            values, bounds = [run["model"]], [""]
            for name in shown_protocols(run):
                values += [f"{run['test'][name]['metrics'][metric]:.4f}" for metric in SHOWN]
                bounds += [dashed(run["test"][name]["intervals"][metric]) for metric in SHOWN]
            rows += [[*values, f"{sum(run['minutes'].values()):.1f}"], [*bounds, ""]]
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        titles = " " * (widths[0] + 2) + "".join(
            protocol_title(first, name).ljust(sum(widths[1 + 3 * i : 4 + 3 * i]) + 6)
            for i, name in enumerate(shown_protocols(first))
        )
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
        texts.append("\n".join(line.rstrip() for line in [head, "", titles, *lines]))
        texts.append("\n".join(textwrap.fill(sentence, 100) for sentence in sentences(comparisons)))
    return "\n\n".join(text for text in texts if text)


def markdown_table(records: Sequence[dict[str, Any]]) -> str:
    """Test results for the README: one row a run, the comparisons as a list below."""
    groups = grouped(records)
    if not groups:
        return "No results yet: `make reproduce` makes them."
    first = groups[0][0][0]
    heads = [f"{protocol_title(first, name)}: {metric}" for name in shown_protocols(first) for metric in SHOWN]
    rows = [["data", "model", "pre-training", *heads, "minutes"]]
    for runs, _ in groups:
        for run in runs:
            cells = [
                f"{facts['metrics'][metric]:.4f} ({dashed(facts['intervals'][metric])})"
                for facts in (run["test"][name] for name in shown_protocols(run))
                for metric in SHOWN
            ]
            data = run["data"]["name"] + ("" if run["preset"] == "default" else f", preset {run['preset']}")
            epochs = f"{run['settings']['pretrain']['epochs']} epochs" if run["settings"]["pretrain"] else "none"
            rows.append([data, run["model"], epochs, *cells, f"{sum(run['minutes'].values()):.1f}"])
    runs = [run for runs, _ in groups for run in runs]
    seeds = ", ".join(map(str, sorted({run["seed"] for run in runs})))
    note = (
        f"Test split, one run each with seed {seeds}; in brackets 95% bootstrap intervals over users. "
        f"Minutes of training and evaluation on {machines_of(runs)}."
    )
    listed = [f"* {sentence}" for _, comparisons in groups for sentence in sentences(comparisons)]
    return "\n\n".join(part for part in (markdown(rows), note, "\n".join(listed)) if part)


def markdown_bench(records: Sequence[dict[str, Any]]) -> str:
    """Speed for the README: a row a data set and machine, from records of the two bench kinds."""
    parts = []
    trained, ranked = of_kind(records, "bench-pretrain"), of_kind(records, "bench-evaluate")
    if trained:
        rows = [["data", "sequences per second", "plain reference", "ratio", "data preparation", "peak memory"]]
        for record in trained:
            fast, reference = record["fast"], record.get("reference")
            slow = f"{reference['sequences_per_second']:,.0f}" if reference else "not measured"
            ratio = f"{record['ratio']:.1f}" if reference else ""
            share, memory = f"{fast['preparation_share']:.1%}", f"{fast['peak_memory_mib']:,.0f} MiB"
            rows.append([record["data"]["name"], f"{fast['sequences_per_second']:,.0f}", slow, ratio, share, memory])
        sizes = sorted({record["settings"]["batch_size"] for record in trained})
        note = (
            f"Pre-training, batch size {', '.join(map(str, sizes))}, float32, on {machines_of(trained)}. Both took "
            "turns in one process. Each column is a median over rounds, the ratio too, so it is not quite the quotient "
            "of the two before it."
        )
        parts += [note, markdown(rows)]
    if ranked:
        rows = [["data", "users", "items", "full ranking", "99 negatives", "extra memory, full"]]
        for record in ranked:
            data, full, sampled = record["data"], record["full"], record.get("sampled")
            drawn = f"{sampled['seconds']:.1f} s" if sampled else "not possible"
            memory = f"{full['extra_memory_mib']:,.0f} MiB"
            rows.append(
                [
                    data["name"],
                    f"{data['users']:,}",
                    f"{data['items']:,}",
                    f"{full['seconds']:.1f} s",
                    drawn,
                    memory,
                ]
            )
        parts += [f"Evaluation of the test split on {machines_of(ranked)}.", markdown(rows)]
    return "\n\n".join(parts) if parts else "No measurements yet: `make bench` makes them."


def replace_blocks(path: str | Path, blocks: Mapping[str, str]) -> bool:
    """Put fresh text between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` of a Markdown file.

    Returns whether the file changed. Raises DataError when a pair of marks is missing or broken.
    """
    path = Path(path)
    text = path.read_text(encoding="utf-8")
    changed = text
    for name, content in blocks.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if changed.count(begin) != 1 or changed.count(end) != 1 or changed.index(begin) > changed.index(end):
            raise DataError(f"{path}: needs one {begin} and one {end} after it; add them where the text belongs")
        before, rest = changed.split(begin)
        changed = f"{before}{begin}\n\n{content}\n\n{end}{rest.split(end)[1]}"
    if changed != text:
        write_text(path, changed)
    return changed != text


def grouped(records: Sequence[dict[str, Any]]) -> list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """Runs and comparisons that belong together: same data, preset and seed, in the order of the runs."""
    groups: dict[tuple, tuple[list, list]] = {}
    for record in of_kind(records, "run") + of_kind(records, "comparison"):
        key = (record["data"]["fingerprint"], record["preset"], record["seed"])
        groups.setdefault(key, ([], []))[record["kind"] == "comparison"].append(record)
    # The control goes below the model that it is the control of.
    return [
        (sorted(runs, key=lambda run: run["settings"]["pretrain"] is None), comparisons)
        for runs, comparisons in groups.values()
        if runs
    ]


def shown_protocols(run: dict[str, Any]) -> list[str]:
    """The protocols of the tables; all others stay in the record."""
    return [name for name in ("full", "sampled") if name in run["test"]]


def protocol_title(run: dict[str, Any], protocol: str) -> str:
    """``full ranking`` or ``99 sampled negatives``."""
    if protocol == "full":
        return "full ranking"
    return f"{run['test'][protocol]['candidates']['most'] - 1} sampled negatives"


def sentences(comparisons: Sequence[dict[str, Any]], metric: str = "NDCG@10") -> list[str]:
    """One sentence for each comparison and protocol: is the difference larger than chance allows?"""
    fields = [field.name for field in dataclasses.fields(Comparison)]
    found = []
    for record in comparisons:
        for protocol in shown_protocols({"test": record["differences"]}):
            values = record["differences"][protocol][metric]
            title = "Full ranking" if protocol == "full" else "Sampled negatives"
            found.append(f"{record['data']['name']}, {title.lower()}: {Comparison(**{n: values[n] for n in fields})}")
    return found


def dashed(interval: Sequence[float]) -> str:
    """``0.110-0.135``."""
    return f"{interval[0]:.3f}-{interval[1]:.3f}"


def describe_machine(record: dict[str, Any]) -> str:
    """``Intel Xeon, 2 threads, torch 2.13.0``; another device than the CPU stands before it."""
    facts, device = record["machine"], record.get("device", "cpu")
    name = f"{facts['processor']}, {facts['threads']} threads, torch {facts['torch']}"
    return name if device == "cpu" else f"{device} beside {name}"


def machines_of(records: Sequence[dict[str, Any]]) -> str:
    """All machines of these records."""
    return "; ".join(sorted({describe_machine(record) for record in records}))


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
