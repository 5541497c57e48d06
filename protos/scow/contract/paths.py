"""Absolute paths in containers, as all sides compare them."""

from __future__ import annotations

import posixpath


def shortest(path: str) -> str:
    """Return an absolute path without what changes nothing: "." and "..", and slashes beyond one.

    `posixpath.normpath` alone keeps two slashes at the beginning, as POSIX lets them mean something; Linux does not.
    Links are not looked at.
    """
    return posixpath.normpath("/" + path.lstrip("/"))
