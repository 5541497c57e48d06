"""When a resident server starts and ends, and what it has loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from scow.cli import index
from scow.cli.flags.parser import Options
from scow.cli.resident import launcher, program
from tests.support import processes, resident
from tests.support.engine import BIN
from tests.unit.cli.resident.user import User


def test_without_it_no_server_is_started(user: User) -> None:
    subprocess.run([BIN / "scow", "--version"], env=user.served("alone"), check=True)
    assert not (user.runtime / resident.FOLDER).exists()


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
    prunes = {path for path in index.COMMANDS if path.endswith(" prune")}
    assert says == {
        "run",
        "exec",
        "attach",
        "cp",
        "start",
        "login",
        "load",
        "import",
        "build",
        "secret create",
        "volume import",
        *prunes,
    }
