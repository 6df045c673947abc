"""Text that several rooms write: suggestions for a misspelt name, digests, tables, URLs, and where the checkout is."""

import difflib
import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from s3rec_lite.support.errors import SettingError


def suggest(given: object, known: Iterable[str]) -> str:
    """What to say about an unknown name: ``did you mean 'x'?``, or the list of what is known."""
    known = list(known)
    close = difflib.get_close_matches(str(given), known, n=1, cutoff=0.4)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"


def one_of(given: str, known: Iterable[str], what: str) -> str:
    """The name as it is given. Raises SettingError that suggests a known one when it is unknown."""
    known = list(known)
    if given not in known:
        raise SettingError(f"unknown {what} '{given}': {suggest(given, known)}")
    return given


def digest(value: Any, length: int = 16) -> str:
    """The first hex digits of the SHA-256 of bytes, or of any value that JSON can write (keys sorted)."""
    content = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(content).hexdigest()[:length]


def without_passwords(text: str) -> str:
    """A text whose URLs have "..." for what stands before an @ and for what follows a ?."""
    text = re.sub(r"(?<=://)\S*@", "...@", text)
    return re.sub(r"(://[^\s?]*)\?\S*", r"\1?...", text)


def text_table(rows: Sequence[Sequence[str]], sides: str = "") -> str:
    """Rows as lines of columns of equal width, two spaces apart.

    Args:
        rows: cells; every row has as many.
        sides: a letter for each column from the left, ``l`` or ``r``; columns without one are aligned left.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = sides.ljust(len(widths), "l")
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, padded, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def find_checkout() -> Path | None:
    """The kit's checkout: the nearest folder upwards from the working folder, or the one around this package.

    A checkout is told by ``data/published.json``. None where there is none (an installed package alone).
    """
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[2]):
        if (folder / "data" / "published.json").is_file():
            return folder
    return None
