"""Reading and writing files so that nothing half-written is ever left behind."""

import errno
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s3rec_lite.support.errors import CheckpointError, S3RecError
from s3rec_lite.support.scan import UnsafeFile, scan

_FIXES = {
    errno.ENOSPC: "make room on the disk",
    getattr(errno, "EDQUOT", None): "make room: your share of the disk is full",
    errno.EFBIG: "files may not grow that large here; raise the limit, or choose another folder",
    errno.EACCES: "change its permissions, or choose another folder",
    errno.EPERM: "change its permissions, or choose another folder",
    errno.EROFS: "nothing can be written there; choose another folder",
    errno.ENOTDIR: "a file stands where a folder is needed; move it, or choose another folder",
    errno.EEXIST: "a file stands where a folder is needed; move it, or choose another folder",
    errno.EISDIR: "a folder has the name of the file; move it, or choose another folder",
    errno.ENAMETOOLONG: "choose a shorter name",
}
_MOST_PARTS = 1_000_000  # tensors and values of a checkpoint; thousands are usual
_DEEPEST = 50  # of dicts and lists in each other


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write to a temporary neighbour, flush it to the disk and rename it into place.

    Raises S3RecError naming the file when the folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise S3RecError(f"cannot write {path}: {error.strerror or error}; {_fix(error)}") from error
    finally:
        if temporary.exists():
            temporary.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Make the folder and write to it once, to fail before the work and not after it.

    Probes of processes that were killed go. Raises S3RecError naming the folder.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".probe.{os.getpid()}").write_bytes(b"x")
        remove_files(folder, r"\.probe\.\d+")
    except OSError as error:
        raise S3RecError(f"cannot write to {folder}: {error.strerror or error}; {_fix(error)}") from error


def remove_files(folder: Path, pattern: str) -> None:
    """Delete `files_like` these."""
    for path in files_like(folder, pattern):
        path.unlink(missing_ok=True)


def files_like(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder whose whole names match a regular expression."""
    return [path for path in folder.iterdir() if re.fullmatch(pattern, path.name)]


def _fix(error: OSError) -> str:
    return _FIXES.get(error.errno, "choose another folder or make room")


def write_text(path: str | Path, text: str) -> None:
    """`write_bytes` for text (UTF-8)."""
    write_bytes(path, text.encode("utf-8"))


def save_tensors(path: str | Path, content: dict[str, Any]) -> None:
    """Save a dict of tensors and plain values in PyTorch's format, atomically."""
    import torch  # here and below, not above: writing a text must not wait seconds for PyTorch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def load_tensors(path: str | Path, fix: Callable[[], str] | None = None) -> dict[str, Any]:
    """Load what `save_tensors` or ``torch.save(state_dict)`` wrote; code in the file is never run.

    Raises CheckpointError when the file is missing, damaged, asks for more than it holds, or holds anything but dense
    tensors and plain values; ``fix`` makes the end of the message on damage.
    """
    import torch

    path = Path(path)
    if path.is_dir():
        raise CheckpointError(f"{path}: no such checkpoint: it is a folder; give a file in it")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; check the path, or pre-train first")
    try:
        scan(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(content, dict):
            raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a checkpoint; give another file")
        _check_parts(content)
    except UnsafeFile as error:
        reason = f"unsafe: it holds objects besides tensors, {error}; nothing of it was run"
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({reason}); get the weights alone") from error
    except CheckpointError as error:
        if str(path) in str(error):
            raise
        raise _unreadable(path, str(error), fix) from error
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror or error}); {_fix(error)}") from error
    except Exception as error:  # torch's unpickler lets any error of a damaged stream through
        raise _unreadable(path, "truncated or not one", fix) from error
    return content


def _unreadable(path: Path, reason: str, fix: Callable[[], str] | None) -> CheckpointError:
    ending = fix() if fix else "get or write the file again"
    return CheckpointError(f"{path}: cannot be read as a checkpoint ({reason}); {ending}")


def _check_parts(content: dict[Any, Any]) -> None:
    """Raise CheckpointError for what is no dense tensor, no plain value, or more than fits the file."""
    import torch

    parts: list[tuple[Any, int]] = [(content, 0)]
    count = 0
    while parts:
        part, depth = parts.pop()
        count += 1
        if count > _MOST_PARTS or depth > _DEEPEST:
            raise CheckpointError("it has too many parts")
        if isinstance(part, dict):
            parts += [(each, depth + 1) for pair in part.items() for each in pair]
        elif isinstance(part, list | tuple | set):
            parts += [(each, depth + 1) for each in part]
        elif isinstance(part, torch.Tensor):
            if part.layout != torch.strided or part.device.type != "cpu":
                raise CheckpointError("it holds tensors that are not dense")
            if part.numel() * part.element_size() > part.untyped_storage().nbytes():
                raise CheckpointError(f"a tensor of sizes {list(part.shape)} has less in the file")
