"""The resident command server without an engine: what a command has from its caller, who may be served, how it ends.

A credential helper, which `scow logout` executes, tells what a command has from its parent, or keeps it waiting.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

from scow.cli import index
from scow.cli.flags.parser import Options
from scow.cli.resident import launcher, program
from tests.support import processes, resident
from tests.support.engine import BIN, clean_environment

WAYS = ("resident", "alone")
_TELL = f"""#!{sys.executable} -IS
import posix, json, sys, _signal
status = dict(l.split(":\\t", 1) for l in open("/proc/self/status").read().splitlines() if ":\\t" in l)
try:
    folder = posix.getcwd()
except OSError as error:
    folder = str(error)
told = dict(
    environment={{k.decode(): v.decode() for k, v in posix.environ.items() if k != b"LC_CTYPE"}},
    status={{k: status[k] for k in ("Umask", "Uid", "Gid", "Groups", "SigIgn", "SigBlk", "CapEff", "NoNewPrivs")}},
    limits=open("/proc/self/limits").read(),
    oom=open("/proc/self/oom_score_adj").read(),
    nice=posix.getpriority(0, 0),
    cgroup=open("/proc/self/cgroup").read(),
    net=posix.readlink("/proc/self/ns/net"),
    folder=folder,
    ancestor=open(f"/proc/{{posix.getppid()}}/cmdline").read(),
)
fd = posix.open(posix.environ[b"TOLD"], posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC)
posix.write(fd, json.dumps(told).encode())
print("credentials not found in native keychain")
sys.exit(1)
"""
# What a helper answers that has no credentials.
_NOTHING = "echo credentials not found in native keychain; exit 1\n"
_WAIT = "#!/bin/sh\necho here > $TOLD; exec sleep 100\n"


@dataclass
class User:
    """A user with a runtime folder, a home and a credential helper."""

    base: Path
    runtime: Path
    env: dict[str, str]

    def use(self, helper: str) -> None:
        """Install a credential helper."""
        path = self.base / "bin" / "docker-credential-probe"
        path.write_text(helper)
        path.chmod(0o755)

    def command(self) -> list[str]:
        """A command that executes the helper."""
        return [str(BIN / "scow"), "logout", "registry.example"]

    @property
    def told(self) -> Path:
        """What the helper writes."""
        return self.base / "told"

    def served(self, way: str) -> dict[str, str]:
        """Return the environment for a way; a server is ready where it is the resident's."""
        if way == "alone":
            return {**self.env, "SCOW_RESIDENT": "0"}
        resident.start([str(BIN / "scow"), "--version"], self.env)
        return self.env

    def look(self, environment: dict[str, str], **how: object) -> dict[str, object]:
        """Return what the helper tells of a command that was started in some way."""
        done = subprocess.run(
            self.command(), env=environment, capture_output=True, check=False, **how
        )  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr
        told: dict[str, object] = json.loads(self.told.read_text())
        self.told.unlink()
        return told


@pytest.fixture
def user(tmp_path: Path) -> Iterator[User]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"credsStore": "probe"}))
    with resident.runtime_folder(tmp_path) as runtime:
        env = {
            **clean_environment(),
            "HOME": str(tmp_path),
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "SCOW_CLIENT_DIR": str(tmp_path / "docker"),
            "XDG_RUNTIME_DIR": str(runtime),
            "TOLD": str(tmp_path / "told"),
        }
        made = User(tmp_path, runtime, env)
        made.use(_TELL)
        yield made


def test_the_probe_tells_ways_apart(user: User) -> None:
    assert "resident.server" in str(user.look(user.served("resident"))["ancestor"])
    assert "resident.server" not in str(user.look(user.served("alone"))["ancestor"])


def _ignore_and_block() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})


def _limits() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (500, 600))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _nicer() -> None:
    os.nice(5)
    Path("/proc/self/oom_score_adj").write_text("500")


def _umask() -> None:
    os.umask(0o137)


@pytest.mark.parametrize("prepare", [_umask, _ignore_and_block, _limits, _nicer])
def test_what_a_command_has_from_its_parent(user: User, prepare: object, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    told = []
    for way in WAYS:
        env = {**user.served(way), "FRESH": way, "EMPTY": ""}
        found = user.look(env, preexec_fn=prepare, cwd=folder)
        found.pop("ancestor")
        environment = found["environment"]
        assert isinstance(environment, dict)
        assert environment.pop("FRESH") == way
        environment.pop("SCOW_RESIDENT", None)
        told.append(found)
    assert told[0] == told[1]
    assert told[0]["folder"] == str(folder)


def test_nothing_of_one_caller_is_in_the_next_ones_command(user: User) -> None:
    env = user.served("resident")
    user.look({**env, "SECRET": "of the first"})
    environment = user.look(env)["environment"]
    assert isinstance(environment, dict)
    assert "SECRET" not in environment
    server = resident.ready(user.runtime)
    for pid in (server, *processes.children(server)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            assert b"TOLD" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_deleted_directory(user: User, tmp_path: Path) -> None:
    for way in WAYS:
        env = user.served(way)
        folder = tmp_path / "gone"
        folder.mkdir()
        done = subprocess.run(
            ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *user.command()],
            cwd=folder,
            env=env,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "No such file" in json.loads(user.told.read_text())["folder"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_descriptor(user: User, way: str, closed: int) -> None:
    line = f"{BIN}/scow nonsense {closed}>&-; echo $? >&3"
    read, write = os.pipe()
    subprocess.run(
        ["bash", "-c", f"exec 3>&{write}; {line}"],
        env=user.served(way),
        pass_fds=[write],
        capture_output=True,
        check=False,
    )
    os.close(write)
    with os.fdopen(read) as file:
        assert file.read() == "1\n"


@pytest.mark.parametrize("way", WAYS)
def test_a_file_of_a_descriptor(user: User, way: str) -> None:
    """Bash's <(...) is /dev/fd/63, which the command must have."""
    env = user.served(way)
    for number in (5, 200):
        _read_from(f"exec {number}< <(echo 'bad line')", f"/dev/fd/{number}", env)
    _read_from(":", "<(echo 'bad line')", env)


def _read_from(before: str, file: str, env: dict[str, str]) -> None:
    line = f"{before}; {BIN}/scow run --env-file {file} x"
    done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, check=False)
    assert b"bad line" in done.stderr


def test_exit_codes_and_messages_are_the_same(user: User) -> None:
    for arguments in (["--help"], ["nope"], ["run", "--nope"], ["ps"], ["help", "run"], []):
        seen = []
        for way in WAYS:
            env = {**user.served(way), "SCOW_HOST": "unix:///nonexistent"}
            done = subprocess.run(
                [str(BIN / "scow"), *arguments], env=env, capture_output=True, check=False
            )
            seen.append((done.returncode, done.stdout, done.stderr))
        assert seen[0] == seen[1]


def test_the_script_of_an_installer_works_as_well(user: User) -> None:
    """That of the entry point, which starts the interpreter with everything."""
    code = "import sys; from scow.cli.resident.caller import main; sys.exit(main())"
    for way in ("cold", *WAYS):
        env = user.env if way == "cold" else user.served(way)
        command = [sys.executable, "-c", code, "logout", "registry.example"]
        done = subprocess.run(command, env=env, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        ancestor = json.loads(user.told.read_text())["ancestor"]
        assert ("resident.server" in ancestor) == (way == "resident")


def test_without_it_no_server_is_started(user: User) -> None:
    subprocess.run([BIN / "scow", "--version"], env=user.served("alone"), check=True)
    assert not (user.runtime / resident.FOLDER).exists()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, signal.SIGUSR1])
def test_a_signal_ends_command_and_process(user: User, way: str, number: int) -> None:
    env = user.served(way)
    user.use(_WAIT)
    before = _children(user)
    caller = subprocess.Popen(user.command(), env=env)
    processes.wait_for(user.told.exists, "the command")
    running = {pid for pid in _children(user) - before if processes.children(pid)}
    assert len(running) <= 1
    caller.send_signal(number)
    assert caller.wait(20) == -number
    processes.wait_for(lambda: not any(map(processes.alive, running)), "the end of the command")


def _children(user: User) -> set[int]:
    return {pid for server in resident.servers(user.runtime) for pid in processes.children(server)}


def _running(user: User) -> int:
    """Wait for the process of a command that executes a helper; return its PID."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [pid for pid in _children(user) if processes.children(pid)]
        return bool(found)

    processes.wait_for(look, "the command's process")
    return found[0]


def test_an_interrupt(user: User) -> None:
    codes = []
    for way in WAYS:
        env = user.served(way)
        user.use(_WAIT)
        caller = subprocess.Popen(user.command(), env=env)
        processes.wait_for(user.told.exists, "the command")
        caller.send_signal(signal.SIGINT)
        codes.append(caller.wait(20))
        user.told.unlink()
    assert codes == [130, 130]


def test_a_stopped_caller_stops_its_command(user: User) -> None:
    env = user.served("resident")
    user.use(_WAIT)
    # A group of its own, whose parent is in this session: a group that is orphaned ignores a stop, and that of this
    # test may be.
    caller = subprocess.Popen(user.command(), env=env, process_group=0)
    command = _running(user)
    caller.send_signal(signal.SIGTSTP)
    processes.wait_for(lambda: _state(caller.pid) == _state(command) == "T", "the stop of both")
    caller.send_signal(signal.SIGCONT)
    processes.wait_for(lambda: _state(command) == _state(caller.pid) == "S", "both to go on")
    caller.send_signal(signal.SIGTERM)
    assert caller.wait(20) == -signal.SIGTERM


def test_an_orphaned_caller_is_not_stopped(user: User) -> None:
    """As the kernel has it for a process whose stop nobody would see; nor is its command."""
    env = user.served("resident")
    user.use(f"#!/bin/sh\necho here > $TOLD; while [ -e $TOLD ]; do sleep 0.01; done\n{_NOTHING}")
    caller = subprocess.Popen(user.command(), env=env, start_new_session=True)
    processes.wait_for(user.told.exists, "the command")
    caller.send_signal(signal.SIGTSTP)
    user.told.unlink()
    assert caller.wait(20) == 0


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_command_outlives_the_server(user: User) -> None:
    env = user.served("resident")
    user.use(f"#!/bin/sh\necho here > $TOLD; while [ -e $TOLD ]; do sleep 0.01; done\n{_NOTHING}")
    caller = subprocess.Popen(user.command(), env=env)
    processes.wait_for(user.told.exists, "the command")
    processes.kill(resident.ready(user.runtime))
    user.told.unlink()
    assert caller.wait(20) == 0


def test_a_command_that_is_lost_with_the_server_is_told(user: User) -> None:
    env = user.served("resident")
    user.use(_WAIT)
    caller = subprocess.Popen(user.command(), env=env, stderr=subprocess.PIPE)
    command = _running(user)
    processes.kill(resident.ready(user.runtime))
    processes.kill(command)
    _, message = caller.communicate(timeout=20)
    assert caller.returncode == 1
    assert b"how far the command went is not known" in message


def test_a_killed_process_of_a_command(user: User) -> None:
    env = user.served("resident")
    user.use(_WAIT)
    caller = subprocess.Popen(user.command(), env=env)
    processes.kill(_running(user), signal.SIGSEGV)
    assert caller.wait(20) == -signal.SIGSEGV


@pytest.mark.parametrize("killed", ["server", "spares", "all"])
def test_a_server_that_was_killed(user: User, killed: str) -> None:
    env = user.served("resident")
    server = resident.ready(user.runtime)
    spares = processes.children(server)
    for pid in {"server": [server], "spares": spares, "all": [server, *spares]}[killed]:
        processes.kill(pid)
    for _ in range(3):
        assert _version(env) == 0
    resident.start([str(BIN / "scow"), "--version"], env)


def test_servers_and_spares_killed_all_the_time(user: User) -> None:
    """Whenever it is, the command runs once and rightly."""
    env = user.served("resident")
    user.use(f"#!/bin/sh\necho once >> $TOLD\n{_NOTHING}")
    for round_ in range(40):
        told = user.base / f"told-{round_}"
        caller = subprocess.Popen(user.command(), env={**env, "TOLD": str(told)})
        time.sleep(round_ * 0.0005)  # another moment each time
        for server in resident.servers(user.runtime):
            idle = [pid for pid in processes.children(server) if not processes.children(pid)]
            for pid in (server, *idle)[: 1 + round_ % 3]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        code = caller.wait(20)
        # It may have been the command's own process.
        assert code in (0, 1, -signal.SIGKILL)
        lines = told.read_text().splitlines() if told.exists() else []
        assert lines == ["once"] or (code != 0 and lines == [])


def test_a_server_that_does_not_answer(user: User) -> None:
    env = user.served("resident")
    server = resident.ready(user.runtime)
    stopped = [server, *processes.children(server)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    assert _version(env) == 0
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    assert _version(env) == 0


def test_fifty_commands_at_once(user: User) -> None:
    for way in ("cold", *WAYS):
        env = user.env if way == "cold" else user.served(way)
        callers = [
            subprocess.Popen(
                [BIN / "scow", f"--{number}"], env=env, stderr=subprocess.PIPE, text=True
            )
            for number in range(50)
        ]
        for number, caller in enumerate(callers):
            _, message = caller.communicate(timeout=60)
            assert caller.returncode == 125
            assert message.count(f"unknown flag: --{number}\n") == 1  # not run twice
        if way == "cold":
            resident.ready(user.runtime)  # one, and no more


def _version(env: dict[str, str]) -> int:
    return subprocess.run([BIN / "scow", "--version"], env=env, capture_output=True).returncode


@pytest.mark.parametrize("mode", [0o755, 0o770])
def test_a_folder_that_others_may_enter_is_not_used(user: User, mode: int) -> None:
    folder = user.runtime / resident.FOLDER
    folder.mkdir()
    folder.chmod(mode)
    assert _version(user.env) == 0
    assert not list(folder.iterdir())


def test_a_folder_of_somebody_else_is_not_used(user: User) -> None:
    folder = user.runtime / resident.FOLDER
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    assert _version(user.env) == 0
    assert not list(folder.iterdir())
    folder.rmdir()
    folder.symlink_to(user.base / "bin")
    assert _version(user.env) == 0


def test_nobody_else_can_reach_a_server(user: User) -> None:
    user.served("resident")
    folder = user.runtime / resident.FOLDER
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (path,) = folder.iterdir()
    assert not stat.S_IMODE(path.stat().st_mode) & 0o077


_OTHER_USER = [
    *("setpriv", "--reuid=12345", "--regid=12345", "--clear-groups"),
    # To get at the folder, as nobody can who is not root.
    *("--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"),
]
_CONNECT = """
import socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
print(connection.recv(5).decode()[:1])
"""
_PRETEND = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("listens", flush=True)
connection, _ = listener.accept()
print(connection.recv(1 << 20))
"""


def test_another_user_is_not_served(user: User) -> None:
    user.served("resident")
    (path,) = (user.runtime / resident.FOLDER).iterdir()
    done = subprocess.run(
        [*_OTHER_USER, sys.executable, "-c", _CONNECT, path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "n\n"


def test_a_server_of_another_user_gets_nothing(user: User) -> None:
    env = user.served("resident")
    (path,) = (user.runtime / resident.FOLDER).iterdir()
    processes.kill(resident.ready(user.runtime))
    path.unlink()
    command = [*_OTHER_USER, sys.executable, "-c", _PRETEND, path.name]
    with subprocess.Popen(command, cwd=path.parent, stdout=subprocess.PIPE, text=True) as pretender:
        assert pretender.stdout is not None
        assert pretender.stdout.readline() == "listens\n"
        assert _version({**env, "SECRET": "mine"}) == 0
        assert pretender.stdout.read() == "b''\n"


def test_server_and_waiting_processes_have_one_thread(user: User) -> None:
    """So that the one may fork, and that nothing reads an environment while the others replace theirs."""
    user.served("resident")
    user.look(user.env)  # those that were there have rehearsed
    server = resident.ready(user.runtime)
    for pid in (server, *processes.children(server)):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            assert "Threads:\t1\n" in Path(f"/proc/{pid}/status").read_text()


def test_other_rights_are_not_served(user: User) -> None:
    """Root without its capabilities, in the same folder, runs its command by itself."""
    env = user.served("resident")
    dropped = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    done = subprocess.run([*dropped, *user.command()], env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(user.told.read_text())
    assert int(told["status"]["CapEff"], 16) == 0
    assert told["status"]["NoNewPrivs"] == "1"


def test_another_network_namespace_is_not_served(user: User) -> None:
    env = user.served("resident")
    done = subprocess.run(
        ["unshare", "--net", *user.command()], env=env, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(user.told.read_text())["net"] != os.readlink("/proc/self/ns/net")


def test_a_disk_that_is_full(user: User, tmp_path: Path) -> None:
    """Of the runtime folder: the commands run; of the output: the message and code are the same."""
    mount = tmp_path / "full"
    mount.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=1", "none", mount], check=True)
    try:
        assert _version({**user.env, "XDG_RUNTIME_DIR": str(mount)}) == 0
    finally:
        subprocess.run(["umount", mount], check=True)
    seen = []
    for way in WAYS:
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [BIN / "scow", "--help"], env=user.served(way), stdout=full, stderr=subprocess.PIPE
            )
        seen.append((done.returncode, done.stderr))
    assert seen[0] == seen[1]
    assert seen[0][0] == 1


def test_it_ends_when_no_command_comes(user: User) -> None:
    folder = user.runtime / resident.FOLDER
    folder.mkdir(mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY)
    code = f"""
import time
from scow.cli.resident import program, server
program.load()
server.Server({descriptor}, "name", idle=0.2).run(time.time_ns())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], pass_fds=[descriptor], env=user.env, check=False, timeout=60
    )
    os.close(descriptor)
    assert done.returncode == 0
    assert not list(folder.iterdir())


def test_changed_files_are_seen(tmp_path: Path) -> None:
    files = program.files()
    assert not program.changed(files)
    part = tmp_path / "part.py"
    part.write_text("a = 1\n")
    state = {str(part): program._state(str(part))}
    part.write_text("a = 2\n")
    assert program.changed(state)
    assert program.newer(state, 0)
    part.unlink()
    assert program.changed(state)


def test_a_program_that_changed_is_loaded_anew(user: User, tmp_path: Path) -> None:
    roots = [tmp_path / "copy" / root for root in ("client", "protos", "services", "shim")]
    for root in roots:
        shutil.copytree(Path(launcher.__file__).parents[4] / root.name, root)
    script = tmp_path / "scow"
    script.write_text(launcher.script(str(roots[0] / "scow/cli/resident")))
    script.chmod(0o755)
    env = {**user.env, "PYTHONPATH": ":".join(map(str, roots))}
    old = resident.start([str(script), "--version"], env)
    about = roots[0] / "scow/cli/about.py"
    about.write_text(about.read_text() + '\nVERSION = "after"\n')
    assert _told_version(script, env) == "scow version after\n"
    processes.wait_for(lambda: not processes.alive(old), "the end of the server")
    assert _told_version(script, env) == "scow version after\n"
    resident.ready(user.runtime)
    assert _told_version(script, env) == "scow version after\n"


def _told_version(script: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        [script, "--version"], env=env, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_the_launcher_is_a_script_of_one_line_that_the_kernel_takes(tmp_path: Path) -> None:
    assert launcher.write(str(tmp_path))
    script = tmp_path / "scow"
    first = script.read_text().splitlines()[0]
    assert first == f"#!{sys.executable} -IS"
    assert os.access(script, os.X_OK)
    done = subprocess.run(
        [script, "--version"],
        env={**os.environ, "SCOW_RESIDENT": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("scow version ")


def test_what_reads_standard_input_says_so() -> None:
    """So that it is not run outside the terminal's session."""
    says = set()
    for path, (module, _) in index.COMMANDS.items():
        verbs = import_module(f"scow.cli.verbs.{module}").VERBS
        (verb,) = (verb for verb in verbs if verb.path == path)
        options = Options(verb.flags)
        options.args = ["-", "-"]
        if any(flag.name == "interactive" for flag in verb.flags):
            setattr(options, "interactive", True)  # noqa: B010  it has what its flags say
        if verb.reads_input(options):
            says.add(path)
    prunes = {f"{kind} prune" for kind in ("container", "image", "system", "volume")}
    assert says == {"run", "exec", "attach", "start", "login", "load", "import", *prunes}
