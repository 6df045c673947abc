"""The README's tables, made from the records and the settings: `python -m tools.readme`."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from s3rec_lite.commands.options import ALIASES, default_text
from s3rec_lite.course.chapters import chapter_table
from s3rec_lite.experiments.presets import PRESETS, STAGES
from s3rec_lite.runs.records import markdown, markdown_bench, markdown_table, read_records, replace_blocks
from s3rec_lite.support.config import describe

# Settings that RecBole has under the very same name; ALIASES holds those under another one.
SAME_NAME = {
    "hidden_size", "inner_size", "n_layers", "n_heads", "hidden_dropout_prob", "attn_dropout_prob", "hidden_act",
    "layer_norm_eps", "initializer_range", "mask_ratio", "aap_weight", "mip_weight", "map_weight", "sp_weight",
    "save_step", "learning_rate", "weight_decay", "seed",
}  # fmt: skip
SPELLING = {"max-item-list-length": "MAX_ITEM_LIST_LENGTH"}
NOT_SETTINGS = (
    (
        "--item-attribute",
        "item_attribute",
        "class",
        "columns of the `.item` file that hold attributes",
    ),
    ("--checkpoint", "pre_model_path", "the last one", "the pre-trained checkpoint that fine-tuning starts from"),
)
"""What RecBole calls settings and this kit takes as arguments of its commands."""


def recbole_name(stage: str, name: str) -> str:
    """RecBole's name of a setting, or a dash."""
    if (stage, name) == ("finetune", "epochs"):
        return name
    other = ALIASES[STAGES[stage]].get(name)
    if other:
        return SPELLING.get(other[0], other[0].replace("-", "_"))
    return name if name in SAME_NAME else "–"


def settings_table() -> str:
    """Markdown: one row a setting, with its default and what the presets make of it."""
    rows = [["setting", "RecBole", "default", "paper", "authors", "recbole", "what it is"]]
    for stage, cls in STAGES.items():
        texts = describe(cls)
        rows.append([f"**{stage}**", "", "", "", "", "", ""])
        for setting in dataclasses.fields(cls):
            changed = [
                preset.values(stage).get(setting.name, "") for preset in PRESETS.values() if preset.name != "default"
            ]
            cells = [str(value) if not isinstance(value, bool) else "on" if value else "off" for value in changed]
            other = recbole_name(stage, setting.name)
            default = default_text(stage, setting.name)
            ours, theirs = f"`{setting.name}`", other if other == "–" else f"`{other}`"
            rows.append([ours, theirs, default, *cells, texts[setting.name]])
    rows.append(["**command**", "", "", "", "", "", ""])
    rows += [[f"`{ours}`", f"`{theirs}`", default, "", "", "", text] for ours, theirs, default, text in NOT_SETTINGS]
    return markdown(rows)


def readme_blocks(records: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The text of every marked block of the README."""
    seconds = next((record["seconds"] for record in records if record["kind"] == "course-times"), None)
    return {
        "course": chapter_table("notebooks/", seconds),
        "results": markdown_table(records),
        "settings": settings_table(),
        "bench": markdown_bench(records),
    }


def main() -> None:
    """Refresh the README of this checkout."""
    root = Path(__file__).resolve().parents[1]
    changed = replace_blocks(root / "README.md", readme_blocks(read_records(root / "data" / "results")))
    print("README.md: tables refreshed" if changed else "README.md: tables are up to date")


if __name__ == "__main__":
    main()
