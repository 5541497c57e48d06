"""Whether this kernel does what the driver "erofs" needs, found out by doing it.

It must be done where the layers will be: EROFS mounts no files of some file systems, tmpfs among them.

    python -m scow.image.layers.drivers.probe [--config FILE]

Mounting takes CAP_SYS_ADMIN, which the image service does not have where it is a unit of its own. There systemd runs
this module before it, with all capabilities, and the service reads what it wrote into the run directory.
"""

from __future__ import annotations

import errno
import io
import json
import os
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scow.contract.errors import ScowError
from scow.core.archive.read.streams import TarStream
from scow.core.server import load_config
from scow.image.layers.erofs import INDEX, TAR
from scow.image.layers.erofs.collect import Collector
from scow.image.layers.erofs.write import write
from scow.kernel import syscalls
from scow.kernel.trees import remove_tree

_NAME = "image-kernel.json"
_PREFIX = "probe-"
_FILE = "file"
_TEXT = b"scow"


def erofs(base: Path, run: Path) -> str:
    """Return why the driver does not work here; nothing when it does.

    Args:
        base: The image service's folder.
        run: The run directory, where a process with more capabilities may have left its result.
    """
    why = _try(base)
    if why is not None:
        return why
    try:
        found: str = json.loads((run / _NAME).read_text())["erofs"]
    except (OSError, ValueError, KeyError):
        return "this process may not mount, and nobody has found out for it"
    return found


def _try(base: Path) -> str | None:
    """Mount a layer and an overlay over it; return what failed, None when this process may not mount."""
    for left in base.glob(f"{_PREFIX}*"):  # by one that was killed
        remove_tree(left)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=base) as name:
        folder = Path(name)
        _make_layer(folder)
        (folder / "lower").mkdir()
        try:
            _mount(folder)
        except PermissionError:
            return None
        except OSError as error:
            if error.errno == errno.ENOTBLK:
                return "this kernel mounts no EROFS on files, or on none of this file system"
            return f"this kernel refuses it: {os.strerror(error.errno or 0)}"
    return ""


def _make_layer(folder: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo(_FILE)
        info.size = len(_TEXT)
        tar.addfile(info, io.BytesIO(_TEXT))
    (folder / TAR).write_bytes(stream.getvalue())
    plain = TarStream(iter([stream.getvalue()]), stream.tell())
    root = Collector(plain, 1).run()
    _, size = plain.finish()
    with (folder / TAR).open("rb") as tar_file, (folder / INDEX).open("xb") as index:
        write(root, size, index.fileno(), tar_file.fileno())


def _mount(folder: Path) -> None:
    """Mount, attached nowhere, and read the file."""
    source = (("source", str(folder / INDEX)), ("device", str(folder / TAR)))
    layer = _mounted("erofs", source)
    try:
        lower = os.open(folder / "lower", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            options = (("lowerdir+", layer), ("lowerdir+", lower), ("userxattr", None))
            overlay = _mounted("overlay", options)
        finally:
            os.close(lower)
    finally:
        os.close(layer)
    try:
        descriptor = os.open(_FILE, os.O_RDONLY | os.O_CLOEXEC, dir_fd=overlay)
        with open(descriptor, "rb") as file:
            if file.read() != _TEXT:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
    finally:
        os.close(overlay)


def _mounted(kind: str, options: Sequence[tuple[str, str | int | None]]) -> int:
    """Mount a file system, attached nowhere; return its descriptor. Options have a text, a descriptor or no value."""
    context = syscalls.fsopen(kind)
    try:
        for key, value in options:
            if isinstance(value, int):
                syscalls.fsconfig_fd(context, key, value)
            elif value is None:
                syscalls.fsconfig(context, syscalls.FSCONFIG_SET_FLAG, key)
            else:
                syscalls.fsconfig(context, syscalls.FSCONFIG_SET_STRING, key, value)
        syscalls.fsconfig(context, syscalls.FSCONFIG_CMD_CREATE)
        return syscalls.fsmount(context, 0)
    finally:
        os.close(context)


def main() -> int:
    """Write the result down for the image service."""
    try:
        config = load_config("scow.image.layers.drivers.probe", sys.argv[1:])
    except ScowError as error:
        print(error, file=sys.stderr)  # noqa: T201  there is no log yet
        return 1
    base = config.data("image")
    base.mkdir(parents=True, exist_ok=True, mode=0o711)
    config.run.mkdir(parents=True, exist_ok=True, mode=0o750)
    temporary = config.run / f"{_NAME}.new"
    temporary.write_text(json.dumps({"erofs": erofs(base, config.run)}))
    temporary.rename(config.run / _NAME)
    return 0


if __name__ == "__main__":
    sys.exit(main())
