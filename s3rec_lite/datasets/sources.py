"""Named data sets: found in the cache or a mirror, or downloaded, and always checked by SHA-256."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pooch

from s3rec_lite.data import SequenceData
from s3rec_lite.datasets.authors import read_authors
from s3rec_lite.datasets.download import check_sum, download, read_ml100k_from_wheel, sha256
from s3rec_lite.datasets.interactions import read_interactions
from s3rec_lite.datasets.planted import planted
from s3rec_lite.datasets.recbole import read_recbole
from s3rec_lite.datasets.toy import toy
from s3rec_lite.support.errors import DataError
from s3rec_lite.support.files import write_bytes

UPSTREAM = "https://raw.githubusercontent.com/RUCAIBox/CIKM2020-S3Rec/master"
AUTHORS_STEMS = {
    "lastfm": "LastFM",
    "beauty": "Beauty",
    "sports": "Sports_and_Outdoors",
    "toys": "Toys_and_Games",
    "yelp": "Yelp",
}
NAMES = (*AUTHORS_STEMS, "ml-100k", "toy", "planted")
CHECKSUMS = {
    "LastFM.txt": "9ded486adb5b0fe9dc761950afa0a9a05e93ff018992e0c52bf11afec529f802",
    "LastFM_item2attributes.json": "a4ccd678dc9ff6d43fe5073f491db5c9b02eb98dfa4f8c0382913a784be217ef",
    "LastFM_sample.txt": "60194cc2e4fd1aa8b5dc8872e1f3af9c6abd09c39d478d3df9337cb97e6e2f0d",
    "LastFM-epochs-150.pt": "7f06dc6e0756bf42defccb3317021f786a027c2e7dc9a3661c439bd9fe40a262",
    "Beauty.txt": "226cce9c3105299ca0db9615d7d3fb32b3175e90da43100ae352599f0f0107b8",
    "Beauty_item2attributes.json": "129e40f67486f6877eff0f5318cfa8530ee8ac23d8b0d1de04e1bb7a2ba0b2d4",
    "Beauty-epochs-150.pt": "a196408d383719bccd1898b5f3f879bd2cdf6490ad9ee21ce0291cae97bd0508",
    "Sports_and_Outdoors.txt": "2a095e0648872beb9982408958290f5d655db5be2911c3756b5446de9f0b8de2",
    "Sports_and_Outdoors_item2attributes.json": "7fb10733ac4f1811384a52144cdefa7fcc7536fa80a7232c5da9bd789155c34b",
    "Toys_and_Games.txt": "176c680c688d497598c4a89a03b402c0fe78d795e5db335c2e78dd5f2d778a3f",
    "Toys_and_Games_item2attributes.json": "d371acd25101eedac04afc727626464b7acec770c4eda708705d51eb76eb1ad0",
    "Toys_and_Games-epochs-150.pt": "3291256c195ba732312c022e84eea2c5a77fbf8812570b7c14bb015308a72d3c",
    "Yelp.txt": "724b219106b81dd2349027da997334ddb6da9fe2f152ad6e0d97a93170f7caed",
    "Yelp_item2attributes.json": "f25acd5e1e680e0b22fd4e3f4fb6be4b2a7461e9222610616e3e1ee6702dd58d",
    "ml-100k.inter": "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff",
    "ml-100k.item": "51d7cdf777ce5c0f5b32c1d947a4a81fe07d75e78abbe761e0cd4d0756064532",
}
PROJECT_LINE = re.compile(r'^name\s*=\s*"s3rec[-_]lite"', re.MULTILINE)


# --- loading ------------------------------------------------------------------------------------------------


def load_dataset(
    source: str | Path | pd.DataFrame,
    *,
    root: str | Path | None = None,
    item_attribute: str | Sequence[str] | None = "class",
    k_core: int | None = 5,
    progress: bool = True,
    user: str = "user",
    item: str = "item",
    time: str | None = "time",
    item_attributes: pd.DataFrame | str | Path | None = None,
    titles: pd.DataFrame | str | Path | None = None,
    require_attributes: bool = True,
) -> SequenceData:
    """Load a data set by name (see NAMES), from a file, or from a DataFrame.

    Args:
        source: a name; or a path to the authors' `X.txt`, to a RecBole `.inter` file or its folder, or to a
            `.csv` file; or a DataFrame.
        root: folder that keeps downloads; see `cache_root`.
        item_attribute: RecBole only, columns that hold the attributes; None for none.
        k_core: RecBole, CSV and DataFrame only; None, 0 or 1 keep everything.
        progress: whether to show download progress on stderr.
        user, item, time: CSV and DataFrame only, names of the columns; time=None keeps the order.
        item_attributes: CSV and DataFrame only, table of items and attributes. For `X.csv` a file
            `X_attributes.csv` beside it is used if there is one.
        titles: CSV and DataFrame only, table of items and titles. For `X.csv`: `X_titles.csv`.
        require_attributes: authors' format only; if False, a missing json file means no attributes.

    Raises:
        DataError: for unknown names, missing or malformed files, wrong checksums and failed downloads.
    """
    columns = {"user": user, "item": item, "time": time, "k_core": k_core}
    if isinstance(source, pd.DataFrame):
        return read_interactions(source, **columns, item_attributes=item_attributes, titles=titles)
    name = str(source).lower()
    if isinstance(source, str) and name in NAMES:
        return _load_named(name, root, item_attribute, k_core, progress)
    path = Path(source)
    if path.is_dir() or path.suffix == ".inter":
        return read_recbole(path, item_attribute, k_core)
    if path.suffix == ".txt":
        return read_authors(path, require_attributes=require_attributes)
    if path.suffix == ".csv":
        item_attributes = _table_beside(path, "_attributes", item_attributes)
        titles = _table_beside(path, "_titles", titles)
        return read_interactions(path, **columns, item_attributes=item_attributes, titles=titles)
    if path.exists():
        raise DataError(f"{path}: unknown kind of file; give .txt, .inter, .csv or a folder with a .inter")
    raise unknown_name(str(source))


def unknown_name(name: str) -> DataError:
    """The error for a name that is neither a data set nor a file."""
    near = difflib.get_close_matches(name.lower(), NAMES, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return DataError(f"no data set and no file {name!r}; {hint}the names are {', '.join(NAMES)}")


def _load_named(
    name: str,
    root: str | Path | None,
    item_attribute: str | Sequence[str] | None,
    k_core: int | None,
    progress: bool,
) -> SequenceData:
    if name == "toy":
        return toy()
    if name == "planted":
        return planted()
    files = fetch(name, root, progress)
    if name == "ml-100k":
        return read_recbole(files["ml-100k.inter"], item_attribute, k_core, name=name)
    return read_authors(files[f"{AUTHORS_STEMS[name]}.txt"], name=name)


def _table_beside(path: Path, ending: str, given: pd.DataFrame | str | Path | None) -> object:
    found = path.with_name(f"{path.stem}{ending}.csv")
    return found if given is None and found.exists() else given


# --- finding and downloading --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Places:
    """Where files are looked for: the cache, then the mirror (if any), then upstream."""

    root: Path
    mirror: str | None
    upstream: str
    progress: bool
    retries: int


def cache_root(root: str | Path | None = None) -> Path:
    """Folder that keeps downloaded files.

    `root` if given, else the environment variable S3REC_DATA, else `data/raw` of the checkout around the
    current folder or around this package, else the user's cache folder.
    """
    chosen = root or os.environ.get("S3REC_DATA")
    if chosen:
        return Path(chosen).expanduser()
    for folder in (Path.cwd(), *Path.cwd().parents, Path(__file__).resolve().parents[2]):
        project = folder / "pyproject.toml"
        if project.is_file() and PROJECT_LINE.search(project.read_text(encoding="utf-8", errors="replace")):
            return folder / "data" / "raw"
    return Path(pooch.os_cache("s3rec-lite"))


def fetch(
    name: str,
    root: str | Path | None = None,
    progress: bool = True,
    *,
    upstream: str = UPSTREAM,
    retries: int = 2,
) -> dict[str, Path]:
    """Make sure that the files of a named data set are in the cache and are the right ones.

    Files are taken from the cache, then from the mirror (environment variable S3REC_MIRROR, a folder or a
    URL that holds the files under their upstream names), then from upstream. A cached file with a wrong
    checksum is renamed to `NAME.wrong` and fetched anew.

    Returns:
        Path of each file by its upstream name; empty for "toy" and "planted", which need no file.

    Raises:
        DataError: unknown name, wrong checksum, or a file that cannot be had (it says where to put it by
        hand).
    """
    name = name.lower()
    if name not in NAMES:
        raise unknown_name(name)
    places = Places(cache_root(root), os.environ.get("S3REC_MIRROR") or None, upstream, progress, retries)
    if name == "ml-100k":
        return _fetch_ml100k(places)
    stem = AUTHORS_STEMS.get(name)
    endings = (".txt", "_item2attributes.json", "_sample.txt")
    files = [f"{stem}{ending}" for ending in endings if f"{stem}{ending}" in CHECKSUMS]
    return {file: _fetch_file(file, "data", places) for file in files}


def fetch_checkpoint(
    name: str,
    root: str | Path | None = None,
    progress: bool = True,
    *,
    upstream: str = UPSTREAM,
    retries: int = 2,
) -> Path:
    """Path of the authors' pre-trained weights for "lastfm", "beauty" or "toys", fetched as in `fetch`.

    Raises:
        DataError: other names (no weights were released), a wrong checksum, or a file that cannot be had.
    """
    file = f"{AUTHORS_STEMS.get(name.lower())}-epochs-150.pt"
    if file not in CHECKSUMS:
        raise DataError(f"no released checkpoint for {name!r}; there are lastfm, beauty and toys")
    places = Places(cache_root(root), os.environ.get("S3REC_MIRROR") or None, upstream, progress, retries)
    return _fetch_file(file, "reproduce", places)


def _fetch_file(file: str, folder: str, places: Places) -> Path:
    target = places.root / file
    if _cached(target) or _from_mirror(target, places):
        return target
    url = f"{places.upstream.rstrip('/')}/{folder}/{file}"
    content, reason = download(url, CHECKSUMS[file], places.progress, places.retries)
    if content is None:
        raise DataError(
            f"{file}: cannot be downloaded from {url} ({reason}); download it elsewhere and put it at "
            f"{target}, or set S3REC_MIRROR to a folder that holds it"
        )
    write_bytes(target, content)
    return target


def _cached(target: Path) -> bool:
    """Whether the right file is there; a wrong one is moved out of the way."""
    if not target.is_file():
        return False
    try:
        if sha256(target.read_bytes()) == CHECKSUMS[target.name]:
            return True
        aside = target.with_name(target.name + ".wrong")
        os.replace(target, aside)
    except OSError as error:
        raise DataError(f"{target}: cannot be used ({error.strerror}); mend its permissions or delete it") from None
    hint = f"{target}: wrong checksum, so it was renamed to {aside.name} and is fetched anew"
    warnings.warn(hint, stacklevel=4)
    return False


def _from_mirror(target: Path, places: Places) -> bool:
    """Copy a file from the mirror; False if the mirror does not have it."""
    if places.mirror is None:
        return False
    if re.match(r"https?://", places.mirror):
        url = f"{places.mirror.rstrip('/')}/{target.name}"
        content, _ = download(url, CHECKSUMS[target.name], places.progress, retries=0)
        if content is None:
            return False
    else:
        source = Path(places.mirror).expanduser() / target.name
        if not source.is_file():
            return False
        try:
            content = source.read_bytes()
        except OSError as error:
            raise DataError(f"{source}: cannot be read ({error.strerror}); mend its permissions") from None
        check_sum(content, CHECKSUMS[target.name], str(source), "replace the file, or unset S3REC_MIRROR")
    write_bytes(target, content)
    return True


def _fetch_ml100k(places: Places) -> dict[str, Path]:
    files = {file: places.root / file for file in ("ml-100k.inter", "ml-100k.item")}
    missing = [path for path in files.values() if not (_cached(path) or _from_mirror(path, places))]
    if missing:
        wanted = {path.name: CHECKSUMS[path.name] for path in missing}
        folder = None if places.mirror is None else Path(places.mirror).expanduser()
        for file, content in read_ml100k_from_wheel(wanted, folder, places.root, places.progress).items():
            write_bytes(files[file], content)
    return files
