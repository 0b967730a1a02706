"""Files of one JSON object per line."""

import math

import pytest

from energylens.errors import InputError
from energylens.harness.jsonl import read_lines, to_line, write_lines

SEPARATOR = "before\u2028after\x85end"
"""Line ends of Unicode, which JSON leaves as they are and `str.splitlines` takes for ends of lines."""


def has_name(value):
    return "name" in value


def test_what_is_written_is_read_again_whatever_the_text(tmp_path):
    path = tmp_path / "some" / "names.jsonl"
    values = [{"name": SEPARATOR}, {"name": "\ud800"}, {"name": math.nan, "more": [1, 2.5]}]
    write_lines(path, values)
    assert read_lines(path, "name", has_name) == [*values[:2], {"name": "NaN", "more": [1, 2.5]}]
    assert path.read_bytes() == b"".join(map(to_line, values))


def test_no_file_holds_no_lines(tmp_path):
    assert read_lines(tmp_path / "none.jsonl", "name", has_name) == []


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (b"<<<<<<< HEAD", "names.jsonl, line 2 is not JSON: Expecting value"),
        (b'{"name": "\xff"}', "names.jsonl, line 2 is not JSON: 'utf-8' codec"),
        (b"[1]", r"names.jsonl, line 2 is no name: '\[1\]'"),
        (b'{"nam": 1}', "names.jsonl, line 2 is no name: "),
    ],
)
def test_any_other_line_is_named(tmp_path, second, said):
    path = tmp_path / "names.jsonl"
    path.write_bytes(b'{"name": 1}\n' + second + b"\n")
    with pytest.raises(InputError, match=said):
        read_lines(path, "name", has_name)
