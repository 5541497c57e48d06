"""A small image from Debian's busybox-static, as a tar of a root file system."""

from __future__ import annotations

import io
import tarfile
from functools import cache
from pathlib import Path

from tests.support.engine import Engine

_BUSYBOX = Path("/bin/busybox")
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    "app:x:1000:1000:app:/home/app:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\napp:x:1000:\nextra:x:2000:app\n",
}
_APPLETS = (
    "sh ash ls cat echo true false sleep id env pwd touch rm mkdir mount umount ps kill httpd nc wget "
    "hostname ip ifconfig ping grep head tail wc seq dd date stat chmod chown find timeout nslookup "
    "unshare mknod test printf stty tty yes sed tr cut sort readlink ln cp mv df free top trap awk"
)


@cache
def rootfs_tar() -> bytes:
    """Return the tar."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, mode in (
            ("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("var", 0o755),
            ("var/www", 0o755), ("proc", 0o555), ("sys", 0o555), ("dev", 0o755), ("home", 0o755),
        ):  # fmt: skip
            tar.addfile(_entry(name, tarfile.DIRTYPE, mode))
        home = _entry("home/app", tarfile.DIRTYPE, 0o755)
        home.uid = home.gid = 1000
        tar.addfile(home)
        program = _entry("bin/busybox", tarfile.REGTYPE, 0o755)
        data = _BUSYBOX.read_bytes()
        program.size = len(data)
        tar.addfile(program, io.BytesIO(data))
        for applet in _APPLETS.split():
            link = _entry(f"bin/{applet}", tarfile.SYMTYPE, 0o777)
            link.linkname = "busybox"
            tar.addfile(link)
        for name, text in _FILES.items():
            file = _entry(name, tarfile.REGTYPE, 0o644)
            file.size = len(text)
            tar.addfile(file, io.BytesIO(text.encode()))
    return stream.getvalue()


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.mode = mode
    return entry


def import_busybox(engine: Engine) -> None:
    """Give an engine the image `busybox`."""
    engine.cli("import", "--change", 'CMD ["sh"]', "-", "busybox", stdin=rootfs_tar())
