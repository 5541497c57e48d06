"""A volume plugin that really mounts: `python volumeplugin.py SOCKET FOLDER`, Docker's protocol over a unix socket.

Each volume is a folder below FOLDER that is mounted on another one while somebody has it. What the plugin is told is
written to FOLDER/calls; FOLDER/behaviour has what it does wrong (`_ANSWERS`, "hang", "crash"), and the method.

Example::

    with VolumePlugin(folder, "tmp") as plugin:
        plugin.misbehave("hang", "VolumeDriver.Mount")
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_ANSWERS: dict[str, tuple[int, bytes]] = {
    "rubbish": (200, b"\xff\x00 no json"),
    "array": (200, b"[1, 2]"),
    "huge": (200, b" " * (5 << 20) + b"{}"),
    "status": (500, b'{"Err": "it is not my day"}'),
    "list": (200, b'{"Volumes": [{"Nome": 1}]}'),
    "path": (200, b'{"Mountpoint": "../../etc"}'),
    "nowhere": (200, b'{"Mountpoint": ""}'),
    "kind": (200, b'{"Implements": ["authz"]}'),
}


def _is_mounted(path: str | Path) -> bool:
    """Tell whether a path is a mount point; os.path.ismount does not know those of one file system."""
    with open("/proc/self/mountinfo") as file:
        return any(line.split(" ")[4] == str(path) for line in file)


class _Volumes:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "volumes").mkdir(parents=True, exist_ok=True)
        self._users: dict[str, set[str]] = {}

    def mountpoint(self, name: str) -> str:
        return str(self.folder / "volumes" / name / "mount")

    def names(self) -> list[str]:
        return sorted(os.listdir(self.folder / "volumes"))

    def create(self, name: str) -> None:
        for part in ("mount", "kept"):
            (self.folder / "volumes" / name / part).mkdir(parents=True, exist_ok=True)

    def mount(self, name: str, user: str) -> str:
        users = self._users.setdefault(name, set())
        place = self.mountpoint(name)
        if not users and not _is_mounted(place):
            kept = str(self.folder / "volumes" / name / "kept")
            subprocess.run(["mount", "--bind", kept, place], check=True)
        users.add(user)
        return place

    def unmount(self, name: str, user: str) -> None:
        users = self._users.setdefault(name, set())
        users.discard(user)
        if not users and _is_mounted(self.mountpoint(name)):
            subprocess.run(["umount", "-l", self.mountpoint(name)], check=True)

    def remove(self, name: str) -> None:
        shutil.rmtree(self.folder / "volumes" / name)


class _Handler(http.server.BaseHTTPRequestHandler):
    volumes: _Volumes

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        method = self.path.lstrip("/")
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        with (self.volumes.folder / "calls").open("a") as file:
            file.write(f"{method} {json.dumps(asked, sort_keys=True)}\n")
        status, body = self._misbehaved(method) or (
            200,
            json.dumps(self._answer(method, asked)).encode(),
        )
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError):
            self.wfile.write(body)

    def _misbehaved(self, method: str) -> tuple[int, bytes] | None:
        try:
            kind, which = (self.volumes.folder / "behaviour").read_text().split()
        except (FileNotFoundError, ValueError):
            return None
        if which != method:
            return None
        if kind == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "nothttp":
            self.wfile.write(b"hello\r\n\r\n")
            self.wfile.close()
            raise ConnectionError
        if kind == "hang":
            time.sleep(3600)
        return _ANSWERS[kind]

    def _answer(self, method: str, asked: dict[str, Any]) -> dict[str, Any]:
        volumes, name = self.volumes, asked.get("Name", "")
        try:
            match method:
                case "Plugin.Activate":
                    return {"Implements": ["VolumeDriver"]}
                case "VolumeDriver.Capabilities":
                    return {"Capabilities": {"Scope": "global"}}
                case "VolumeDriver.List":
                    return {"Volumes": [self._told(each) for each in volumes.names()]}
                case "VolumeDriver.Create":
                    if "bad" in (asked.get("Opts") or {}):
                        return {"Err": "no such option: bad"}
                    volumes.create(name)
                    return {}
            if name not in volumes.names():
                return {"Err": f"no such volume: {name}"}
            match method:
                case "VolumeDriver.Get":
                    return {"Volume": self._told(name)}
                case "VolumeDriver.Path":
                    return {"Mountpoint": volumes.mountpoint(name)}
                case "VolumeDriver.Mount":
                    return {"Mountpoint": volumes.mount(name, asked["ID"])}
                case "VolumeDriver.Unmount":
                    volumes.unmount(name, asked["ID"])
                case "VolumeDriver.Remove":
                    volumes.remove(name)
        except (OSError, subprocess.SubprocessError) as error:
            return {"Err": str(error)}
        return {}

    def _told(self, name: str) -> dict[str, Any]:
        return {
            "Name": name,
            "Mountpoint": self.volumes.mountpoint(name),
            "Status": {"kept": "yes"},
        }


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("plugin", 0)


def main() -> None:
    """Serve until the end."""
    socket, folder = sys.argv[1], Path(sys.argv[2])
    _Handler.volumes = _Volumes(folder)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(socket)
    _Server(socket, _Handler).serve_forever()


class VolumePlugin:
    """The plugin as a process of the test's own.

    Args:
        folder: Of its socket, NAME.sock, and of its own folder, NAME.d.
        name: Of the plugin.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.socket = folder / f"{name}.sock"
        self.folder = folder.with_name(f"{folder.name}-{name}")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self.socket.unlink(missing_ok=True)
        for each in (self.folder / "volumes").glob("*/mount"):
            while _is_mounted(each):
                subprocess.run(["umount", "-l", each], check=True)
        shutil.rmtree(self.folder)

    def start(self) -> None:
        """Start it, and wait until it serves."""
        from tests.support.processes import wait_for

        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen([sys.executable, __file__, self.socket, self.folder])
        wait_for(self.socket.exists, "the plugin")

    def stop(self) -> None:
        """End it; its socket stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def misbehave(self, kind: str, method: str) -> None:
        """Let it do wrong what it is asked by a method from now on; empty for nothing."""
        (self.folder / "behaviour").write_text(f"{kind} {method}")

    def behave(self) -> None:
        """Let it do right."""
        (self.folder / "behaviour").unlink(missing_ok=True)

    def calls(self) -> list[str]:
        """Return the methods that it was called by."""
        try:
            return [line.split()[0] for line in (self.folder / "calls").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def mounted(self) -> list[str]:
        """Return the names of the volumes that it has mounted."""
        found = (self.folder / "volumes").glob("*/mount")
        return sorted(each.parent.name for each in found if _is_mounted(each))


if __name__ == "__main__":
    main()
