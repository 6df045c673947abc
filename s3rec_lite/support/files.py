"""Reading and writing files so that nothing half-written is ever left behind."""

import io
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

from s3rec_lite.support.errors import CheckpointError, S3RecError


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
        raise S3RecError(
            f"cannot write {path}: {error.strerror or error}; choose another folder or make room"
        ) from error
    finally:
        if temporary.exists():
            temporary.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Make the folder and write to it once, to fail before the work and not after it.

    Raises S3RecError naming the folder.
    """
    probe = Path(folder) / f".probe.{os.getpid()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise S3RecError(f"cannot write to {folder}: {error.strerror or error}; choose another folder") from error


def write_text(path: str | Path, text: str) -> None:
    """`write_bytes` for text (UTF-8)."""
    write_bytes(path, text.encode("utf-8"))


def save_tensors(path: str | Path, content: dict[str, Any]) -> None:
    """Save a dict of tensors and plain values in PyTorch's format, atomically."""
    import torch  # here and below, not above: writing a text must not wait seconds for PyTorch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def load_tensors(path: str | Path) -> dict[str, Any]:
    """Load what `save_tensors` or ``torch.save(state_dict)`` wrote; code in the file is never run.

    Raises CheckpointError when the file is missing, truncated, or holds anything but tensors and plain values.
    """
    import torch

    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; check the path, or pre-train first")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        zipfile.BadZipFile,
        OSError,
        ValueError,
        KeyError,
    ) as error:
        reason = (
            "it holds objects besides tensors"
            if any(kind in str(error) for kind in ("Unsupported global", "Unsupported class"))
            else "truncated or not one"
        )
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint ({reason}); get or write the file again"
        ) from error
    except Exception as error:  # torch's unpickler lets any error of a damaged stream through
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({error}); get the file again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a checkpoint")
    return content
