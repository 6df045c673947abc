"""The authors' files: what is read, what is refused and how the refusal reads."""

import json
import re
import tempfile
import warnings
from pathlib import Path

import pytest
import torch
from helpers import authors_file
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite.datasets import fingerprint, load_dataset, read_authors
from s3rec_lite.support.errors import DataError

FAST = settings(max_examples=50, deadline=None)
GOOD = "1 1 2 3 4\n2 2 3 1\n7 4 4 2 1 3\n"
GOOD_JSON = '{"1": [1, 2], "2": [2], "3": [1, 1, 3], "4": []}'


def put(folder: Path, text=GOOD, attributes=GOOD_JSON, sample=None) -> Path:
    for name, content in (("X.txt", text), ("X_item2attributes.json", attributes), ("X_sample.txt", sample)):
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / "X.txt"


def test_ids_sequences_and_attributes_are_taken_as_they_are(tmp_path):
    data = read_authors(put(tmp_path))
    assert [data.sequence(user).tolist() for user in range(3)] == [[1, 2, 3, 4], [2, 3, 1], [4, 4, 2, 1, 3]]
    assert data.name == "X" and data.user_tokens == ("1", "2", "7") and data.item_tokens is None
    assert data.sampled_negatives is None and data.attribute_tags_listed == 6
    table = [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert data.attributes.tolist() == [[bool(cell) for cell in row] for row in table]


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("\n", "\r\n"),
        GOOD[:-1],
        "\ufeff" + GOOD,
        GOOD.replace(" ", "\t"),
        GOOD.replace(" ", "  "),
    ],
    ids=["windows", "no last newline", "byte order mark", "tabs", "double blanks"],
)
def test_harmless_variants_of_the_text_give_the_same_data(tmp_path, text):
    (tmp_path / "a").mkdir()
    plain = read_authors(put(tmp_path / "a"))
    assert fingerprint(read_authors(put(tmp_path, text))) == fingerprint(plain)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("1 1 2 3\n2 2 x 3\n", 2, "'x' is not a positive whole number"),
        ("1 1 2 3\n2 2 0 3\n", 2, "'0' is not a positive whole number"),
        ("1 1 2 3\n2 2 -4 3\n", 2, "'-4' is not"),
        ("1 1 2 3\n2 2 1.5 3\n", 2, "'1.5' is not"),
        ("1 1 2 3\n2 2 ٣ 3\n", 2, "is not a positive whole number"),
        ("1 1 2 3\n2 2 3 " + "9" * 5000 + "\n", 2, "is too large an id; number the users and items 1, 2, 3"),
        ("0 1 2 3\n", 1, "'0' is not"),
        ("1 1 2 3\n\n2 2 3 1\n", 2, "the line is empty"),
        ("1 1 2 3\n   \n", 2, "the line is empty"),
        ("1 1 2 3\n2 2 3\n", 2, "user 2 has 2 items"),
        ("1 1 2 3\n2\n", 2, "user 2 has 0 items"),
        ("1 1 2 3\n2 2 3 1\n1 3 2 1\n", 3, "user 1 was already on line 1"),
        (
            "1 1 2 3\n2 2 3 10000001\n",
            2,
            "item 10000001 is too large an id for a file of 6 interactions; number the items 1, 2, 3",
        ),
        (b"1 1 2 3\n2 2 \xff 3\n", 2, "not UTF-8"),
        (b"1 1 2 3\n2 2 \0 3\n", 2, "NUL"),
        (b"1 1 2 3\n2 2 3 1\r3 1 2 3\n", 2, "carriage return"),
    ],
)
def test_a_broken_line_is_named_with_file_number_and_mend(tmp_path, text, line, what):
    path = put(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_authors(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:{line}: ") and what in message and "; " in message
    assert "\n" not in message and len(message) < len(str(path)) + 200


@pytest.mark.parametrize(
    ("attributes", "what"),
    [
        ('{"1": [1], "5": [1]}', "key '5': no such item"),
        ('{"1": [1], "0": [1]}', "key '0': no such item"),
        ('{"1": [1], "one": [1]}', "key 'one': no such item"),
        ('{"1": [1], "2": [0]}', "key '2': '0' is not an attribute id"),
        ('{"1": [1], "2": [-1]}', "key '2': '-1' is not"),
        ('{"1": [1], "2": [1.0]}', "key '2': '1.0' is not"),
        ('{"1": [1], "2": [true]}', "key '2': 'True' is not"),
        ('{"1": [1], "2": ["3"]}', "key '2': '3' is not"),
        ('{"1": [1], "2": [NaN]}', "key '2': 'nan' is not"),
        ('{"1": [1], "2": 3}', "key '2': not a list"),
        ('{"1": [1], "2": [3, 3000000000]}', "key '2': attribute '3000000000' asks for too large"),
        ('{"1": [1], "2": [99999999999999999999]}', "key '2': attribute '99999999999999999999' asks for too large"),
        ('{"1": [1], "2": [400000000]}', "number the attributes 1, 2, 3 and so on, or give the data as a .csv"),
        ('{"1": [1], "1": [2]}', "key '1' is there twice"),
        ('{"1": [1], "01": [2]}', "key '1' is there twice"),
        ("[1, 2]", "holds a list"),
        ('{"1": [1],\n "2": [1\n', ":3: not JSON"),
        ("[" * 100_000, "not usable as JSON (RecursionError)"),
        ("9" * 5000, "not usable as JSON (ValueError)"),
        (b"\xff\xfe", "not UTF-8"),
        ("", "the file is empty"),
    ],
)
def test_a_broken_attribute_file_is_named_with_key_or_line(tmp_path, attributes, what):
    path = put(tmp_path, attributes=attributes)
    with pytest.raises(DataError, match=re.escape(what)) as caught:
        read_authors(path)
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "X_item2attributes.json")) and "\n" not in message


def test_missing_attributes_are_an_error_unless_they_are_not_wanted(tmp_path):
    path = put(tmp_path, attributes=None)
    with pytest.raises(DataError, match=r"X_item2attributes\.json: no such file"):
        read_authors(path)
    data = load_dataset(path, require_attributes=False)
    assert data.num_attributes == 0 and data.attributes.shape == (6, 1)


def test_items_without_an_entry_are_counted_in_one_warning(tmp_path):
    path = put(tmp_path, attributes='{"1": [1]}')
    with pytest.warns(UserWarning, match="3 items have no entry") as caught:
        data = read_authors(path)
    assert len(caught) == 1 and data.attributes.sum() == 1


def test_ids_that_nobody_uses_stay_and_are_counted_in_a_warning(tmp_path):
    path = put(tmp_path, text="1 1 2 6\n", attributes='{"1": [1], "2": [1], "6": [1]}')
    with pytest.warns(UserWarning, match="3 of the ids 1 to 6 occur in no sequence") as caught:
        data = read_authors(path)
    assert len(caught) == 1 and data.num_items == 6


def sample_lines(users, item=1):
    return "".join(f"{user} " + " ".join([str(item)] * 98 + [str(user % 4 + 1)]) + "\n" for user in users)


def test_negatives_follow_the_users_of_the_sequence_file(tmp_path):
    data = read_authors(put(tmp_path, sample=sample_lines([7, 1, 2])))
    assert data.sampled_negatives.shape == (3, 99)
    assert data.sampled_negatives[:, -1].tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("sample", "what"),
    [
        (sample_lines([1, 2, 8]), ":3: user 8 is not in the sequences"),
        (sample_lines([1, 2, 2, 7]), ":3: user 2 is there twice"),
        (sample_lines([1, 7]), ": user 2 has no line"),
        (sample_lines([1]) + "2 1 2 3\n" + sample_lines([7]), ":2: 3 items after the user instead of 99"),
        (sample_lines([1]) + sample_lines([2, 7], item=5), ":2: item 5 is unknown"),
        (sample_lines([1, 2, 7]).replace("1 1", "1 a", 1), ":1: 'a' is not a positive whole number"),
        ("", ": the file is empty"),
    ],
)
def test_a_broken_sample_file_is_named_with_its_line(tmp_path, sample, what):
    with pytest.raises(DataError, match=re.escape(f"X_sample.txt{what}")):
        read_authors(put(tmp_path, sample=sample))


def test_missing_and_empty_files_and_folders_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        read_authors(tmp_path / "none.txt")
    for empty in ("", "\n\n"):
        with pytest.raises(DataError, match=r"X\.txt: the file is empty"):
            read_authors(put(tmp_path, text=empty))
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read_authors(tmp_path / "folder.txt")


# --- any input ------------------------------------------------------------------------------------------

word = st.one_of(st.integers(-1, 12).map(str), st.sampled_from(["", "1e3", "x", "\t", "00", "1_0", "+1", "²"]))
lines = st.lists(st.lists(word, max_size=7).map(" ".join), max_size=6).map("\n".join).map(str.encode)
json_text = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 9) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("1234x"), inner, max_size=4),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


def read_or_refuse(**files) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            data = read_authors(put(Path(folder), **files))
        except DataError as error:
            assert str(error).startswith(folder) and "\n" not in str(error)
        else:
            assert data.items.min() >= 1 and data.items.max() <= data.num_items


@settings(FAST, max_examples=150)
@given(st.one_of(st.binary(max_size=60), lines))
def test_any_sequence_file_is_read_or_refused_in_one_line(content):
    read_or_refuse(text=content)


@settings(FAST, max_examples=150)
@given(st.one_of(st.binary(max_size=60), json_text))
def test_any_attribute_file_is_read_or_refused_in_one_line(content):
    read_or_refuse(attributes=content)


@FAST
@given(st.one_of(st.binary(max_size=60), lines))
def test_any_sample_file_is_read_or_refused_in_one_line(content):
    read_or_refuse(sample=content)


sequence_lists = st.lists(st.lists(st.integers(1, 30), min_size=3, max_size=9), min_size=1, max_size=8)


@FAST
@given(sequence_lists, st.data())
def test_the_fast_reading_agrees_with_splitting_lines_and_finds_the_broken_one(sequences, data):
    rows = [f"{user} {' '.join(map(str, items))}" for user, items in enumerate(sequences, start=1)]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = put(Path(folder), "\n".join(rows), attributes=None)
        read = read_authors(path, require_attributes=False)
        assert [read.sequence(user).tolist() for user in range(len(sequences))] == sequences
        at = data.draw(st.integers(0, len(rows) - 1))
        rows[at] = data.draw(st.sampled_from(["", "x 1 2 3", "1 2", rows[at] + " 0", rows[at] + " -1", "9 9.5 1 1"]))
        if "".join(rows).strip():
            put(Path(folder), "\n".join(rows) + "\n", attributes=None)
            with pytest.raises(DataError, match=f"^{re.escape(str(path))}:{at + 1}: "):
                read_authors(path, require_attributes=False)


# --- the released files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["LastFM", "Beauty", "Yelp"])
@pytest.mark.filterwarnings("ignore:.*have no entry")
def test_the_released_files_are_read_as_they_are(name):
    path = authors_file(f"{name}.txt")
    data = read_authors(path)
    words = [[token, *map(str, data.sequence(user))] for user, token in enumerate(user_names(data))]
    assert words == [line.split() for line in path.read_text().splitlines()]
    listed = json.loads(authors_file(f"{name}_item2attributes.json").read_text())
    table = torch.zeros_like(data.attributes)
    for item, tags in listed.items():
        table[int(item), tags] = True
    assert torch.equal(table, data.attributes)
    assert data.attribute_tags_listed == sum(map(len, listed.values()))


def user_names(data):
    return data.user_tokens or [str(user) for user in range(1, data.num_users + 1)]
