"""Text files, read and written with care: every error names the file and the line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from s3rec_lite.support.errors import DataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
NEWLINE, TAB = 10, 9


def read_text(path: Path) -> bytes:
    """The bytes of a UTF-8 text file, its lines ended by a newline each.

    Raises DataError if the file is missing, empty, not UTF-8 or holds NUL or a bare carriage return.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None
    text = text.removeprefix(BYTE_ORDER_MARK).replace(b"\r\n", b"\n")
    if not text.strip():
        raise DataError(f"{path}: the file is empty; put the data there again")
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise line_error(path, text.count(b"\n", 0, error.start) + 1, "not UTF-8", "save it as UTF-8") from None
    for bad, label in ((b"\0", "a NUL byte"), (b"\r", "a bare carriage return")):
        if bad in text:
            line = text.count(b"\n", 0, text.index(bad)) + 1
            raise line_error(path, line, f"holds {label}", "save it as plain text with ordinary line ends")
    return text if text.endswith(b"\n") else text + b"\n"


def line_error(path: Path, line: int, what: str, mend: str) -> DataError:
    """The error for one line (numbered from 1) of a file: what is wrong and how to mend it."""
    return DataError(f"{path}:{line}: {what}; {mend}")


def shown(value: object) -> str:
    """A value for an error message: quoted, on one line and short."""
    text = repr(str(value))
    return text if len(text) <= 40 else text[:36] + "..." + text[-1]


def listing(names: Iterable[object]) -> str:
    """Names for an error message, on one line, cut after twenty."""
    words = [str(name) for name in names]
    words = [word if word.isprintable() and len(word) <= 40 else shown(word) for word in words]
    return ", ".join(words[:20]) + (f", ... ({len(words)} in all)" if len(words) > 20 else "")


def newline_positions(text: bytes) -> np.ndarray:
    """Index of the newline that ends each line, int64 [num_lines]."""
    return np.flatnonzero(np.frombuffer(text, dtype=np.uint8) == NEWLINE)


def order_tokens(tokens: Iterable[str]) -> list[str]:
    """Whole numbers first, by value, then everything else by character.

    The order depends on the names alone. Numbering items in their order of appearance would let ids of
    neighbours in a sequence be neighbours as well, and a model could read the held-out item off its id.
    """
    return sorted(tokens, key=_token_key)


def _token_key(token: str) -> tuple[int, int, str, str]:
    if token.isascii() and token.isdigit():
        digits = token.lstrip("0")
        return 0, len(digits), digits, token
    return 1, 0, "", token
