"""COPY and ADD as steps: paths made absolute, remote sources told from local ones, flags checked."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from scow.build.frontend.steps import ContextSource, CopyStep, File, Source
from scow.words.dockerfile import syntax
from scow.words.dockerfile.problem import Problem

_OCTAL_MAX = 0o7777
_SYMBOLIC = re.compile(r"[ugoa]*(?:[-+=](?:[rwxXst]*|[ugo]))+")
_GIT_SCP = re.compile(r"[A-Za-z0-9_-]+@[A-Za-z0-9_.-]+:[^:].*")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_COMMIT = re.compile(r"[0-9a-f]{7,40}|[0-9a-f]{64}")
_HTTP = ("http://", "https://")
_GIT = ("git://", "ssh://")


@dataclass(frozen=True)
class Place:
    """Where a COPY or ADD happens.

    Attributes:
        source: What its paths are relative to.
        workdir: Working directory, absolute.
        title: For people.
        from_on_build: Whether a base image's trigger does it.
    """

    source: Source
    workdir: str
    title: str
    from_on_build: bool


def is_remote(source: str) -> bool:
    """Tell whether a source of ADD is a URL or a git repository."""
    return source.startswith((*_HTTP, *_GIT)) or _GIT_SCP.fullmatch(source) is not None


def is_git(source: str) -> bool:
    """Tell whether a remote source is a git repository rather than a file."""
    if source.startswith(_HTTP):
        return source.partition("#")[0].partition("?")[0].endswith(".git")
    return is_remote(source)


def step(found: syntax.Copy | syntax.Add, place: Place) -> CopyStep:
    """Return the step of an instruction whose words are replaced.

    Raises:
        Problem: Flags, sources or the destination that do not fit.
    """
    remotes = tuple(source for source in found.sources if is_remote(source))
    paths = tuple(source for source in found.sources if not is_remote(source))
    is_add = isinstance(found, syntax.Add)
    if remotes and not is_add:
        raise _at(found, remotes[0], f"COPY cannot fetch {remotes[0][:80]!r}", "write ADD")
    _check(found, remotes)
    parents = isinstance(found, syntax.Copy) and found.keeps_parents
    return CopyStep(
        found.span,
        place.title,
        place.source if paths else ContextSource(),
        tuple(_parted(path) if parents else _path(path) for path in paths),
        _destination(found, place.workdir),
        remotes,
        tuple(_file(found, document) for document in found.documents),
        found.chown,
        found.chmod,
        is_add,
        found.is_linked,
        parents,
        found.exclude,
        found.checksum if isinstance(found, syntax.Add) else "",
        found.unpacks if isinstance(found, syntax.Add) else None,
        found.keeps_git_dir if isinstance(found, syntax.Add) else None,
        from_on_build=place.from_on_build,
    )


def _at(found: syntax.Transfer, word: str, message: str, do: str) -> Problem:
    return Problem(message, do, max(found.span.text.find(word), 0))


def _check(found: syntax.Copy | syntax.Add, remotes: tuple[str, ...]) -> None:
    if not all(found.sources) or not found.destination:
        raise Problem(
            "a source or the destination is empty",
            "set the variables in it, or write . for the directory",
        )
    if found.chmod and not is_mode(found.chmod):
        raise _at(
            found,
            "--chmod",
            f"invalid mode {found.chmod[:40]!r}",
            "write it octal, up to 7777, or symbolic: 755, u=rwX,go=rX",
        )
    if not isinstance(found, syntax.Add) or not found.checksum:
        return
    if len(found.sources) != 1 or not remotes:
        raise _at(
            found,
            "--checksum",
            "--checksum is for one remote source",
            "write an ADD for each source",
        )
    wanted = _COMMIT if is_git(remotes[0]) else _CHECKSUM
    if not wanted.fullmatch(found.checksum):
        raise _at(
            found,
            "--checksum",
            f"invalid checksum {found.checksum[:80]!r}",
            "write the commit" if wanted is _COMMIT else "write sha256: and 64 hexadecimal digits",
        )


def is_mode(text: str) -> bool:
    """Tell whether a text is a mode for --chmod, octal or symbolic."""
    if text.isascii() and text.isdecimal():
        return not text.strip("01234567") and len(text) < 12 and int(text, 8) <= _OCTAL_MAX
    return all(_SYMBOLIC.fullmatch(part) for part in text.split(","))


def _path(text: str) -> str:
    """Return a source relative to the root that it cannot leave; the root itself is "."."""
    return posixpath.normpath("/" + text).lstrip("/") or "."


def _parted(text: str) -> str:
    """Return a source of `--parents` as PARENT/./PATTERN; without a pivot the parent is the root."""
    parent, pivot, pattern = text.partition("/./")
    if not pivot:
        parent, pattern = "", text
    return f"{_path(parent)}/./{_path(pattern)}"


def _destination(found: syntax.Transfer, workdir: str) -> str:
    """Return the absolute destination; one that ends in a slash is a directory."""
    text = found.destination
    path = "/" + posixpath.normpath(posixpath.join(workdir, text)).lstrip("/")
    is_directory = text.endswith("/") or posixpath.basename(text) in (".", "..")
    several = len(found.sources) + len(found.documents) > 1
    if several and not is_directory:
        raise _at(
            found,
            text,
            f"there are several sources, and the destination {text[:40]!r} is not a directory",
            f"write {text[:40]}/",
        )
    return path if path == "/" or not is_directory else f"{path}/"


def _file(found: syntax.Transfer, document: syntax.Heredoc) -> File:
    """Return a here-document as a file, whose name leads nowhere."""
    if not is_file_name(document.name):
        raise _at(
            found,
            document.name,
            f"{document.name[:40]!r} is not the name of a file",
            "give the here-document a name without slashes",
        )
    return File(document.name, document.body)


def is_file_name(name: str) -> bool:
    """Tell whether a here-document can be a file of its name."""
    return name not in (".", "..") and "/" not in name and len(name.encode()) <= 255
