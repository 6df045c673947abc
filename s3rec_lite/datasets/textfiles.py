"""Text files read with care: every error names the file, the line and the fix."""

from collections.abc import Iterable
from pathlib import Path

from s3rec_lite.support.errors import DataError


def read_text(path: Path) -> str:
    """The content of a UTF-8 text file as in `read_content`, decoded."""
    return read_content(path).decode()


def read_content(path: Path) -> bytes:
    """The content of a UTF-8 text file, its lines ended by a newline each.

    Raises DataError if the file is missing, empty, not UTF-8 or holds NUL or a bare carriage return.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; check the name") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); check the path and its permissions") from None
    content = content.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")  # without the byte order mark
    if not content or content.isspace():
        raise DataError(f"{path}: the file is empty; put the data there again")
    try:
        content.decode()
    except UnicodeDecodeError as error:
        raise line_error(path, content.count(b"\n", 0, error.start) + 1, "not UTF-8", "save it as UTF-8") from None
    for bad, label in ((b"\0", "a NUL byte"), (b"\r", "a bare carriage return")):
        if bad in content:
            line = content.count(b"\n", 0, content.index(bad)) + 1
            raise line_error(path, line, f"holds {label}", "save it as plain text with ordinary line ends")
    return content if content.endswith(b"\n") else content + b"\n"


def line_error(path: Path, line: int, problem: str, fix: str) -> DataError:
    """The error for one line (numbered from 1) of a file."""
    return DataError(f"{path}:{line}: {problem}; {fix}")


def shown(value: object) -> str:
    """A value for an error message: quoted, on one line and short."""
    text = repr(str(value))
    return text if len(text) <= 40 else text[:36] + "..." + text[-1]


def listing(names: Iterable[object]) -> str:
    """Names for an error message, on one line, cut after twenty."""
    words = [str(name) for name in names]
    words = [word if word.isprintable() and len(word) <= 40 else shown(word) for word in words]
    return ", ".join(words[:20]) + (f", ... ({len(words)} in all)" if len(words) > 20 else "")
