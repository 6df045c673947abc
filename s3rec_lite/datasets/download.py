"""Downloads that are either complete and checked or not there at all."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

import pooch
import requests

from s3rec_lite.support.errors import DataError

TIMEOUT = 30  # seconds without an answer
PIP_TIMEOUT = 300  # seconds in all
WHEEL = "recbole-1.2.1-py3-none-any.whl"
WHEEL_REQUIREMENT = "recbole==1.2.1"
WHEEL_SUM = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
WHEEL_FOLDER = "recbole/dataset_example/ml-100k"
MAX_MEMBER_BYTES = 50_000_000  # the two files have 2 MB; more would be somebody's prank


def sha256(content: bytes) -> str:
    """SHA-256 of some bytes, in hex."""
    return hashlib.sha256(content).hexdigest()


def check_sum(content: bytes, expected: str, what: str, mend: str) -> None:
    """Raise DataError, with both sums, unless `content` has the expected SHA-256."""
    found = sha256(content)
    if found != expected:
        raise DataError(f"{what}: SHA-256 is {found}, but {expected} is expected; {mend}")


def download(url: str, expected: str, progress: bool, retries: int) -> tuple[bytes | None, str]:
    """Fetch a URL into memory, by way of a temporary file that is always removed.

    Args:
        url: what to fetch.
        expected: SHA-256 of the right content.
        progress: whether to show a bar on stderr.
        retries: how often to try again after a failure or a wrong checksum.

    Returns:
        The content and ""; or None and the reason, if the server did not deliver.

    Raises:
        DataError: if the server delivers something with another checksum.
    """
    get = pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT)
    reason, content = "", None
    for _ in range(retries + 1):
        with tempfile.TemporaryDirectory() as folder:
            part = Path(folder) / "part"
            try:
                get(url, str(part), None)
                content = part.read_bytes()
            except (requests.RequestException, OSError, ValueError) as error:
                reason = _short_reason(error)
                continue
        if sha256(content) == expected:
            return content, ""
    if content is None:
        return None, reason
    check_sum(content, expected, url, "try again later, or put the right file into the cache by hand")
    return None, reason


def _short_reason(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    return type(error).__name__


# --- ml-100k ------------------------------------------------------------------------------------------------


def read_ml100k_from_wheel(wanted: dict[str, str], mirror: Path | None, root: Path, progress: bool) -> dict[str, bytes]:
    """Contents of the ml-100k files, taken from the RecBole wheel that ships them; nothing is installed.

    Args:
        wanted: SHA-256 of each file by name.
        mirror: folder that may hold the wheel.
        root: where a user can put the files by hand (for the error).
        progress: whether to tell on stderr that pip is at work.

    Raises:
        DataError: if the wheel cannot be had or is not the expected one.
    """
    by_hand = (
        f"put {' and '.join(wanted)} (in {WHEEL_FOLDER} of {WHEEL}) into {root}, "
        "or set S3REC_MIRROR to a folder that holds the wheel"
    )
    if mirror is not None and (mirror / WHEEL).is_file():
        return _read_wheel(mirror / WHEEL, wanted, by_hand)
    with tempfile.TemporaryDirectory() as folder:
        return _read_wheel(_pip_download(Path(folder), by_hand, progress), wanted, by_hand)


def _read_wheel(wheel: Path, wanted: dict[str, str], mend: str) -> dict[str, bytes]:
    try:
        content = wheel.read_bytes()
    except OSError as error:
        raise DataError(f"{wheel}: cannot be read ({error.strerror}); {mend}") from None
    check_sum(content, WHEEL_SUM, str(wheel), mend)
    return extract_members(wheel, wanted, mend)


def _pip_download(folder: Path, mend: str, progress: bool) -> Path:
    if progress:
        print(f"ml-100k: pip downloads {WHEEL} (2 MB) ...", file=sys.stderr)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += [
        "--disable-pip-version-check",
        "--only-binary=:all:",
        "--dest",
        str(folder),
        WHEEL_REQUIREMENT,
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DataError(f"ml-100k: pip could not download {WHEEL} ({type(error).__name__}); {mend}") from None
    if done.returncode or not (folder / WHEEL).is_file():
        reasons = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        reason = reasons[-1].removeprefix("ERROR: ") if reasons else f"exit code {done.returncode}"
        raise DataError(f"ml-100k: pip could not download {WHEEL} ({reason}); {mend}")
    return folder / WHEEL


def extract_members(wheel: Path, wanted: dict[str, str], mend: str) -> dict[str, bytes]:
    """Read files from the ml-100k folder of a wheel, as bytes: nothing is ever unpacked to a path it names.

    Raises:
        DataError: if the archive is broken, holds a name that leaves its folder, lacks a file, or a file is
            too large or has a wrong checksum.
    """
    contents = {}
    try:
        with zipfile.ZipFile(wheel) as archive:
            unsafe = next((name for name in archive.namelist() if not _is_safe(name)), None)
            if unsafe is not None:
                raise DataError(f"{wheel}: holds the unsafe name {unsafe!r}; {mend}")
            for file in wanted:
                info = archive.getinfo(f"{WHEEL_FOLDER}/{file}")
                if info.file_size > MAX_MEMBER_BYTES:
                    raise DataError(f"{wheel}: {file} has {info.file_size} bytes, far too many; {mend}")
                contents[file] = archive.read(info)
    except KeyError as error:
        raise DataError(f"{wheel}: {error.args[0]}; {mend}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise DataError(f"{wheel}: broken archive ({error}); {mend}") from None
    for file, content in contents.items():
        check_sum(content, wanted[file], f"{wheel}: {file}", mend)
    return contents


def _is_safe(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return not path.is_absolute() and ".." not in path.parts and ":" not in name
