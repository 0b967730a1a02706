"""Files of past commits, read from git without checking anything out."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from energylens.errors import InputError


@dataclass(frozen=True)
class Commit:
    """A commit and when it was made (UTC or with its offset, ISO 8601)."""

    hash: str
    at: str


class Repository:
    """The git repository that a folder is in, used in a `with` statement; paths are relative to the folder.

    Raises InputError outside of a repository, and where git can't be run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        inside = self._git("rev-parse", "--show-prefix")
        if inside.returncode:
            raise InputError(
                f"{folder.resolve()} is not in a git repository: there is no history to look through"
            )
        self._prefix = inside.stdout.decode().rstrip("\n")
        self._reading = subprocess.Popen(
            ["git", "cat-file", "--batch"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> "Repository":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reading.communicate()

    def commits(self, *paths: str) -> list[Commit]:
        """Commits that touched any of these files, the oldest first, along first parents of merges."""
        done = self._git("log", "--first-parent", "--reverse", "--format=%H %cI", "--", *paths)
        return [Commit(*line.split()) for line in done.stdout.decode().splitlines()]

    def files(self, commit: Commit) -> set[str]:
        """Every file below the folder, as it was in this commit."""
        done = self._git("ls-tree", "-r", "-z", "--name-only", commit.hash)
        return set(done.stdout.decode(errors="surrogateescape").split("\0"))

    def read(self, commit: Commit, path: str) -> bytes | None:
        """Content of a file as it was in this commit; None where there was no such file."""
        if "\n" in path:
            return None
        assert self._reading.stdin
        assert self._reading.stdout
        self._reading.stdin.write(f"{commit.hash}:{self._prefix}{path}\n".encode(errors="surrogateescape"))
        self._reading.stdin.flush()
        *_, kind, size = [b"", b"", *self._reading.stdout.readline().split()]
        if not size.isdigit():
            return None
        content = self._reading.stdout.read(int(size) + 1)[:-1]
        return content if kind == b"blob" else None

    def _git(self, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        try:
            return subprocess.run(["git", *arguments], cwd=self.folder, capture_output=True, check=False)
        except OSError as error:
            raise InputError(f"git can't be run to look through the history: {error}") from None


def first_with(commits: list[Commit], repository: Repository, path: str) -> Iterator[Commit]:
    """The commits from the first one on that holds this file."""
    found = False
    for commit in commits:
        found = found or repository.read(commit, path) is not None
        if found:
            yield commit
