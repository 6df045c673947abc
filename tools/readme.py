"""The README's tables, made from the records and the settings: `python -m tools.readme`."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from course.chapters import chapter_table

from s3rec_lite.commands.options import default_text
from s3rec_lite.experiments.presets import CONFIG_CLASSES, PRESETS
from s3rec_lite.experiments.recbole_names import ALIASES
from s3rec_lite.runs.records import (
    SHOWN_METRICS,
    Record,
    dashed,
    group_runs,
    protocol_title,
    read_records,
    sentences,
    shown_protocols,
)
from s3rec_lite.support.config import describe
from s3rec_lite.support.errors import DataError
from s3rec_lite.support.files import write_text
from s3rec_lite.support.text import markdown_table
from tools.reading import reading_table, refresh_docstring, rooms_table

# Settings that RecBole has under the very same name; ALIASES holds those under another one.
_SAME_NAME = {
    "hidden_size", "inner_size", "n_layers", "n_heads", "hidden_dropout_prob", "attn_dropout_prob", "hidden_act",
    "layer_norm_eps", "initializer_range", "mask_ratio", "aap_weight", "mip_weight", "map_weight", "sp_weight",
    "save_step", "learning_rate", "weight_decay", "seed",
}  # fmt: skip
_SPELLING = {"max-item-list-length": "MAX_ITEM_LIST_LENGTH"}
_NOT_SETTINGS = (
    ("--item-attribute", "item_attribute", "class", "columns of the `.item` file that hold attributes"),
    ("--checkpoint", "pre_model_path", "the last one", "the pre-trained checkpoint that fine-tuning starts from"),
)
"""What RecBole calls settings and this kit takes as arguments of its commands."""


def readme_blocks(records: Sequence[Record]) -> dict[str, str]:
    """The text of every marked block of the README."""
    seconds = next((record["seconds"] for record in records if record["kind"] == "course-times"), None)
    return {
        "course": chapter_table("notebooks/", seconds),
        "package": reading_table(),
        "rooms": rooms_table(),
        "results": results_block(records),
        "settings": _settings_block(),
        "bench": bench_block(records),
    }


def results_block(records: Sequence[Record]) -> str:
    """Test results: one row a run, the comparisons as a list below."""
    groups = group_runs(records)
    if not groups:
        return "No results yet: `make reproduce` makes them."
    first = groups[0][0][0]
    heads = [f"{protocol_title(first, name)}: {metric}" for name in shown_protocols(first) for metric in SHOWN_METRICS]
    rows = [["data", "model", "pre-training", *heads, "minutes"]]
    runs = [run for runs, _ in groups for run in runs]
    for run in runs:
        cells = [
            f"{facts['metrics'][metric]:.4f} ({dashed(facts['intervals'][metric])})"
            for facts in (run["test"][name] for name in shown_protocols(run))
            for metric in SHOWN_METRICS
        ]
        data = run["data"]["name"] + ("" if run["preset"] == "default" else f", preset {run['preset']}")
        epochs = f"{run['settings']['pretrain']['epochs']} epochs" if run["settings"]["pretrain"] else "none"
        rows.append([data, run["model"], epochs, *cells, f"{sum(run['minutes'].values()):.1f}"])

    seeds = ", ".join(map(str, sorted({run["seed"] for run in runs})))
    note = (
        f"Test split, one run each with seed {seeds}; in brackets 95% bootstrap intervals over users. "
        f"Minutes of training and evaluation on {_machines(runs)}."
    )
    listed = [f"* {sentence}" for _, comparisons in groups for sentence in sentences(comparisons)]
    return "\n\n".join(part for part in (markdown_table(rows), note, "\n".join(listed)) if part)


def bench_block(records: Sequence[Record]) -> str:
    """Speed: a row a data set and machine, from records of the two bench kinds."""
    trained = [record for record in records if record["kind"] == "bench-pretrain"]
    ranked = [record for record in records if record["kind"] == "bench-evaluate"]
    parts = []
    if trained:
        rows = [["data", "sequences per second", "plain reference", "ratio", "data preparation", "peak memory"]]
        for record in trained:
            fast, reference = record["fast"], record.get("reference")
            slow = f"{reference['sequences_per_second']:,.0f}" if reference else "not measured"
            ratio = f"{record['ratio']:.1f}" if reference else ""
            share, memory = f"{fast['preparation_share']:.1%}", f"{fast['peak_memory_mib']:,.0f} MiB"
            preset = record.get("preset", "default")
            name = record["data"]["name"] + ("" if preset == "default" else f", preset {preset}")
            rows.append([name, f"{fast['sequences_per_second']:,.0f}", slow, ratio, share, memory])
        sizes = sorted({record["settings"]["batch_size"] for record in trained})
        note = (
            f"Pre-training, batch size {', '.join(map(str, sizes))}, float32, on {_machines(trained)}. Both took "
            "turns in one process. Each column is a median over rounds, the ratio too, so it is not quite the quotient "
            "of the two before it."
        )
        parts += [note, markdown_table(rows)]
    if ranked:
        rows = [["data", "users", "items", "full ranking", "99 negatives", "extra memory, full"]]
        for record in ranked:
            data, full, sampled = record["data"], record["full"], record.get("sampled")
            drawn = f"{sampled['seconds']:.1f} s" if sampled else "not possible"
            sizes = [f"{data['users']:,}", f"{data['items']:,}"]
            rows.append(
                [data["name"], *sizes, f"{full['seconds']:.1f} s", drawn, f"{full['extra_memory_mib']:,.0f} MiB"]
            )
        parts += [f"Evaluation of the test split on {_machines(ranked)}.", markdown_table(rows)]
    return "\n\n".join(parts) if parts else "No measurements yet: `make bench` makes them."


def _machines(records: Sequence[Record]) -> str:
    """All machines of these records, as ``Intel Xeon, 2 threads, torch 2.13.0``; another device is named first."""
    names = set()
    for record in records:
        facts, device = record["machine"], record.get("device", "cpu")
        name = f"{facts['processor']}, {facts['threads']} threads, torch {facts['torch']}"
        names.add(name if device == "cpu" else f"{device} beside {name}")
    return "; ".join(sorted(names))


def _settings_block() -> str:
    """One row a setting, with its default and what the presets make of it."""
    rows = [["setting", "RecBole", "default", "paper", "authors", "recbole", "what it is"]]
    presets = [preset for preset in PRESETS.values() if preset.name != "default"]
    for part, cls in CONFIG_CLASSES.items():
        texts = describe(cls)
        rows.append([f"**{part}**", "", "", "", "", "", ""])
        for setting in dataclasses.fields(cls):
            changed = [preset.values(part).get(setting.name, "") for preset in presets]
            cells = [str(value) if not isinstance(value, bool) else "on" if value else "off" for value in changed]
            other = _recbole_name(part, setting.name)
            theirs = other if other == "–" else f"`{other}`"
            default = default_text(part, setting.name)
            rows.append([f"`{setting.name}`", theirs, default, *cells, texts[setting.name]])
    rows.append(["**command**", "", "", "", "", "", ""])
    rows += [[f"`{ours}`", f"`{theirs}`", default, "", "", "", text] for ours, theirs, default, text in _NOT_SETTINGS]
    return markdown_table(rows)


def _recbole_name(part: str, name: str) -> str:
    """RecBole's name of a setting, or a dash."""
    if (part, name) == ("finetune", "epochs"):
        return name
    other = ALIASES[CONFIG_CLASSES[part]].get(name)
    if other:
        return _SPELLING.get(other[0], other[0].replace("-", "_"))
    return name if name in _SAME_NAME else "–"


def replace_blocks(path: Path, blocks: Mapping[str, str]) -> bool:
    """Put fresh text between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` of a Markdown file.

    Returns whether the file changed. Raises DataError when a pair of marks is missing or broken.
    """
    text = fresh = path.read_text(encoding="utf-8")
    for name, content in blocks.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        if fresh.count(begin) != 1 or fresh.count(end) != 1 or fresh.index(begin) > fresh.index(end):
            raise DataError(f"{path}: needs one {begin} and one {end} after it; add them where the text belongs")
        before, rest = fresh.split(begin)
        fresh = f"{before}{begin}\n\n{content}\n\n{end}{rest.split(end)[1]}"
    if fresh != text:
        write_text(path, fresh)
    return fresh != text


def main() -> None:
    """Refresh the README of this checkout, and the reading order in the package's docstring."""
    root = Path(__file__).resolve().parents[1]
    refresh_docstring()
    changed = replace_blocks(root / "README.md", readme_blocks(read_records(root / "data" / "results")))
    print("README.md: tables refreshed" if changed else "README.md: tables are up to date")


if __name__ == "__main__":
    main()
