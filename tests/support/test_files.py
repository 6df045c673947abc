"""Files: written whole or not at all, and read without running what is in them."""

import errno
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite.support.errors import CheckpointError, S3RecError
from s3rec_lite.support.files import check_writable, load_tensors, save_tensors, write_bytes, write_text


def one_line(caught) -> str:
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestWriting:
    @given(st.binary(max_size=300), st.binary(max_size=300))
    @settings(max_examples=20, deadline=None)
    def test_a_file_holds_what_was_written_last_and_nothing_is_left_beside_it(self, tmp_path_factory, first, second):
        folder = tmp_path_factory.mktemp("files")
        for content in (first, second):
            write_bytes(folder / "deep" / "file", content)
            assert (folder / "deep" / "file").read_bytes() == content
        assert os.listdir(folder / "deep") == ["file"]

    @pytest.mark.parametrize(
        ("code", "fix"),
        [
            (errno.ENOSPC, "make room"), (errno.EACCES, "change its permissions"),
            (errno.EROFS, "choose another folder"), (errno.EISDIR, "a folder has the name"),
            (errno.ENOTDIR, "a file stands where"),
            (errno.ENAMETOOLONG, "choose a shorter name"), (errno.EIO, "choose another folder or make room"),
        ],
    )  # fmt: skip
    def test_the_fix_is_that_of_the_problem(self, tmp_path, monkeypatch, code, fix):
        def fail(*_, **__):
            raise OSError(code, os.strerror(code))

        monkeypatch.setattr(Path, "mkdir", fail)
        for write in (lambda: write_bytes(tmp_path / "new" / "x", b"x"), lambda: check_writable(tmp_path / "new")):
            with pytest.raises(S3RecError, match=f"{os.strerror(code)}; .*{fix}") as caught:
                write()
            one_line(caught)

    def test_probes_of_killed_processes_go(self, tmp_path):
        for name in (".probe.12", ".probe.99999", ".probes", "probe.1"):
            (tmp_path / name).write_text("x")
        check_writable(tmp_path)
        assert sorted(os.listdir(tmp_path)) == [".probes", "probe.1"]

    def test_text_is_utf8(self, tmp_path):
        write_text(tmp_path / "text", "S³-Rec\n")
        assert (tmp_path / "text").read_bytes() == "S³-Rec\n".encode()

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EDQUOT])
    @pytest.mark.parametrize("step", ["fsync", "replace"])
    def test_a_full_disk_keeps_the_old_file_and_says_so(self, tmp_path, monkeypatch, code, step):
        path = tmp_path / "model.pth"
        write_bytes(path, b"good")

        def fail(*_):
            raise OSError(code, os.strerror(code))

        with monkeypatch.context() as patch:
            patch.setattr(os, step, fail)
            with pytest.raises(S3RecError, match="cannot write") as caught:
                write_bytes(path, b"half")
        assert str(path) in one_line(caught)
        assert os.strerror(code) in one_line(caught)
        assert path.read_bytes() == b"good"
        assert os.listdir(tmp_path) == ["model.pth"]

    def test_a_folder_that_is_a_file_says_so(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(S3RecError, match="cannot write") as caught:
            write_bytes(tmp_path / "file" / "model.pth", b"x")
        assert "file" in one_line(caught)

    def test_a_folder_in_place_of_the_file_says_so(self, tmp_path):
        (tmp_path / "model.pth").mkdir()
        with pytest.raises(S3RecError, match="cannot write"):
            write_bytes(tmp_path / "model.pth", b"x")
        assert os.listdir(tmp_path) == ["model.pth"]


class Bomb:
    """Runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.fixture(scope="module")
def content():
    return {"a": torch.arange(6.0).view(2, 3), "b": {"n": 3, "s": "x", "l": [1, 2]}, "c": torch.tensor([True])}


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
class TestReading:
    def test_round_trip(self, tmp_path, content):
        save_tensors(tmp_path / "file", content)
        found = load_tensors(tmp_path / "file")
        assert torch.equal(found["a"], content["a"])
        assert found["b"] == content["b"]

    def test_truncated_anywhere_is_one_clear_error(self, tmp_path, content):
        save_tensors(tmp_path / "whole", content)
        whole = (tmp_path / "whole").read_bytes()
        path = tmp_path / "cut"
        for end in range(0, len(whole), 23):
            path.write_bytes(whole[:end])
            with pytest.raises(CheckpointError) as caught:
                load_tensors(path)
            assert str(path) in one_line(caught)

    def test_the_old_format_of_pytorch_truncated_anywhere(self, tmp_path, content):
        """The authors' files are of either kind."""
        path = tmp_path / "old"
        torch.save(content, path, _use_new_zipfile_serialization=False)
        assert torch.equal(load_tensors(path)["a"], content["a"])
        whole = path.read_bytes()
        for end in range(0, len(whole) - 1, 19):
            path.write_bytes(whole[:end])
            with pytest.raises(CheckpointError) as caught:
                load_tensors(path)
            assert str(path) in one_line(caught)

    @given(st.binary(max_size=400), st.sampled_from([b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95"]))
    @settings(max_examples=80, deadline=None)
    def test_garbage_is_one_clear_error(self, tmp_path_factory, noise, start):
        path = tmp_path_factory.mktemp("garbage") / "file.pth"
        path.write_bytes(start + noise)
        with pytest.raises(CheckpointError) as caught:
            load_tensors(path)
        assert str(path) in one_line(caught)

    @given(st.data())
    @settings(max_examples=60, deadline=None)
    def test_a_damaged_byte_never_gives_anything_but_a_dict_or_one_clear_error(self, tmp_path_factory, content, data):
        path = tmp_path_factory.mktemp("damage") / "file.pth"
        save_tensors(path, content)
        whole = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(whole) - 1))
        whole[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(bytes(whole))
        try:
            assert isinstance(load_tensors(path), dict)
        except CheckpointError as error:
            assert "\n" not in str(error)
            assert str(path) in str(error)

    @pytest.mark.parametrize("wrap", [lambda bomb: bomb, lambda bomb: {"model": bomb}, lambda bomb: [bomb]])
    @pytest.mark.parametrize("kind", ["pickle", "zip", "legacy"])
    def test_code_in_a_file_is_never_run(self, tmp_path, wrap, kind):
        flag, path = tmp_path / "it-ran", tmp_path / "evil.pth"
        value = wrap(Bomb(flag))
        if kind == "pickle":
            path.write_bytes(pickle.dumps(value))
        else:
            torch.save(value, path, _use_new_zipfile_serialization=kind == "zip")
        with pytest.raises(CheckpointError) as caught:
            load_tensors(path)
        assert str(path) in one_line(caught)
        assert not flag.exists()
        assert "get" in one_line(caught), "it says what to do"

    def test_a_whole_pickled_model_is_refused(self, tmp_path):
        torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
        with pytest.raises(CheckpointError, match="objects besides tensors") as caught:
            load_tensors(tmp_path / "model.pth")
        one_line(caught)

    def test_an_unsafe_file_is_called_so(self, tmp_path):
        torch.save({"model": Bomb(tmp_path / "flag")}, tmp_path / "evil.pth")
        with pytest.raises(CheckpointError, match="unsafe: .* nothing of it was run") as caught:
            load_tensors(tmp_path / "evil.pth")
        one_line(caught)

    @pytest.mark.parametrize("value", [[1, 2], torch.ones(2), 3, "text", None])
    def test_anything_but_a_dict_is_refused(self, tmp_path, value):
        torch.save(value, tmp_path / "file")
        with pytest.raises(CheckpointError, match="not a checkpoint") as caught:
            load_tensors(tmp_path / "file")
        one_line(caught)

    @pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir()])
    def test_missing_files_and_folders(self, tmp_path, make):
        path = tmp_path / "none.pth"
        make(path)
        with pytest.raises(CheckpointError, match="no such checkpoint") as caught:
            load_tensors(path)
        assert str(path) in one_line(caught)


def rebuilt(path, change, compression=zipfile.ZIP_STORED):
    """The zip file with ``change(name, content)`` for the content of each entry, and right checksums."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in entries.items():
            archive.writestr(zipfile.ZipInfo(name), change(name, content), compression)


class Big:
    """Asks for 10 GB of zeros when it is unpickled."""

    def __reduce__(self):
        return bytearray, (10**10,)


class TestHostile:
    """Made to fill the memory or to read past a buffer, with checksums that fit."""

    @pytest.fixture
    def path(self, tmp_path):
        save_tensors(tmp_path / "file.pth", {"a": torch.arange(300.0), "n": 3})
        return tmp_path / "file.pth"

    def refused(self, path, match):
        with pytest.raises(CheckpointError, match=match) as caught:
            load_tensors(path)
        assert str(path) in one_line(caught)

    def test_a_tensor_that_says_it_is_longer_than_its_record(self, path):
        number = (300).to_bytes(2, "little")
        rebuilt(path, lambda name, content: content.replace(b"M" + number, b"J" + (2**30).to_bytes(4, "little")))
        self.refused(path, "4,294,967,296 bytes is missing or shorter")

    def test_the_same_in_the_old_format(self, tmp_path):
        torch.save({"a": torch.arange(300.0)}, tmp_path / "old", _use_new_zipfile_serialization=False)
        content = (tmp_path / "old").read_bytes()
        longer = content.replace(b"M" + (300).to_bytes(2, "little"), b"J" + (2**30).to_bytes(4, "little"))
        (tmp_path / "old").write_bytes(longer)
        self.refused(tmp_path / "old", "in a file of")

    def test_a_small_tensor_that_is_repeated_to_a_large_one(self, tmp_path):
        torch.save({"a": torch.zeros(1).expand(10**9)}, tmp_path / "file.pth")
        self.refused(tmp_path / "file.pth", r"sizes \[1000000000\] has less in the file")

    @pytest.mark.parametrize("value", [Big(), torch.eye(3).to_sparse(), torch.zeros(2, device="meta")])
    def test_other_ways_to_ask_for_memory(self, tmp_path, value):
        torch.save({"a": value}, tmp_path / "file.pth")
        self.refused(tmp_path / "file.pth", "objects besides tensors")

    def test_a_place_in_the_picklers_memory_that_is_far_away(self, path):
        rebuilt(path, lambda name, content: b"\x80\x02Nr\xff\xff\xff\xff." if name.endswith("data.pkl") else content)
        self.refused(path, "holds a NoneType")

    def test_lists_in_lists(self, path):
        deep = b"\x80\x02}X\x01\x00\x00\x00a" + b"]" * 9000 + b"a" * 8999 + b"s."
        rebuilt(path, lambda name, content: deep if name.endswith("data.pkl") else content)
        self.refused(path, "too many parts")

    def test_lists_that_hold_each_other_many_times(self, path):
        """Forty doublings would be a million million parts."""
        many = b"\x80\x02}X\x01\x00\x00\x00aN"
        many += b"".join(bytes([0x71, n]) + b"h" + bytes([n]) + b"\x86" for n in range(40)) + b"s."
        rebuilt(path, lambda name, content: many if name.endswith("data.pkl") else content)
        self.refused(path, "too many parts")

    def test_an_entry_that_says_it_is_a_folder(self, path):
        """PyTorch would read nothing of it, and take whatever is in the memory."""
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            place = content.rindex(b"PK\x01\x02", 0, content.rindex(archive.infolist()[-1].filename.encode()))
        content[place + 38] |= 0x10
        path.write_bytes(content)
        self.refused(path, "not PyTorch's")

    def test_compressed_entries(self, path):
        rebuilt(path, lambda name, content: content, zipfile.ZIP_DEFLATED)
        self.refused(path, "not PyTorch's")

    def test_a_changed_record_does_not_fit_its_checksum(self, path):
        content = path.read_bytes()
        path.write_bytes(content.replace(torch.tensor([7.0]).numpy().tobytes(), torch.tensor([7.5]).numpy().tobytes()))
        self.refused(path, "damaged: data/0 does not fit its checksum")
