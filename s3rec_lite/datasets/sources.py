"""Named data sets: which files they have, where those are kept, and their SHA-256."""

import difflib
import os
import tempfile
from pathlib import Path

import pooch

from s3rec_lite.datasets.download import WHEEL, WHEEL_FOLDER, fetch_file, in_mirror, in_wheel, over_http
from s3rec_lite.support.errors import DataError
from s3rec_lite.support.text import find_checkout

_UPSTREAM = "https://raw.githubusercontent.com/RUCAIBox/CIKM2020-S3Rec/master"
_AUTHORS_STEMS = {
    "lastfm": "LastFM",
    "beauty": "Beauty",
    "sports": "Sports_and_Outdoors",
    "toys": "Toys_and_Games",
    "yelp": "Yelp",
}
NAMES = (*_AUTHORS_STEMS, "ml-100k", "toy", "planted")
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
SIZES = {
    "LastFM.txt": 239_312,
    "LastFM_item2attributes.json": 524_368,
    "LastFM_sample.txt": 511_746,
    "LastFM-epochs-150.pt": 1_521_785,
    "Beauty.txt": 1_090_094,
    "Beauty_item2attributes.json": 305_674,
    "Beauty-epochs-150.pt": 3_750_013,
    "Sports_and_Outdoors.txt": 1_707_483,
    "Sports_and_Outdoors_item2attributes.json": 653_780,
    "Toys_and_Games.txt": 922_166,
    "Toys_and_Games_item2attributes.json": 327_536,
    "Toys_and_Games-epochs-150.pt": 3_804_543,
    "Yelp.txt": 1_814_224,
    "Yelp_item2attributes.json": 600_360,
    "ml-100k.inter": 1_979_230,
    "ml-100k.item": 66_632,
}
"""in bytes, so that no server can fill a disk"""


def cache_root(root: str | Path | None = None) -> Path:
    """Folder that keeps downloaded files.

    `root` if given, else the environment variable S3REC_DATA, else `data/raw` of the checkout around the
    current folder or around this package, else the user's cache folder.
    """
    chosen = root or os.environ.get("S3REC_DATA")
    if chosen:
        return Path(chosen).expanduser()
    checkout = find_checkout()
    return checkout / "data" / "raw" if checkout else Path(pooch.os_cache("s3rec-lite"))


def unknown_name(name: str) -> DataError:
    """The error for a name that is neither a data set nor a file."""
    near = difflib.get_close_matches(name.lower(), NAMES, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return DataError(f"no data set and no file {name!r}; {hint}the names are {', '.join(NAMES)}")


def fetch(
    name: str,
    root: str | Path | None = None,
    progress: bool = True,
    *,
    upstream: str = _UPSTREAM,
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
    if name == "ml-100k":
        return _fetch_ml100k(cache_root(root), progress)
    stem = _AUTHORS_STEMS.get(name)
    files = [f"{stem}{ending}" for ending in (".txt", "_item2attributes.json", "_sample.txt")]
    address = f"{upstream.rstrip('/')}/data"
    return {file: _fetch(file, cache_root(root), address, progress, retries) for file in files if file in CHECKSUMS}


def fetch_checkpoint(
    name: str,
    root: str | Path | None = None,
    progress: bool = True,
    *,
    upstream: str = _UPSTREAM,
    retries: int = 2,
) -> Path:
    """Path of the authors' pre-trained weights for "lastfm", "beauty" or "toys", fetched as in `fetch`.

    Raises:
        DataError: other names (no weights were released), a wrong checksum, or a file that cannot be had.
    """
    file = f"{_AUTHORS_STEMS.get(name.lower())}-epochs-150.pt"
    if file not in CHECKSUMS:
        raise DataError(f"no released checkpoint for {name!r}; there are lastfm, beauty and toys")
    return _fetch(file, cache_root(root), f"{upstream.rstrip('/')}/reproduce", progress, retries)


def _fetch(file: str, root: Path, address: str, progress: bool, retries: int) -> Path:
    sources = [*in_mirror(file, SIZES[file], progress), over_http(f"{address}/{file}", SIZES[file], progress)]
    fetch_file(root / file, CHECKSUMS[file], sources, retries=retries)
    return root / file


def _fetch_ml100k(root: Path, progress: bool) -> dict[str, Path]:
    files = ("ml-100k.inter", "ml-100k.item")
    fix = (
        f"put {' and '.join(files)} (in {WHEEL_FOLDER} of {WHEEL}) into {root}, "
        "or set S3REC_MIRROR to a folder that holds the wheel"
    )
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            sources = [*in_mirror(file, SIZES[file], progress), in_wheel(file, Path(folder), fix, progress)]
            fetch_file(root / file, CHECKSUMS[file], sources, fix=fix)
    return {file: root / file for file in files}
