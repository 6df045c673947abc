"""Files that PyTorch wrote with Python objects in them, as RecBole's training does: read without running anything.

The pickle is read by an unpickler that knows a short list of names. Tensors are described first, and made only where
the file holds their numbers; RecBole's classes become stand-ins that keep their state and do nothing. Any other name
makes the file unsafe.
"""

import math
import pickle
import struct
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from s3rec_lite.support.errors import CheckpointError
from s3rec_lite.support.files import load_tensors

_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "BoolStorage": torch.bool,
}
_KEPT = {("collections", "OrderedDict"): OrderedDict, ("builtins", "set"): set, ("__builtin__", "set"): set}
_INERT_MODULES = ("recbole.", "yaml.")
_INERT = {
    ("torch", "device"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch", "Size"),
    ("_codecs", "encode"),
    *((f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")),
    *(("numpy", name) for name in ("dtype", "float64", "float32", "int64")),
}
_LARGEST_PICKLE = 2**24  # bytes; the tensors stand beside it
_DAMAGE = (
    pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, OSError, ArithmeticError, AttributeError,
    LookupError, NotImplementedError, RecursionError, RuntimeError, TypeError, ValueError, MemoryError,
)  # fmt: skip


class _UnsafeName(Exception):
    """A name that is on none of the lists."""


class StandIn:
    """In place of an object of another package: keeps its state, runs nothing."""

    state: dict[str, Any]

    def __new__(cls, *_: Any, **__: Any) -> "StandIn":
        made = super().__new__(cls)
        made.state = {}
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        """Whatever the object was made of is not needed."""

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


@dataclass(frozen=True)
class _Storage:
    """The numbers that a tensor looks at: their file in the archive, and how many there should be."""

    dtype: torch.dtype
    key: str
    size: int


class _Described:
    """A tensor that is not made yet."""

    def __init__(self, storage: Any, offset: Any, shape: Any, stride: Any, *_: Any) -> None:
        self.storage, self.offset, self.shape, self.stride = storage, offset, shape, stride

    def __setstate__(self, state: Any) -> None:
        """Attributes of tensors are not needed."""

    def make(self, archive: zipfile.ZipFile, root: str) -> Tensor:
        """The tensor. Raises ValueError when the file holds fewer numbers than it needs."""
        storage = self.storage
        entry = archive.getinfo(f"{root}data/{storage.key}")
        if entry.file_size != storage.size * storage.dtype.itemsize or math.prod(self.shape) > storage.size:
            raise ValueError(f"{entry.filename} has {entry.file_size} bytes")
        if not storage.size:
            return torch.empty(self.shape, dtype=storage.dtype)
        flat = torch.frombuffer(bytearray(_stored(archive, entry)), dtype=storage.dtype)
        return flat.as_strided(self.shape, self.stride, self.offset).clone()


class _Reader(pickle._Unpickler):
    """The unpickler in Python: the one in C reserves as much memory as a number in the file says."""

    def find_class(self, module: str, name: str) -> Any:
        """What a name in the pickle stands for; nothing is imported."""
        if module == "torch" and name in _STORAGES:
            return name
        if (module, name) in _KEPT:
            return _KEPT[module, name]
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _Described
        if module.startswith(_INERT_MODULES) or (module, name) in _INERT:
            return StandIn
        raise _UnsafeName(f"{module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        """A reference to one of the archive's files of numbers."""
        kind, storage, key, _, size = pid
        if kind != "storage" or not isinstance(size, int):
            raise pickle.UnpicklingError(f"no storage: {kind}")
        return _Storage(_STORAGES[storage], str(key), size)


def load_objects(path: str | Path) -> dict[str, Any]:
    """What `load_tensors` gives, also where a file holds RecBole's objects besides: those are `StandIn`.

    Tensors that are not under ``state_dict``, such as those of an optimizer, are left out of such files. Raises
    CheckpointError for a missing or damaged file, and for one that asks for a name on none of the lists: it is unsafe.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Detected pickle protocol")  # what torch cannot read of it, is read here
            return load_tensors(path)
    except CheckpointError as error:
        if not zipfile.is_zipfile(path):
            raise
        try:
            content = _read_archive(Path(path))
        except _UnsafeName as name:
            raise CheckpointError(
                f"{path}: unsafe: it would run {name} if Python loaded it (nothing was run); do not use this file"
            ) from None
        except _DAMAGE:
            raise error from None
        if "format" in content:  # of this kit: what is wrong with it, the error says
            raise
        return content


def _read_archive(path: Path) -> dict[str, Any]:
    """The objects of a file as PyTorch writes them since 1.6."""
    with zipfile.ZipFile(path) as archive:
        (entry,) = (info for info in archive.infolist() if info.filename.endswith("/data.pkl"))
        if entry.file_size > _LARGEST_PICKLE:
            raise zipfile.BadZipFile(f"{entry.filename} is too long")
        content = _Reader(BytesIO(_stored(archive, entry))).load()
        root = entry.filename.removesuffix("data.pkl")
        wrapped = isinstance(content.get("state_dict"), Mapping)
        state = content["state_dict"] if wrapped else content
        made = {name: each.make(archive, root) for name, each in state.items() if isinstance(each, _Described)}
        return {**content, **({"state_dict": made} if wrapped else made)}


def _stored(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes. PyTorch never compresses, so none is larger than the archive."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise zipfile.BadZipFile(f"{entry.filename} is compressed")
    return archive.read(entry)
