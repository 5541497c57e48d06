"""Wildcards in sources of COPY: Go's filepath.Match, a component at a time (`scow.words.match`)."""

from __future__ import annotations

import os

from scow.build.context.files import FileTree
from scow.contract.errors import InvalidArgument
from scow.words.match import BadPatternError, Pattern, has_wildcards


def is_pattern(path: bytes) -> bool:
    """Tell whether a path has wildcards."""
    return has_wildcards(os.fsdecode(path))


def literal_start(path: bytes) -> bytes:
    """Return the directory up to the first component with a wildcard."""
    parts = []
    for part in path.split(b"/"):
        if is_pattern(part):
            break
        parts.append(part)
    return b"/".join(parts)


def expand(tree: FileTree, pattern: bytes) -> list[bytes]:
    """Return the paths of a tree that a pattern matches, sorted. Links of directories are followed.

    Raises:
        InvalidArgument: The pattern is malformed.
    """
    start = literal_start(pattern)
    found = [start]
    for part in pattern[len(start) :].split(b"/"):
        if part in (b"", b"."):
            continue
        further = []
        for path in found:
            directory = tree.follow(path)
            if directory is None or not directory.is_directory:
                continue
            for name in _names(tree, directory.path, part):
                inside = directory.path + b"/" + name if directory.path else name
                if inside in tree.entries or part == b"..":
                    further.append(inside)
        found = further
    return sorted(set(found))


def _names(tree: FileTree, directory: bytes, part: bytes) -> list[bytes]:
    if not is_pattern(part):
        return [part]
    try:
        wanted = Pattern(os.fsdecode(part))
    except BadPatternError as error:
        raise InvalidArgument(
            str(error), what="pattern", which=os.fsdecode(part), do="mend it"
        ) from None
    return [name for name in tree.names(directory) if wanted.matches(os.fsdecode(name))]
