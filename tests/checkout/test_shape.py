"""The package keeps its promise: the subject can be read in an evening, and the README says how."""

from pathlib import Path

import pytest

from tools import reading

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(reading.PACKAGE.glob("*.py"))


def test_the_subject_has_at_most_2000_lines():
    assert sum(reading.count_lines(path) for path in MODULES) <= 2_000


def test_the_rooms_around_it_do_not_grow():
    assert reading.count_lines(reading.PACKAGE) <= 14_900, "the aim is 10,000: say it once, or do less"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_of_the_subject_is_long(path):
    assert reading.count_lines(path) <= (260 if path.stem == "plain" else 280)


def test_the_reading_order_names_every_module_of_the_subject_once():
    assert sorted(reading.ORDER) == [path.stem for path in MODULES if not path.stem.startswith("__")]


def test_every_room_has_a_catalogue_that_names_its_modules():
    rooms = sorted(path.parent.name for path in reading.PACKAGE.glob("*/__init__.py"))
    assert sorted(reading.ROOMS) == rooms
    for room in rooms:
        text = (reading.PACKAGE / room / "__init__.py").read_text(encoding="utf-8").split('"""')[1]
        modules = [path.stem for path in (reading.PACKAGE / room).glob("*.py") if path.stem != "__init__"]
        assert [name for name in modules if name not in text] == [], room


def test_a_module_imports_only_what_was_read_before_it():
    names = list(reading.ORDER)
    assert names[:2] == ["plain", "data"]  # plain stands alone but for the data structure, and comes first all the same
    for number, name in enumerate(names[1:], start=1):
        source = (reading.PACKAGE / f"{name}.py").read_text(encoding="utf-8")
        later = [other for other in names[number:] if f"from s3rec_lite.{other} import" in source]
        assert later == [], name


def test_the_docstring_holds_the_reading_order():
    source = (reading.PACKAGE / "__init__.py").read_text(encoding="utf-8")
    assert reading.with_order(source) == source, "run `make readme`"
