"""RecBole's atomic files, CSV files and DataFrames."""

import re
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3rec_lite.datasets import (
    fingerprint,
    load_dataset,
    read_interactions,
    read_recbole,
    tables,
)
from s3rec_lite.support.errors import DataError

FAST = settings(max_examples=100, deadline=None)
INTER = "user_id:token\titem_id:token\ttimestamp:float\n" + "".join(
    f"{user}\t{item}\t{time}\n"
    for user, item, time in [
        ("b", "10", 3),
        ("a", "9", 1),
        ("b", "x", 1),
        ("a", "10", 1),  # same time as the row of a before: keeps its place after it
        ("b", "9", 2),
        ("a", "x", 0),
        ("a", "9", 5),
    ]
)
ITEM = (
    "item_id:token\ttitle:token_seq\tclass:token_seq\tyear:token\tprice:float\n"
    "9\tNine Lives\tdrama war\t1999\t1\nx\tXylophone\t\t\t2\n10\tTen\twar\t2001\t3\nunused\tU\tother\t1\t4\n"
)


def put(folder: Path, inter=INTER, item=ITEM) -> Path:
    for name, content in (("m.inter", inter), ("m.item", item)):
        if content is not None:
            (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / "m.inter"


@pytest.mark.filterwarnings("ignore:.*have no attributes")
def test_rows_are_sorted_stably_and_numbered_by_name(tmp_path):
    data = read_recbole(put(tmp_path), "class", k_core=None)
    assert data.user_tokens == ("a", "b") and data.item_tokens == ("9", "10", "x")
    assert data.sequence(0).tolist() == [3, 1, 2, 1] and data.sequence(1).tolist() == [3, 1, 2]
    assert data.attribute_names == ("drama", "war") and data.attribute_tags_listed == 3
    assert data.attributes[1:4, 1:].tolist() == [[True, True], [False, True], [False, False]]
    assert [data.title(item) for item in (1, 2, 3)] == ["Nine Lives", "Ten", "Xylophone"]
    assert data.name == "m" and fingerprint(read_recbole(tmp_path, "class", None)) == fingerprint(data)


@pytest.mark.filterwarnings("ignore:.*have no attributes")
def test_several_attribute_columns_are_told_apart_by_their_names(tmp_path):
    data = read_recbole(put(tmp_path), ["class", "year"], k_core=None)
    assert data.attribute_names == ("class:drama", "class:war", "year:1999", "year:2001")
    assert data.attributes[data.item_id("x")].sum() == 0


def test_items_without_attributes_are_counted_in_one_warning(tmp_path):
    with pytest.warns(UserWarning, match="1 of 3 items have no attributes") as caught:
        read_recbole(put(tmp_path), "year", k_core=None)
    assert len(caught) == 1


def test_without_attributes_no_item_file_is_needed(tmp_path):
    path = put(tmp_path, item=None)
    assert read_recbole(path, None, k_core=None).num_attributes == 0
    with pytest.raises(DataError, match=r"m\.item: no such file"):
        read_recbole(path, "class", k_core=None)


def test_numbering_does_not_depend_on_the_order_of_appearance(tmp_path):
    lines = INTER.splitlines()
    mixed = "\n".join([lines[0], *sorted(lines[1:])])
    first = read_recbole(put(tmp_path), None, None)
    assert read_recbole(put(tmp_path, mixed), None, None).item_tokens == first.item_tokens


@pytest.mark.parametrize(
    ("inter", "what"),
    [
        (INTER.replace("b\tx\t1", "b\tx"), ":4: 2 fields instead of 3"),
        (INTER.replace("b\tx\t1", "b\tx\t1\t"), ":4: 4 fields instead of 3"),
        (INTER.replace("b\tx\t1\n", "\n"), ":4: 1 fields instead of 3"),
        (INTER.replace("b\tx\t1", "b\tx\tsoon"), ":4: timestamp 'soon' cannot be read as a time"),
        (INTER.replace("b\tx\t1", "b\tx\tinf"), ":4: timestamp 'inf' cannot be read as a time"),
        (INTER.replace("b\tx\t1", "b\tx\t"), ":4: timestamp is missing"),
        (INTER.replace("b\tx\t1", "\tx\t1"), ":4: user_id is missing"),
        (INTER.replace("b\tx\t1", "b\t \t1"), ":4: item_id is missing"),
        (INTER.replace("item_id:token", "item_id"), ":1: column 'item_id' has no known type"),
        (INTER.replace("item_id:token", "item_id:tok"), ":1: column 'item_id:tok' has no known type"),
        (
            INTER.replace("item_id:", "thing:"),
            ":1: no column 'item_id'; the columns are user_id, thing, timestamp",
        ),
        (INTER.replace("timestamp:float", "item_id:token"), ":1: column 'item_id' is there twice"),
        (INTER.splitlines()[0], ": there is no row"),
        (INTER.encode() + b"\xff\t1\t1\n", ":9: not UTF-8"),
    ],
)
def test_a_broken_line_is_named(tmp_path, inter, what):
    path = put(tmp_path, inter)
    with pytest.raises(DataError, match=f"^{re.escape(str(path) + what)}"):
        read_recbole(path, "class", None)


@pytest.mark.parametrize(
    ("columns", "item", "what"),
    [
        ("genre", ITEM, ":1: no attribute column 'genre'; choose from title, class, year"),
        ("price", ITEM, ":1: no attribute column 'price'"),
        ("class", ITEM + "9\tAgain\twar\t1\t1\n", ":6: item_id '9' is there twice"),
        ("class", ITEM + "12\tAgain\n", ":6: 2 fields instead of 5"),
    ],
)
def test_a_broken_item_file_is_named(tmp_path, columns, item, what):
    with pytest.raises(DataError, match=re.escape(f"m.item{what}")):
        read_recbole(put(tmp_path, item=item), columns, None)


def test_a_folder_must_hold_one_inter_file(tmp_path):
    with pytest.raises(DataError, match=r"exactly one .inter file, found none"):
        read_recbole(tmp_path)
    (put(tmp_path).with_name("n.inter")).write_text(INTER)
    with pytest.raises(DataError, match=r"found m\.inter, n\.inter"):
        read_recbole(tmp_path)


def test_a_filter_that_leaves_nothing_says_which_setting_to_lower(tmp_path):
    with pytest.raises(DataError, match=r"nothing is left of 7 .* after the 5-core filter.*--k-core"):
        read_recbole(put(tmp_path), "class")
    with pytest.raises(DataError, match=r"user 'a' has 1 interactions, fewer than 3.*--k-core"):
        read_interactions(pd.DataFrame({"user": ["a"], "item": ["b"]}), time=None, k_core=0)


@FAST
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.integers(0, 3)), min_size=15, max_size=60),
    st.integers(3, 5),
)
def test_sequences_agree_with_sorting_python_lists(rows, k):
    frame = pd.DataFrame(rows, columns=["user", "item", "time"])
    kept = rows
    while True:
        again = [
            row for row in kept if sum(r[0] == row[0] for r in kept) >= k and sum(r[1] == row[1] for r in kept) >= k
        ]
        if again == kept:
            break
        kept = again
    if not kept:
        with pytest.raises(DataError, match="nothing is left"):
            read_interactions(frame, k_core=k)
        return
    data = read_interactions(frame, k_core=k)
    for user, token in enumerate(data.user_tokens):
        wanted = [str(row[1]) for row in sorted(kept, key=lambda row: row[2]) if row[0] == int(token)]
        assert [data.item_tokens[item - 1] for item in data.sequence(user)] == wanted


# --- CSV and DataFrame ----------------------------------------------------------------------------------

CSV = "who,what,when\n" + "".join(f"u{n % 2},i{n % 3},2020-01-{30 - n:02d}\n" for n in range(12))


def test_a_csv_file_and_the_same_frame_give_the_same_data(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(CSV)
    columns = {"user": "who", "item": "what", "time": "when", "k_core": 3}
    data = load_dataset(path, **columns)
    frame = pd.read_csv(path)
    assert data.name == "log" and data.sequence(0).tolist() == [2, 3, 1, 2, 3, 1]
    for same in (
        frame,
        frame.assign(when=pd.to_datetime(frame["when"])),
        frame.set_index("what", drop=False),
    ):
        assert fingerprint(load_dataset(same, **columns)) == fingerprint(data)
    backwards = load_dataset(path, **{**columns, "time": None})
    assert backwards.sequence(0).tolist() == data.sequence(0).tolist()[::-1]


def test_tables_beside_a_csv_file_bring_attributes_and_titles(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(CSV)
    (tmp_path / "log_attributes.csv").write_text("item,attribute\ni0,red\ni1,red\ni1,blue\ni1,blue\ni2,\n")
    (tmp_path / "log_titles.csv").write_text('what,title\ni0,"One, or the other"\n')
    with pytest.warns(UserWarning, match="1 of 3 items have no attributes"):
        data = load_dataset(path, user="who", item="what", time="when", k_core=3)
    assert data.attribute_names == ("blue", "red") and data.attribute_tags_listed == 4
    assert data.attributes[1:4, 1:].tolist() == [[False, True], [True, True], [False, False]]
    assert [data.title(item) for item in (1, 2)] == ["One, or the other", "i1"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (CSV.replace("u1,i1,2020-01-29", "u1,,2020-01-29"), ":3: what is missing"),
        (CSV.replace("u1,i1,2020-01-29", ",i1,2020-01-29"), ":3: who is missing"),
        (CSV.replace("2020-01-29", ""), ":3: when is missing"),
        (CSV.replace("2020-01-29", "tomorrow"), ":3: when 'tomorrow' cannot be read as a time"),
        (CSV.replace("u1,i1", '\n"u\n1",i1').replace("2020-01-28", "x", 1), ":6: when 'x' cannot be read"),
        (CSV.replace("2020-01-29", "2020-01-29,more"), ":3: 4 fields instead of 3"),
        (CSV.replace("2020-01-30", "2020-01-30,more"), ":2: 4 fields instead of 3"),
        (CSV.replace("\n", ",\n").replace("when,", "when"), ":2: 4 fields instead of 3"),
        (CSV.replace("u1,i1,2020-01-29", "u1,i1"), ":3: when is missing"),
        (CSV.replace("u1,i1", 'u1,"i1', 1), ":3: a quote is opened and never closed"),
        (CSV.replace("when", "then"), ":1: no column 'when'; the columns are who, what, then"),
        ("who,what,when\n", ": there is no row"),
        ("", ": the file is empty"),
        (CSV.encode() + b"\xff,1,1\n", ":14: not UTF-8"),
    ],
)
def test_a_broken_csv_line_is_named(tmp_path, text, what):
    path = tmp_path / "log.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=f"^{re.escape(str(path) + what)}") as caught:
        read_interactions(path, "who", "what", "when", k_core=3)
    assert "\n" not in str(caught.value)


def test_a_broken_row_of_a_frame_is_named():
    frame = pd.DataFrame({"user": ["a"] * 4, "item": [1.0, 2.0, np.nan, 3.0], "time": [1, 2, 3, 4]})
    with pytest.raises(DataError, match="DataFrame: row 2: item is missing"):
        read_interactions(frame, k_core=0)
    with pytest.raises(DataError, match=r"no column 'time'.*time=None"):
        read_interactions(frame.drop(columns="time"))
    with pytest.raises(DataError, match="there is no row"):
        read_interactions(frame.iloc[:0])
    with pytest.raises(DataError, match="row 1: time is missing"):
        read_interactions(frame.assign(item="i", time=[1, None, 3, 4]))
    with pytest.raises(DataError, match="row 2: time 'soon' cannot be read"):
        read_interactions(frame.assign(item="i", time=["3", "1", "soon", "2"]))
    assert read_interactions(frame.dropna(), k_core=0).item_tokens == ("1", "2", "3")


def test_times_are_compared_as_numbers_or_moments_and_not_as_text():
    frame = pd.DataFrame({"user": "a", "item": list("wxyz"), "time": ["10", "9", "8", "100"]})
    data = read_interactions(frame, k_core=0)
    assert data.sequence(0).tolist() == [3, 2, 1, 4]
    zoned = ["2020-01-01T02:00:00+02:00", "2019-12-31T23:00:00Z", "2020-01-02", "2020-01-01 00:00:01"]
    data = read_interactions(frame.assign(time=zoned), k_core=0)
    assert data.sequence(0).tolist() == [2, 1, 4, 3]
    moments = pd.to_datetime(pd.Series(zoned), format="ISO8601", utc=True).dt.tz_convert("Asia/Tokyo")
    assert read_interactions(frame.assign(time=moments), k_core=0).sequence(0).tolist() == [2, 1, 4, 3]
    years = ["2500-01-01", "1600-01-01", "2020-01-01", "1970-01-01"]
    assert read_interactions(frame.assign(time=years), k_core=0).sequence(0).tolist() == [2, 4, 3, 1]
    large = ["1" + "0" * 30, "1" + "0" * 20, "9223372036854775808", "-1"]
    assert read_interactions(frame.assign(time=large), k_core=0).sequence(0).tolist() == [4, 3, 2, 1]


# --- the fast reading and the slow one ------------------------------------------------------------------

field = st.sampled_from(
    [
        "7",
        "07",
        " 7",
        "7.0",
        "nan",
        "NA",
        "",
        " ",
        "\t",
        "é",
        "\ufeff",
        "#",
        "-0",
        "1e5",
        '"7"',
        '""',
        '"a,b"',
        '"a"b',
        'a"b',
        '"a""b"',
        '"a\nb"',
        '"',
    ]
)


@pytest.mark.parametrize(("read", "separator"), [(tables.read_csv, ","), (tables.read_tabs, ";")])
@FAST
@given(rows=st.lists(st.lists(field, min_size=1, max_size=3), min_size=1, max_size=30), newline=st.booleans())
def test_both_ways_of_reading_give_the_same_table_or_the_same_error(read, separator, rows, newline):
    separator = "\t" if read is tables.read_tabs else separator
    rows = [[cell.strip("\t") for cell in row] for row in rows] if read is tables.read_tabs else rows
    content = "\n".join(map(separator.join, [["a", "b", "c"], *rows])) + "\n" * newline
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "m.csv"
        path.write_text(content, encoding="utf-8")
        patch.setattr(tables, "_BYTES", 9)
        patch.setattr(tables, "_ROWS", 4)
        fast = outcome(read, path)
        patch.setattr(tables, "_is_simple", lambda *_: False)
        patch.setattr(tables, "_ROWS", 2**20)
        assert fast == outcome(read, path)


def outcome(read, path: Path):
    try:
        table = read(path)
    except DataError as error:
        return str(error)
    return table.frame.astype(object).to_numpy().tolist(), [
        str(table.error(row, "", "")) for row in range(len(table.frame))
    ]


def test_a_column_of_ever_new_values_is_read_as_one_that_repeats(tmp_path, monkeypatch):
    path = tmp_path / "log.csv"
    path.write_text("user,item,time\n" + "".join(f"u{n % 2},i{n % 3},{50 - n}\n" for n in range(40)))
    whole = read_interactions(path, k_core=3)
    monkeypatch.setattr(tables, "_ROWS", 8)
    assert fingerprint(read_interactions(path, k_core=3)) == fingerprint(whole)
    path.write_text(path.read_text().replace(",30\n", ",soon\n"))
    with pytest.raises(DataError, match=":22: time 'soon' cannot be read"):
        read_interactions(path, k_core=3)


# --- any input ------------------------------------------------------------------------------------------

cell = st.one_of(
    st.integers(0, 3).map(str), st.sampled_from(["", '"', "a b", "nan", "1e999", "\0", "\r", "é", "x:token"])
)


def rows_of(separator: str) -> st.SearchStrategy[bytes]:
    row = st.lists(cell, max_size=4).map(separator.join)
    return st.lists(row, max_size=6).map("\n".join).map(str.encode)


def read_or_refuse(name: str, content: bytes, read) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / name
        put(Path(folder))
        path.write_bytes(content)
        try:
            data = read(path)
        except DataError as error:
            assert "\n" not in str(error)
        else:
            assert data.items.min() >= 1 and data.items.max() <= data.num_items


@FAST
@given(st.binary(max_size=50) | rows_of("\t"), st.booleans())
def test_any_inter_file_is_read_or_refused_in_one_line(content, header):
    content = INTER.splitlines()[0].encode() + b"\n" + content if header else content
    read_or_refuse("m.inter", content, lambda path: read_recbole(path, "class", 0))


@FAST
@given(st.binary(max_size=50) | rows_of("\t"), st.booleans())
def test_any_item_file_is_read_or_refused_in_one_line(content, header):
    content = b"item_id:token\tclass:token_seq\n" + content if header else content
    read_or_refuse("m.item", content, lambda path: read_recbole(path.with_suffix(".inter"), "class", 0))


@FAST
@given(st.binary(max_size=50) | rows_of(","), st.booleans())
def test_any_csv_file_is_read_or_refused_in_one_line(content, header):
    content = b"user,item,time\n" + content if header else content
    read_or_refuse("m.csv", content, lambda path: read_interactions(path, k_core=0))
