"""The package in one evening: its reading order with lines and minutes, and the map of its rooms.

`make readme` writes both into README.md, and the order into the docstring of `s3rec_lite`.
"""

import ast
import re
from pathlib import Path

from s3rec_lite.support.files import write_text
from s3rec_lite.support.text import markdown_table, text_table

PACKAGE = Path(__file__).resolve().parents[1] / "s3rec_lite"
LINES_A_MINUTE = 12
ORDER = {
    "plain": "all of S³-Rec in plain loops: views, encoder, four losses, rank, HR and NDCG",
    "data": "sequences in one flat array, attributes, the leave-one-out split",
    "negatives": "items that a user does not have, and other users' segments",
    "views": "prefixes, masks and segments of a whole batch at once",
    "encoder": "attention and feed-forward blocks",
    "model": "embeddings, the walk through the blocks, scores, recommendations",
    "objectives": "AAP, MIP, MAP and SP: one function each",
    "pretraining": "one step of pre-training",
    "metrics": "HR, NDCG and MRR from ranks, ties by expectation",
    "evaluation": "ranks over all items or against sampled negatives",
    "finetuning": "one step of fine-tuning, validation and early stopping",
    "training": "the loop of both stages",
}
"""Modules of the subject, so that each imports only what was read before it."""
ROOMS = ("support", "datasets", "information", "runs", "experiments", "figures", "labs", "commands")
HEAD = "The package in one evening (lines, minutes):\n\n"


def count_lines(path: Path) -> int:
    """Lines of one file, or of all Python files in a folder."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


def reading_order() -> list[tuple[str, int, int, str]]:
    """Module, lines, minutes and what it is about, in reading order."""
    counted = [(name, count_lines(PACKAGE / f"{name}.py"), about) for name, about in ORDER.items()]
    return [(name, lines, max(1, round(lines / LINES_A_MINUTE)), about) for name, lines, about in counted]


def reading_table() -> str:
    """The reading order as a Markdown table with links, and where each objective's loss is computed."""
    order = reading_order()
    rows = [["", "module", "lines", "minutes", "what it is about"]]
    for number, (name, lines, minutes, about) in enumerate(order, start=1):
        rows.append([str(number), f"[{name}.py](s3rec_lite/{name}.py)", str(lines), str(minutes), about])
    lines, minutes = sum(row[1] for row in order), sum(row[2] for row in order)
    total = f"Together {lines:,} lines, about {minutes // 60} hours {minutes % 60} minutes."
    return f"{markdown_table(rows)}\n\n{total} Straight to the losses: {objective_links()}."


def objective_links() -> str:
    """Links to the lines where the four objectives begin."""
    tree = ast.parse((PACKAGE / "objectives.py").read_text(encoding="utf-8"))
    starts = {node.name: node.lineno for node in tree.body if isinstance(node, ast.FunctionDef)}
    names = {"aap": "AAP", "mip": "MIP", "map_": "MAP", "sp": "SP"}
    return ", ".join(f"[{title}](s3rec_lite/objectives.py#L{starts[name]})" for name, title in names.items())


def rooms_table() -> str:
    """The map of the rooms as a Markdown table: the first sentence of each room's catalogue."""
    rows = [["room", "what is inside"]]
    for room in ROOMS:
        module = ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))
        sentence = re.split(r"[.;]\s", " ".join((ast.get_docstring(module) or "").split()), maxsplit=1)[0].rstrip(".")
        rows.append([f"[{room}/](s3rec_lite/{room})", sentence])
    return markdown_table(rows)


def with_order(source: str) -> str:
    """The source of the package's ``__init__.py`` with a fresh reading order in its docstring."""
    rows = [[f"    {name}", str(lines), str(minutes), about] for name, lines, minutes, about in reading_order()]
    before, rest = source.split(HEAD)
    return f'{before}{HEAD}{text_table(rows, "lrrl")}\n"""{rest.split(chr(34) * 3, 1)[1]}'


def refresh_docstring() -> bool:
    """Write the reading order into the package's docstring; whether it changed."""
    path = PACKAGE / "__init__.py"
    source = path.read_text(encoding="utf-8")
    fresh = with_order(source)
    if fresh != source:
        write_text(path, fresh)
    return fresh != source
