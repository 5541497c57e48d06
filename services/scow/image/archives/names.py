"""Names in archives: what an entry is called, and what a link in it leads to."""

from __future__ import annotations

from scow.core.archive.read.faults import hostile

# A longer one means nothing in an archive of images.
_NAME_MAX = 4096


def clean(name: bytes) -> str:
    """Return an entry's name without "./", "" of the root.

    Raises:
        Fault: It leads out of the archive.
    """
    if name.startswith(b"/"):
        raise hostile("an entry has an absolute name", name)
    return _joined([], name, name)


def target(name: bytes, link: bytes, *, is_symlink: bool) -> str:
    """Return what a link leads to; a symlink counts from its own folder, a hard link from the root.

    Raises:
        Fault: It leads out of the archive.
    """
    if link.startswith(b"/"):
        raise hostile("a link leads out of the archive", name)
    start = clean(name).split("/")[:-1] if is_symlink else []
    return _joined(start, link, name)


def _joined(start: list[str], path: bytes, name: bytes) -> str:
    parts = list(start)
    if len(path) > _NAME_MAX:
        raise hostile("an entry has a name that is too long", name[:64])
    for part in path.decode("utf-8", "backslashreplace").split("/"):
        if part == "..":
            if not parts or not start:
                raise hostile("an entry leads out of the archive", name)
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
