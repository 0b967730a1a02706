import json

import pytest

from energylens.errors import InputError
from energylens.harness.trust_file import read_trust
from energylens.trust.record import measure_trust, record_trust


def test_sections_are_kept_side_by_side_and_replaced(tmp_path):
    path = tmp_path / "trust.json"
    assert read_trust(path) == {}
    record_trust(path, "store", lambda: {"kills": 1}, tmp_path)
    record_trust(path, "sabotage", lambda: {"noticed": 2}, tmp_path)
    record_trust(path, "store", lambda: {"kills": 3}, tmp_path)
    found = read_trust(path)
    assert {name: each["numbers"] for name, each in found.items()} == {
        "store": {"kills": 3},
        "sabotage": {"noticed": 2},
    }
    assert {"started", "seconds", "commit", "dirty", "cpu"} <= set(found["store"])


def test_a_measurement_that_fails_leaves_what_there_was(tmp_path):
    path = tmp_path / "trust.json"
    record_trust(path, "store", lambda: {"kills": 1}, tmp_path)
    with pytest.raises(ZeroDivisionError):
        record_trust(path, "store", lambda: {"kills": 1 // 0}, tmp_path)
    assert read_trust(path)["store"]["numbers"] == {"kills": 1}


@pytest.mark.parametrize(
    "content", ["{", json.dumps([1]), json.dumps({"store": 3}), json.dumps({"store": {}})]
)
def test_another_file_is_refused(tmp_path, content):
    path = tmp_path / "trust.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"trust\.json"):
        read_trust(path)


def test_an_unknown_section_is_refused():
    with pytest.raises(InputError, match="'nix'"):
        measure_trust("nix", print)
