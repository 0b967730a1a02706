import json
import subprocess

import pytest

from energylens.errors import InputError
from energylens.harness.compare.revision import results_of

RESULTS = {"schema": 1, "started": "now", "provenance": {}, "claims": [], "verdicts": []}


def git(folder, *arguments):
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two commits of reports/results.json, the second also elsewhere; the working tree has a third."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "reports").mkdir()
    git(tmp_path, "init", "-q")
    for started in ("first", "second", "uncommitted"):
        (tmp_path / "reports" / "results.json").write_text(json.dumps(RESULTS | {"started": started}))
        if started != "uncommitted":
            (tmp_path / "other.json").write_text(json.dumps(RESULTS | {"started": f"other {started}"}))
            (tmp_path / "old.json").write_text('{"schema": 7}')
            (tmp_path / "text.txt").write_text("no JSON")
            git(tmp_path, "add", ".")
            git(tmp_path, "commit", "-q", "-m", started)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "started"),
    [
        ("reports/results.json", "uncommitted"),
        ("HEAD", "second"),
        ("HEAD~1", "first"),
        ("HEAD~1:other.json", "other first"),
        ("HEAD:", "second"),
    ],
)
def test_files_and_revisions_are_found(repository, name, started):
    assert results_of(name)["started"] == started


def test_a_revision_is_found_from_a_folder_below(repository, monkeypatch):
    monkeypatch.chdir(repository / "reports")
    assert results_of("HEAD")["started"] == "second"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nowhere.json", "'nowhere.json' is neither a file nor a git revision"),
        ("HEAD~9", "'HEAD~9' is neither"),
        ("HEAD:gone.json", "'HEAD:gone.json' is not there: .*gone.json"),
        ("text.txt", "text.txt is not JSON"),
        ("HEAD:text.txt", "HEAD:text.txt is not JSON"),
        ("HEAD:old.json", "HEAD:old.json has schema 7, this version reads 1"),
        ("", "'' is neither"),
        ("--output=written", "'--output=written' is neither"),
    ],
)
def test_what_is_no_run_is_said_in_one_line(repository, name, said):
    with pytest.raises(InputError, match=said) as error:
        results_of(name)
    assert "\n" not in str(error.value)
    assert not list(repository.glob("written*"))


def test_json_of_the_right_schema_that_is_no_run_is_refused(repository):
    (repository / "empty.json").write_text('{"schema": 1, "claims": []}')
    with pytest.raises(InputError, match=r"'empty.json' tells no provenance, verdicts"):
        results_of("empty.json")


def test_outside_of_a_repository_a_revision_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(
        InputError, match=f"'HEAD' is no file, and no revision either: {tmp_path} is not in a git"
    ):
        results_of("HEAD")


def test_without_git_a_file_is_still_read(repository, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert results_of("other.json")["started"] == "other second"
    with pytest.raises(InputError, match="git can't be run"):
        results_of("HEAD")
