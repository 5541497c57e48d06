"""Images, volumes and networks on the command line, and what the engine tells of itself."""

from __future__ import annotations

import json
import os
import re
import signal
import tarfile
from pathlib import Path

from tests.e2e.cli.support import shown
from tests.support.busybox import rootfs_tar
from tests.support.engine import Engine, as_root
from tests.support.volumeplugin import VolumePlugin

pytestmark = as_root()


def test_images(engine: Engine) -> None:
    head, line = engine.cli("images", "busybox").stdout.splitlines()
    assert re.split(r" {2,}", head) == ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
    assert re.match(r"busybox +latest +[0-9a-f]{12} +.* ago +[\d.]+MB$", line)
    engine.cli("tag", "busybox", "registry.example:5000/me/box:v2")
    listed = engine.cli("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
    assert set(listed) == {"busybox:latest", "registry.example:5000/me/box:v2"}
    removed = engine.cli("rmi", "registry.example:5000/me/box:v2").stdout
    assert removed == "Untagged: registry.example:5000/me/box:v2\n"
    wrong = engine.cli("rmi", "no-such", check=False)
    assert wrong.returncode == 1
    assert "no-such" in wrong.stderr
    assert engine.cli("tag", "busybox", "UPPER", check=False).returncode == 1


def test_an_image_in_use_stays(engine: Engine) -> None:
    engine.cli("import", "-", "other", stdin=rootfs_tar() + b"\0" * 10240)
    engine.cli("create", "--name", "user", "other", "true")
    done = engine.cli("rmi", "other", check=False)
    assert done.returncode == 1
    assert "other" in done.stderr
    engine.cli("rm", "user")
    assert "Untagged: other:latest\n" in engine.cli("rmi", "other").stdout


def test_import(engine: Engine) -> None:
    changes = ["-c", 'CMD ["echo", "imported"]', "-c", "ENV A=1", "-m", "made by a test"]
    printed = engine.cli("import", *changes, "-", "imported:1", stdin=rootfs_tar()).stdout.strip()
    image = shown(engine, "imported:1")
    assert image["Id"] == printed
    assert image["Comment"] == "made by a test"
    assert "A=1" in image["Config"]["Env"]
    assert engine.cli("run", "--rm", "imported:1").stdout == "imported\n"
    engine.cli("rmi", "imported:1")
    broken = engine.cli("import", "-", "broken", stdin=b"no tar", check=False)
    assert (broken.returncode, broken.stdout) == (1, "")
    assert broken.stderr.startswith("scow: ")
    missing = engine.cli("import", "/no/such.tar", check=False)
    assert missing.returncode == 1
    assert "/no/such.tar" in missing.stderr


def test_a_pull_that_fails_says_why(engine: Engine) -> None:
    done = engine.cli("pull", "127.0.0.1:1/nothing", check=False)
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stderr
    done = engine.cli("pull", "Wrong//Reference", check=False)
    assert done.returncode == 1
    assert "Wrong//Reference" in done.stderr


def test_volumes(engine: Engine) -> None:
    assert engine.cli("volume", "create", "--label", "a=1", "data").stdout == "data\n"
    made_up = engine.cli("volume", "create").stdout.strip()
    listed = engine.cli("volume", "ls", "-q").stdout.split()
    assert {"data", made_up} <= set(listed)
    assert engine.cli("volume", "ls", "-q", "-f", "label=a=1").stdout == "data\n"
    head, line = engine.cli("volume", "ls", "-f", "name=data").stdout.splitlines()
    assert (head, line) == ("DRIVER    VOLUME NAME", "local     data")
    (shape,) = json.loads(engine.cli("volume", "inspect", "data").stdout)
    assert (shape["Name"], shape["Labels"], shape["Scope"]) == ("data", {"a": "1"}, "local")
    engine.cli("create", "--name", "holder", "-v", "data:/d", "busybox")
    done = engine.cli("volume", "rm", "data", check=False)
    assert done.returncode == 1
    assert "data" in done.stderr
    engine.cli("rm", "holder")
    assert engine.cli("volume", "rm", "data", made_up).stdout.split() == ["data", made_up]
    assert engine.cli("volume", "rm", "data", check=False).returncode == 1
    assert engine.cli("volume", "rm", "-f", "data").returncode == 0


def test_snapshots(engine: Engine) -> None:
    def read(volume: str) -> str:
        return engine.cli("run", "--rm", "-v", f"{volume}:/d", "busybox", "cat", "/d/file").stdout

    def write(text: str) -> None:
        engine.cli("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", f"echo {text} > /d/file")

    write("old")
    made = engine.cli("volume", "snapshot", "create", "--label", "a=1", "data@one").stdout
    assert made == "data@one\n"
    write("new")
    assert engine.cli("volume", "clone", "data", "now").stdout == "now\n"
    assert engine.cli("volume", "clone", "data@one", "then").stdout == "then\n"
    assert (read("now"), read("then")) == ("new\n", "old\n")
    head, line = engine.cli("volume", "snapshot", "ls", "data").stdout.splitlines()
    assert head.split() == ["VOLUME", "SNAPSHOT", "CREATED", "SIZE"]
    assert (line.split()[:2], line.split()[-1]) == (["data", "one"], "4B")
    layout = '{{.Reference}} {{.Frozen}} {{.Labels}} {{.Label "a"}}'
    shown = engine.cli("volume", "snapshot", "ls", "--format", layout).stdout
    assert shown == "data@one false a=1 1\n"
    assert engine.cli("volume", "snapshot", "restore", "data@one").stdout == "data\n"
    assert read("data") == "old\n"
    done = engine.cli("volume", "snapshot", "restore", "data", check=False)
    assert (done.returncode, "expected VOLUME@SNAPSHOT" in done.stderr) == (1, True)
    refused = engine.cli("volume", "rm", "data", check=False)
    assert "volume data has snapshots: remove them first" in refused.stderr
    engine.cli("volume", "prune", "-a", "-f")
    assert engine.cli("volume", "ls", "-q").stdout == "data\n"
    assert engine.cli("volume", "snapshot", "rm", "data@one").stdout == "data@one\n"
    assert engine.cli("volume", "snapshot", "rm", "data@one", check=False).returncode == 1
    engine.cli("volume", "rm", "data")


def test_limits_of_volumes(engine: Engine) -> None:
    engine.cli("volume", "create", "data")
    done = engine.cli("volume", "update", "--size", "1g", "data", check=False)
    # Most file systems have no limits of projects.
    assert done.returncode in (0, 1)
    assert done.returncode == 0 or "enforces no limits of projects" in done.stderr
    assert engine.cli("volume", "update", "data", check=False).returncode == 1
    assert engine.cli("volume", "update", "--size", "much", "data", check=False).returncode == 125
    engine.cli("volume", "rm", "data")


def test_volume_archives(engine: Engine, tmp_path: Path) -> None:
    engine.cli("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/file")
    file = tmp_path / "data.tar"
    engine.cli("volume", "export", "-o", str(file), "data")
    made = engine.cli("volume", "import", "--label", "a=1", "copy", str(file)).stdout
    assert made == "copy\n"
    done = engine.cli("run", "--rm", "-v", "copy:/d", "busybox", "cat", "/d/file")
    assert done.stdout == "kept\n"
    assert engine.cli("volume", "import", "again", stdin=file.read_bytes()).stdout == "again\n"
    refused = engine.cli("volume", "import", "copy", str(file), check=False)
    assert (refused.returncode, "there is a volume copy" in refused.stderr) == (1, True)
    refused = engine.cli("volume", "import", "other", str(tmp_path / "none"), check=False)
    assert (refused.returncode, "no such file" in refused.stderr) == (1, True)
    engine.cli("volume", "rm", "data", "copy", "again")


def test_attributes_that_a_volume_cannot_have_are_told(engine: Engine, tmp_path: Path) -> None:
    entry = tarfile.TarInfo("file")
    entry.pax_headers = {"SCHILY.xattr.nowhere.note": "x", "SCHILY.xattr.user.note": "y"}
    with tarfile.open(tmp_path / "data.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(entry)
    done = engine.cli("volume", "import", "data", str(tmp_path / "data.tar"))
    assert done.stdout == "data\n"
    (warning,) = done.stderr.splitlines()
    assert "extended attribute nowhere.note" in warning
    engine.cli("volume", "rm", "data")


def test_plugins(engine: Engine) -> None:
    with VolumePlugin(engine.plugins, "tmp") as plugin:
        engine.cli("volume", "create", "-d", "tmp", "data")
        engine.cli("run", "--rm", "-v", "data:/d", "busybox", "sh", "-c", "echo kept > /d/file")
        assert plugin.mounted() == []
        engine.cli("run", "-d", "--name", "user", "-v", "data:/d:ro", "busybox", "sleep", "1000")
        assert engine.cli("exec", "user", "cat", "/d/file").stdout == "kept\n"
        head, line = engine.cli("plugin", "ls", "-f", "capability=volumedriver").stdout.splitlines()
        assert head.split() == ["NAME", "TYPES", "ENABLED", "STATUS"]
        assert line.split() == ["tmp", "VolumeDriver", "true", "ready"]
        assert engine.cli("plugin", "ls", "-q", "-f", "enabled=false").stdout == ""
        (shape,) = json.loads(engine.cli("plugin", "inspect", "tmp").stdout)
        assert (shape["Volumes"], shape["Enabled"]) == (["data"], True)
        refused = engine.cli("plugin", "disable", "tmp", check=False)
        assert (refused.returncode, "are mounted: data" in refused.stderr) == (1, True)
        engine.cli("rm", "-f", "user")
        assert plugin.mounted() == []
        assert engine.cli("plugin", "disable", "tmp").stdout == "tmp\n"
        refused = engine.cli("run", "--rm", "-v", "data:/d", "busybox", check=False)
        assert (refused.returncode, "plugin tmp is disabled" in refused.stderr) == (125, True)
        engine.cli("plugin", "enable", "tmp")
        plugin.stop()
        refused = engine.cli("run", "--rm", "-v", "data:/d", "busybox", check=False)
        assert (refused.returncode, "plugin tmp cannot be asked" in refused.stderr) == (125, True)
        plugin.start()
        engine.cli("volume", "rm", "data")


def test_cni_plugins(engine: Engine, tmp_path: Path) -> None:
    ipam = {"type": "host-local", "subnet": "10.97.3.0/24", "dataDir": str(tmp_path / "addresses")}
    plugin = {"type": "ptp", "ipam": ipam}
    config = tmp_path / "pod.conf"
    config.write_text(json.dumps({"cniVersion": "1.0.0", "name": "pod", **plugin}))
    listed = engine.cli("plugin", "ls", "-q", "-f", "capability=cni").stdout.split()
    assert {"cni/bridge", "cni/host-local", "cni/ptp"} <= set(listed)
    (shape,) = json.loads(engine.cli("plugin", "inspect", "cni/host-local").stdout)
    assert shape["Source"] == "/usr/lib/cni/host-local"
    assert "1.0.0" in shape["Versions"]
    engine.cli("network", "create", "-d", "cni", "-o", f"config={config}", "pod")
    engine.cli("run", "-d", "--name", "user", "--network", "pod", "busybox", "sleep", "1000")
    refused = engine.cli("plugin", "disable", "cni/host-local", check=False)
    assert refused.returncode == 1
    assert "are attached by the CNI plugin host-local" in refused.stderr
    engine.cli("plugin", "disable", "--force", "cni/host-local")
    assert "10.97.3." in engine.cli("exec", "user", "ip", "addr").stdout
    engine.cli("rm", "-f", "user")
    disabled = engine.cli("plugin", "ls", "-q", "-f", "enabled=false").stdout
    assert disabled == "cni/host-local\n"
    run = ("run", "--rm", "--network", "pod", "busybox", "true")
    refused = engine.cli(*run, check=False)
    assert "needs the CNI plugin host-local, which is disabled" in refused.stderr
    engine.cli("plugin", "enable", "cni/host-local")
    engine.cli(*run)
    assert engine.cli("plugin", "disable", "cni/none", check=False).returncode == 1
    engine.cli("network", "rm", "pod")


def test_networks(engine: Engine) -> None:
    listed = engine.cli("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").stdout
    assert set(listed.splitlines()) == {"bridge bridge local", "host host local", "none null local"}
    (shape,) = json.loads(engine.cli("network", "inspect", "bridge").stdout)
    gateway = shape["IPAM"]["Config"][0]["Gateway"]
    engine.cli("run", "-d", "--name", "web", "busybox", "sleep", "60")
    (shape,) = json.loads(engine.cli("network", "inspect", "bridge").stdout)
    (endpoint,) = shape["Containers"].values()
    assert endpoint["Name"] == "web"
    route = engine.cli("exec", "web", "ip", "route").stdout
    assert f"default via {gateway}" in route


def test_version_and_info(engine: Engine) -> None:
    shape = json.loads(engine.cli("version", "--format", "json").stdout)
    server = shape["Server"]
    names = ["Engine", "container", "image", "network", "volume"]
    assert [part["Name"] for part in server["Components"]] == names
    assert all(part["Version"] == server["Version"] for part in server["Components"])
    assert [part["Details"]["Serving"] for part in server["Components"][1:]] == ["true"] * 4
    release = os.uname().release
    details = server["Components"][0]["Details"]
    assert server["KernelVersion"] == details["KernelVersion"] == release
    assert (server["Os"], server["ApiVersion"], server["Experimental"]) == ("linux", "1", False)
    fields = (
        "{{.Server.Version}} {{.Server.MinAPIVersion}}{{.Server.GitCommit}}{{.Server.BuildTime}}"
        " {{.Server.Platform.Name}}"
    )
    told = engine.cli("version", "-f", fields).stdout
    assert told == f"{server['Version']} 1 scow\n"
    rows = engine.cli("version").stdout
    assert f"  Version:          {server['Version']}\n" in rows
    assert f"  Kernel version:   {release}\n" in rows
    assert engine.cli("info", "--format", "{{.Images}} {{.Containers}}").stdout == "1 0\n"


def test_near_maximal_labels_stop_no_list(engine: Engine) -> None:
    """Twelve containers with a long label made `ps -a` fail for everybody."""
    labels = [text for n in range(10) for text in ("--label", f"key{n}=" + "x" * 100_000)]
    made = {engine.cli("create", *labels, "busybox", "true").stdout.strip() for _ in range(12)}
    assert made <= set(engine.cli("ps", "-aq", "--no-trunc").stdout.split())
    assert len(engine.cli("ps", "-a").stdout.splitlines()) > len(made)
    shown_labels = engine.cli("inspect", "-f", "{{len .Config.Labels.key9}}", *made).stdout.split()
    assert shown_labels == ["100000"] * 12
    assert engine.cli("rm", *made).returncode == 0


def test_who_holds_something_is_said_by_name(engine: Engine) -> None:
    engine.cli("create", "--name", "holder", "-v", "held:/data", "busybox")
    refused = engine.cli("volume", "rm", "held", check=False)
    assert refused.returncode == 1
    assert "volume held is held by container holder: remove" in refused.stderr
    identity = engine.cli("images", "-q", "busybox").stdout.strip()
    refused = engine.cli("rmi", identity, check=False)
    assert "used by container holder: remove" in refused.stderr
    engine.cli("rm", "holder")
    engine.cli("volume", "rm", "held")


def test_an_image_that_is_not_there(engine: Engine) -> None:
    refused = engine.cli("rmi", "no-such-image", check=False)
    assert refused.stderr == (
        "scow: there is no image no-such-image: see `scow images` for those there are\n"
    )


def test_version_fails_where_a_service_is_missing(engine: Engine) -> None:
    assert engine.cli("version").stderr == ""
    pid = engine.service_pid("volume")
    os.kill(pid, signal.SIGSTOP)
    try:
        told = engine.cli("version", check=False)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert told.returncode == 1
    assert told.stdout.startswith("Client: scow\n")
    assert told.stderr == "scow: not all services answer: volume missing: see the log of scowd\n"


def test_info_has_dockers_rows_and_fields(engine: Engine) -> None:
    engine.cli("create", "busybox")
    found = json.loads(engine.cli("info", "-f", "{{json .}}").stdout)
    assert (found["Containers"], found["ContainersStopped"], found["Images"]) == (1, 1, 1)
    assert found["DockerRootDir"] == str(engine.root)
    assert found["ID"] == engine.instance
    assert found["Driver"] in found["DriverStatus"][1][1].split()
    assert found["DriverStatus"][0][1]
    assert found["Plugins"]["Log"] == [
        "json-file",
        "local",
        "cri",
        "none",
        "journald",
        "syslog",
        "fluentd",
    ]
    assert found["SecurityOptions"] == ["name=seccomp,profile=builtin", "name=cgroupns"]
    about = os.uname()
    assert (found["KernelVersion"], found["Name"]) == (about.release, about.nodename)
    assert found["MemTotal"] == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found["PidsLimit"]
    assert found["MemoryLimit"]
    asked = engine.cli("info")
    assert asked.stderr.splitlines() == found["Warnings"]
    assert found["Swarm"]["LocalNodeState"] == "inactive"
    fields = "{{.ID}} {{.NCPU}} {{.MemTotal}} {{.OperatingSystem}} {{.ServerVersion}} {{.Runtimes}} {{.Warnings}}"
    assert engine.cli("info", "-f", fields).stdout.startswith(
        f"{engine.instance} {os.cpu_count()} "
    )
    rows = engine.cli("info").stdout
    for row in (
        " Containers: 1",
        "  Stopped: 1",
        f" Storage Driver: {found['Driver']}",
        f" Cgroup Version: {found['CgroupVersion']}",
        "  seccomp",
        "   Profile: builtin",
        f" Docker Root Dir: {engine.root}",
        "  127.0.0.0/8",
    ):
        assert f"\n{row}\n" in rows, rows
