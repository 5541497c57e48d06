"""Images made by other programs: mmdebstrap and buildah make them, skopeo pushes them.

They are made once a machine and kept as OCI archives in SCOW_TEST_CACHE (default /var/cache/scow-tests); what they are
made of is part of their names, so a change makes new ones.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.busybox import rootfs_tar
from tests.support.registry import Registry
from tests.support.tls import Authority, Identity

CACHE = Path(os.environ.get("SCOW_TEST_CACHE", "/var/cache/scow-tests"))
PAGE = "<h1>nginx in scow</h1>\n"

# $DIR is a scratch folder, $B buildah with storage of its own in it.
_PRELUDE = """
set -euo pipefail
B() { buildah --root $DIR/storage --runroot $DIR/run --storage-driver vfs "$@"; }
export BUILDAH_ISOLATION=chroot
"""

_BUSYBOX = """
c=$(B from scratch)
B add -q $c $DIR/rootfs.tar /
B config --cmd sh --env PATH=/bin --label made.by=buildah $c
B commit -q $c busybox
"""

# Four layers: a Debian with nginx; files removed, changed and linked; a directory made anew (opaque); a page.
_NGINX = f"""
mmdebstrap --quiet --variant=minbase --include=nginx-light,attr \\
    --dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/locale/* \\
    --dpkgopt=path-exclude=/usr/share/man/* bookworm $DIR/base.tar
c=$(B from scratch)
B add -q $c $DIR/base.tar /
B commit -q $c base
c=$(B from base)
B run $c -- sh -c 'rm -rf /var/lib/apt /var/cache/apt /etc/nginx/sites-enabled/default
    echo linked > /opt/one && ln /opt/one /opt/two
    echo attributes > /etc/with-xattr && setfattr -n user.scow -v yes /etc/with-xattr
    cp /bin/cat /usr/local/bin/setuid-cat && chmod 4755 /usr/local/bin/setuid-cat
    mkdir -p /opt/opaque && touch /opt/opaque/hidden
    chown 33:33 /opt/opaque'
B commit -q $c second
c=$(B from second)
B run $c -- sh -c 'rm -rf /opt/opaque && mkdir /opt/opaque && touch /opt/opaque/shown
    rm /etc/nginx/mime.types.save 2>/dev/null; rm -f /usr/local/bin/unwanted /etc/issue.net'
B commit -q $c third
c=$(B from third)
B run $c -- sh -c "mkdir -p /var/www && echo '{PAGE.strip()}' > /var/www/index.html
    printf '%s\\n' 'daemon off;' 'error_log /dev/stderr;' 'events {{ worker_connections 64; }}' \\
        'http {{ access_log /dev/stdout; server {{ listen 80; root /var/www; }} }}' > /etc/nginx/nginx.conf"
B config --entrypoint '["/usr/sbin/nginx"]' --cmd '' --port 80 --volume /var/www --stop-signal SIGQUIT $c
B commit -q $c nginx
"""

# As Debian released them, and with what it mended since: the upgrade that people make.
_DATABASES = """
mmdebstrap --quiet --variant=minbase --include=postgresql-15,redis-server \\
    --dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/locale/* \\
    --dpkgopt=path-exclude=/usr/share/man/* \\
    --customize-hook='rm -rf "$1/var/lib/postgresql/15" "$1/etc/postgresql/15"' \\
    bookworm $DIR/base.tar "deb http://deb.debian.org/debian bookworm main"
c=$(B from scratch)
B add -q $c $DIR/base.tar /
B config --env PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin --env LANG=C.UTF-8 $c
B commit -q $c databases
"""
_MENDED = """
c=$(B from databases)
B run $c -- sh -c '
    echo deb http://deb.debian.org/debian-security bookworm-security main > /etc/apt/sources.list.d/security.list
    apt-get -q update && apt-get -qy install --only-upgrade postgresql-15 redis-server
    rm -rf /var/lib/apt/lists/* /var/cache/apt/*'
B commit -q $c mended
"""


# A Debian in which apt finds its lists and the packages of the corpus (tests/support/dockerfiles) already downloaded:
# building them is what takes time, and not the network.
_DEBIAN = """
cat > $DIR/fill <<'END'
#!/bin/sh -e
apt="chroot $1 apt-get -qq -y --no-install-recommends"
$apt --download-only install nginx-light redis-server postgresql-15 python3 python3-venv make
rm -f $1/var/cache/apt/*.bin
END
chmod +x $DIR/fill
mmdebstrap --quiet --variant=minbase --include=ca-certificates,curl,gcc,libc6-dev,nodejs,npm \\
    --skip=cleanup/apt --customize-hook=$DIR/fill \\
    --dpkgopt=path-exclude=/usr/share/doc/* --dpkgopt=path-exclude=/usr/share/locale/* \\
    --dpkgopt=path-exclude=/usr/share/man/* bookworm $DIR/base.tar
c=$(B from scratch)
B add -q $c $DIR/base.tar /
B config --cmd bash --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin $c
B commit -q $c debian
"""


def busybox() -> Path:
    """Return the archive of a busybox image of one layer."""
    return _archive("busybox", _BUSYBOX)


def nginx() -> Path:
    """Return the archive of an nginx image of four layers on a Debian base."""
    return _archive("nginx", _NGINX)


def databases() -> Path:
    """Return the archive of an image with postgresql 15 and redis, as Debian released them."""
    return _archive("databases", _DATABASES)


def mended_databases() -> Path:
    """Return the archive of the same image, with what Debian mended of both since as a further layer."""
    return _archive("mended", _DATABASES + _MENDED)


def debian() -> Path:
    """Return the archive of a Debian with compilers, Node, and packages to be installed."""
    return _archive("debian", _DEBIAN)


def _archive(name: str, script: str) -> Path:
    key = hashlib.sha256((_PRELUDE + script).encode() + rootfs_tar()).hexdigest()[:12]
    path = CACHE / f"{name}-{key}.oci.tar"
    CACHE.mkdir(parents=True, exist_ok=True)
    with _locked(CACHE / f"{name}.lock"):
        if not path.exists():
            _build(name, script, path)
    return path


def _build(name: str, script: str, path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="scow-image-", dir="/var/tmp") as folder:
        (Path(folder) / "rootfs.tar").write_bytes(rootfs_tar())
        partial = Path(folder) / "result.tar"
        done = subprocess.run(
            ["bash", "-c", f"{_PRELUDE}{script}\nB push -q {name} oci-archive:{partial}:{name}"],
            env={**os.environ, "DIR": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"making the image {name}: {done.stdout}{done.stderr}"
        moved = path.with_suffix(".partial")
        moved.write_bytes(partial.read_bytes())
        moved.rename(path)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process makes an image, the others wait."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def push_with(
    authority: Authority, client: Identity | None, archive: Path, registry: Registry, name: str
) -> None:
    """Copy an archive to a registry that does TLS."""
    with tempfile.TemporaryDirectory(prefix="scow-certs-") as folder:
        shutil.copy(authority.own.certificate_file, f"{folder}/ca.crt")
        if client is not None:
            shutil.copy(client.certificate_file, f"{folder}/client.cert")
            shutil.copy(client.key_file, f"{folder}/client.key")
        source, target = f"oci-archive:{archive}", f"docker://{registry.address}/{name}"
        done = subprocess.run(
            ["skopeo", "copy", "-q", f"--dest-cert-dir={folder}", source, target],
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr


def push(archive: Path, registry: Registry, name: str, *, credentials: str = "") -> str:
    """Copy an archive to a registry with skopeo; return the complete reference."""
    reference = f"{registry.address}/{name}"
    login = [f"--dest-creds={credentials}"] if credentials else []
    source = f"oci-archive:{archive}"
    done = subprocess.run(
        [
            "skopeo",
            "copy",
            "-q",
            "--dest-tls-verify=false",
            *login,
            source,
            f"docker://{reference}",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return reference
