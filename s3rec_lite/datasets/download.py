"""Files that are either complete and checked or not there at all: pooch fetches, checks and tries again."""

import contextlib
import logging
import os
import re
import shutil
import subprocess
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pooch
import requests
from tqdm.auto import tqdm
from urllib3.exceptions import HTTPError

from s3rec_lite.support.errors import DataError
from s3rec_lite.support.files import check_writable
from s3rec_lite.support.text import without_passwords

_TIMEOUT = 30  # seconds without an answer, or in which less than _LEAST arrives
_LEAST = 30_000  # bytes
_CHUNK = 2**16  # bytes
_PIP_TIMEOUT = 300  # seconds in all
WHEEL = "recbole-1.2.1-py3-none-any.whl"
_WHEEL_REQUIREMENT = "recbole==1.2.1"
WHEEL_SUM = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
WHEEL_SIZE = 2_130_151
WHEEL_FOLDER = "recbole/dataset_example/ml-100k"

Source: TypeAlias = tuple[str, Callable[[str, str, object], object]]
"""An address and one of pooch's downloaders, which is called with the address, a file to write and the registry."""


def has_checksum(path: Path, checksum: str) -> bool:
    """Whether the file is there with this SHA-256."""
    return path.is_file() and pooch.file_hash(str(path)) == checksum


def fetch_file(
    target: Path, checksum: str, sources: Sequence[Source], *, retries: int = 0, fix: str | None = None
) -> None:
    """Make sure that the right file is at `target`.

    Args:
        target: path of the file. One with another checksum is renamed to `NAME.wrong`, with a warning.
        checksum: its SHA-256.
        sources: where to look for it, in turn, if it is not there.
        retries: how often to try the last of them again.
        fix: what to do if it cannot be had, for the error.

    Raises:
        DataError: no source delivers, or one delivers something with another checksum.
    """
    if _is_cached(target, checksum):
        return
    check_writable(target.parent)
    failures: list[str] = []
    for number, (address, download) in enumerate(sources, start=1):
        is_last = number == len(sources)
        cache = pooch.create(
            path=target.parent,
            base_url="",
            registry={target.name: checksum},
            urls={target.name: address},
            retry_if_failed=retries if is_last else 0,
        )
        try:
            with _quiet_pooch():
                cache.fetch(target.name, downloader=download)
            target.chmod(0o644)  # pooch's files are for their owner only, but a cache may be shared
            _warn_of(failures, target)
            return
        except DataError:
            raise
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            failures.append(f"{without_passwords(address)} ({_reason(error)})")
            # Another source may help where this one has a gap or no answer, but not where it has a wrong file.
            if is_last or not isinstance(error, requests.RequestException | HTTPError):
                fix = fix or f"download it elsewhere and put it at {target}, or set S3REC_MIRROR to a folder with it"
                places = ", nor from ".join(failures)
                raise DataError(f"{target.name}: cannot be downloaded from {places}; {fix}") from None


def _warn_of(failures: Sequence[str], target: Path) -> None:
    """Say which mirror is set and fails. One that merely lacks the file is as it should be."""
    for failure in failures:
        if not failure.endswith("(HTTP status 404)"):
            warnings.warn(f"{target.name}: not from the mirror {failure}, but from elsewhere", stacklevel=4)


def _is_cached(target: Path, checksum: str) -> bool:
    """Whether the right file is there; a wrong one is moved out of the way."""
    try:
        if has_checksum(target, checksum) or not target.is_file():
            return target.is_file()
        aside = target.with_name(target.name + ".wrong")
        os.replace(target, aside)
    except OSError as error:
        raise DataError(f"{target}: cannot be used ({error.strerror}); fix its permissions or delete it") from None
    hint = f"{target}: wrong checksum, so it was renamed to {aside.name} and is fetched anew"
    warnings.warn(hint, stacklevel=5)
    return False


@contextlib.contextmanager
def _quiet_pooch() -> Iterator[None]:
    """Without pooch's messages: there are errors and bars of our own."""
    logger = pooch.get_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    if isinstance(error, requests.RequestException | HTTPError):
        return type(error).__name__
    return str(error).partition(". Deleted")[0]  # of pooch's report on a checksum: both sums, but no advice


# --- where files come from ----------------------------------------------------------------------------------


def over_http(url: str, size: int, progress: bool) -> Source:
    """A file of ``size`` bytes on the web; progress shows a bar on stderr."""
    return url, partial(_download, size=size, progress=progress)


def _download(url: str, target: str, _: object, *, size: int, progress: bool) -> None:
    """Get what is at an address, and no more than ``size`` bytes of it, unpacked.

    Raises requests' errors, and a ReadTimeout where less than `_LEAST` bytes arrive in `_TIMEOUT` seconds.
    """
    with (
        requests.get(url, stream=True, timeout=_TIMEOUT, headers={"Accept-Encoding": "identity"}) as response,
        open(target, "wb") as file,
        tqdm(total=size, unit="B", unit_scale=True, disable=not progress, leave=True) as bar,
    ):
        response.raise_for_status()
        begin, before, received = time.monotonic(), 0, 0
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            received += len(chunk)
            if received > size:
                raise ValueError(f"it is longer than the {size:,} bytes of the right file")
            file.write(chunk)
            bar.update(len(chunk))
            if time.monotonic() - begin > _TIMEOUT:
                if received - before < _LEAST:
                    raise requests.ReadTimeout
                begin, before = time.monotonic(), received


def in_mirror(file: str, size: int, progress: bool) -> list[Source]:
    """The file in the mirror (environment variable S3REC_MIRROR, a folder or a URL), if that may have it."""
    mirror = os.environ.get("S3REC_MIRROR", "")
    if re.match(r"https?://", mirror):
        return [over_http(f"{mirror.rstrip('/')}/{file}", size, progress)]
    folder = Path(mirror).expanduser()
    if mirror and not folder.is_dir():
        place = without_passwords(mirror)
        warnings.warn(f"S3REC_MIRROR={place} is neither a folder nor an http address; set it right", stacklevel=4)
    if not mirror or not (folder / file).is_file():
        return []
    return [(str(folder / file), lambda source, target, _: shutil.copyfile(source, target))]


def in_wheel(file: str, folder: Path, fix: str, progress: bool) -> Source:
    """A file of ml-100k in the RecBole wheel that ships it; the wheel is kept in `folder` and never installed."""
    return f"{WHEEL_FOLDER}/{file}", partial(_take_from_wheel, folder=folder, fix=fix, progress=progress)


def _take_from_wheel(name: str, target: str, _: object, *, folder: Path, fix: str, progress: bool) -> None:
    wheel = folder / WHEEL
    if progress and not wheel.exists():
        print(f"ml-100k: getting {WHEEL} (2 MB) ...", file=sys.stderr)
    fetch_file(
        wheel, WHEEL_SUM, [*in_mirror(WHEEL, WHEEL_SIZE, progress), (_WHEEL_REQUIREMENT, _pip_download)], fix=fix
    )
    with zipfile.ZipFile(wheel) as archive:
        Path(target).write_bytes(archive.read(name))


def _pip_download(requirement: str, target: str, _: object) -> None:
    folder = Path(target).parent
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary=:all:", "--dest", str(folder), requirement]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT, check=True)
        os.replace(folder / WHEEL, target)
    except (OSError, subprocess.SubprocessError) as error:
        lines = str(getattr(error, "stderr", None)).splitlines()
        reasons = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR")]
        raise OSError(f"pip could not download it: {reasons[-1] if reasons else type(error).__name__}") from None
