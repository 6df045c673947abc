"""Records: what they look like in a file, and what is said about a file that is none."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from s3rec_lite.datasets import planted
from s3rec_lite.runs.records import history_columns, make_record, read_records, to_json, write_record
from s3rec_lite.support.errors import DataError, SettingError

DATA = planted(num_users=40, num_items=120, length=9)


def test_records_are_plain_json_with_lists_on_one_line(tmp_path):
    history = pd.DataFrame({"epoch": [1, 2], "loss": [math.pi, 2.0]})
    record = make_record("my data/1", "run", DATA, history=history_columns(history), n=np.int64(3), x=np.float32(0.5))
    path = write_record(record, tmp_path)
    assert path.name == "my-data-1.json"
    assert '"loss": [3.14159, 2]' in path.read_text()
    assert read_records(tmp_path)[0]["n"] == 3
    assert json.loads(to_json({"a": {}, "b": [], "c": {"d": [1.5, None]}})) == {
        "a": {},
        "b": [],
        "c": {"d": [1.5, None]},
    }


@pytest.mark.parametrize(
    ("content", "named"),
    [("{\n\n nonsense", "line 3"), ("[1]", "not a record"), ('{"kind": "x"}', "not a record"), ("\xff", "bad")],
)
def test_a_broken_record_is_named(tmp_path, content, named):
    (tmp_path / "bad.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=named):
        read_records(tmp_path)


def test_an_unknown_kind_is_refused():
    with pytest.raises(SettingError, match="bench-pretrain"):
        make_record("x", "bench", DATA)
