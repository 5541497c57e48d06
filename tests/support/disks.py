"""Block devices of files, for tests of file systems."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def loop_device(image: Path, size: int, make: Sequence[str]) -> Iterator[str]:
    """Give the path of a device with a file system.

    Args:
        image: The file that it is made of.
        size: Bytes.
        make: The command that makes the file system, without the device: ["mkfs.ext4", "-q"].
    """
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run([*make, str(image)], check=True, capture_output=True)
    command = ["losetup", "--show", "-f", str(image)]
    name = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    try:
        yield name
    finally:
        subprocess.run(["losetup", "-d", name], check=True)
