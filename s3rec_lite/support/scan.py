"""What a checkpoint file asks for, found out before PyTorch reads it: names in its pickle, and sizes against the file.

PyTorch runs no code from a file with ``weights_only=True``, but it believes sizes: one that is wrong makes it read past
a buffer, or fill the memory. Here the pickle is read with stand-ins that build nothing.
"""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any

from s3rec_lite.support.errors import CheckpointError

_ITEM_SIZES = {"Float": 4, "Double": 8, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1}
_ITEM_SIZES = {f"{kind}Storage": size for kind, size in {**_ITEM_SIZES, "Byte": 1, "Bool": 1}.items()}
_LARGEST_PICKLE = 2**24  # bytes; names and settings only: the tensors stand beside it
_FOLDER = 0x10  # attribute of an entry
_LEGACY_PICKLES = 5  # of PyTorch's older format: magic number, version, machine, content, keys; then the tensors


class UnsafeFile(CheckpointError):
    """The file names objects besides tensors and plain values."""


class DamagedFile(CheckpointError):
    """The file is truncated, does not fit its checksums, or asks for more than it holds."""


class _Anything:
    """Stands for a tensor; takes whatever the pickle does to it."""

    def __init__(self, *_: Any) -> None: ...


class _DryUnpickler(pickle._Unpickler):
    """Reads a pickle without building anything, and notes how many bytes each storage asks for.

    The version of pickle in Python, not the one in C: that one believes numbers in the file, too.
    """

    def __init__(self, file: IO[bytes]):
        super().__init__(file)
        self.num_bytes: dict[str, int] = {}
        """by the storage's key"""

    def find_class(self, module: str, name: str, /) -> Any:
        """A stand-in for what tensors are made of. Raises UnsafeFile for any other name."""
        if module == "torch" and name in _ITEM_SIZES:
            return _ITEM_SIZES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return _Anything
        raise UnsafeFile(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        """A storage: ("storage", type, key, location, number of elements)."""
        _, item_size, key, _, count = pid[:5]
        if not (isinstance(item_size, int) and isinstance(key, str) and isinstance(count, int) and count >= 0):
            raise DamagedFile("a tensor without a size")
        self.num_bytes[key] = max(self.num_bytes.get(key, 0), count * item_size)
        return _Anything()


def scan(path: Path) -> None:
    """Read a checkpoint's structure, and of a zip file the checksums.

    Raises UnsafeFile for objects besides tensors, DamagedFile for anything else that is wrong.
    """
    with open(path, "rb") as file:
        try:
            if file.read(4) == b"PK\x03\x04":
                _scan_zip(file)
            else:
                file.seek(0)
                _scan_legacy(file, path.stat().st_size)
        except (CheckpointError, OSError, MemoryError):
            raise
        except Exception as error:  # a damaged stream can raise any error
            raise DamagedFile("truncated or not one") from error


def _scan_zip(file: IO[bytes]) -> None:
    """PyTorch's format since 1.6: a pickle and a record for each storage, none of them compressed."""
    with zipfile.ZipFile(file) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        # PyTorch reads nothing of an entry marked as a folder, and leaves the tensor's memory as it was.
        odd = any(entry.compress_type or entry.external_attr & _FOLDER for entry in entries.values())
        if odd or len(entries) < len(archive.infolist()):
            raise DamagedFile("damaged, or a zip file that is not PyTorch's")
        (name,) = [name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")]
        if entries[name].file_size > _LARGEST_PICKLE:
            raise DamagedFile("its list of tensors is too long")
        broken = archive.testzip()
        if broken:
            raise DamagedFile(f"damaged: {broken.partition('/')[2]} does not fit its checksum")
        with archive.open(name) as stream:
            dry = _DryUnpickler(stream)
            dry.load()
        for key, num_bytes in dry.num_bytes.items():
            record = entries.get(f"{name.removesuffix('data.pkl')}data/{key}")
            if record is None or record.file_size < num_bytes:
                raise DamagedFile(f"a tensor of {num_bytes:,} bytes is missing or shorter")


def _scan_legacy(file: IO[bytes], size: int) -> None:
    """The format before: pickles one after another, then all tensors."""
    needed = 0
    for _ in range(_LEGACY_PICKLES):
        dry = _DryUnpickler(file)
        dry.load()
        needed += sum(dry.num_bytes.values())
    if needed > size:
        raise DamagedFile(f"tensors of {needed:,} bytes in a file of {size:,}")
