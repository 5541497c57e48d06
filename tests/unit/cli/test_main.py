"""The dispatcher: words, help, exit codes, and what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scow.cli import index
from scow.cli.__main__ import command
from scow.cli.about import VERSION

_PROBE = """
import sys
from scow.cli.__main__ import command
code = command(sys.argv[1:])
heavy = ("grpc", "google.protobuf", "asyncio", "argparse", "typing", "scow.contract.errors", "inspect")
print(code, [name for name in heavy if name in sys.modules], file=sys.stderr)
"""
_WORDS = [*index.COMMANDS, *index.ALIASES]


def _run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "scow.cli", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_version_is_that_of_the_project() -> None:
    root = Path(__file__).resolve().parents[3]
    assert f'version = "{VERSION}"' in (root / "pyproject.toml").read_text()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["--help"], 0),
        (["--version"], 0),
        (["network"], 0),
        (["network", "--help"], 0),
        (["run", "--help"], 0),
        (["ps", "--help"], 0),
        (["inspect", "--help"], 0),
        (["volume", "create", "--help"], 0),
        (["run", "--nope"], 125),
        (["run"], 1),
        (["run", "-p", "x", "busybox"], 125),
        (["run", "-v", "a:b", "busybox"], 125),
        (["ps", "--nope"], 125),
        (["ps", "too", "many"], 1),
        (["inspect"], 1),
        (["ps", "--format", "{{.ID"], 1),
        (["nope"], 1),
        (["volume", "nope"], 1),
        (["--nope"], 125),
    ],
)
def test_help_and_usage_errors_import_nothing_heavy(arguments: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", _PROBE, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert last == f"{code} []"
    assert "grpc" not in done.stderr.replace("import grpc", "")


@pytest.mark.parametrize("words", _WORDS)
def test_every_command_has_help(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command([*words.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage:  scow {words}")
    resolved = index.resolve(words)
    assert resolved is not None
    assert index.COMMANDS[resolved][1] in shown


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    command(["--help"])
    shown = capsys.readouterr().out
    for name in (name for name in (*index.COMMANDS, *index.GROUPS) if " " not in name):
        assert f"\n  {name} " in shown


def test_a_group_in_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    command(["volume", "--help"])
    assert "\n  snapshot " in capsys.readouterr().out
    command(["volume", "snapshot"])
    assert "\n  create " in capsys.readouterr().out
    assert command(["volume", "snapshot", "creat"]) == 1
    assert "did you mean 'scow volume snapshot create'?" in capsys.readouterr().err


def test_the_commands_that_docker_users_expect_are_there() -> None:
    alone = (
        "run create start stop restart kill rm ps logs exec attach inspect wait pause unpause pull"
        " images rmi tag import version info"
    )
    expected = alone.split()
    expected += ["network ls", "network inspect", "volume create", "volume ls", "volume rm"]
    expected += ["volume inspect", "container ls", "container rm", "image ls", "image inspect"]
    assert [words for words in expected if index.resolve(words) is None] == []


def test_commands_of_docker_that_are_not_here_are_not_here() -> None:
    # Those of containers and images are commands by themselves too; `volume update` is another one than `update`.
    known = (*index.COMMANDS, *index.ALIASES, *index.GROUPS)
    here = {words.removeprefix("container ").removeprefix("image ") for words in known}
    assert not here & set(index.DOCKERS_OWN)


def test_help_shows_defaults_as_they_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["attach", "--help"]) == 0
    assert '"ctrl-p,ctrl-q"' in capsys.readouterr().out.replace("\n", "")


def test_group_help_names_its_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["container"]) == 0
    shown = capsys.readouterr().out
    for word in ("attach", "exec", "inspect", "ls", "rm", "run"):
        assert f"\n  {word} " in shown


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rnu"], 1, "scow: unknown command: scow rnu: did you mean 'scow run'?"),
        (
            ["volume", "lst"],
            1,
            "scow: unknown command: scow volume lst: did you mean 'scow volume list'?",
        ),
        # Not the nearest word: what it does is something else.
        (["swarm"], 1, "scow: unknown command: scow swarm\n"),
        (["network", "mend"], 1, "scow: unknown command: scow network mend\n"),
        (["image", "bundle"], 1, "scow: unknown command: scow image bundle\n"),
        (["ps", "--nope"], 125, "scow: unknown flag: --nope"),
        (["rm"], 1, "scow: 'scow rm' requires at least 1 argument"),
        (["container", "rm"], 1, "scow: 'scow container rm' requires at least 1 argument"),
        (["run", "--memory", "x", "i"], 125, 'scow: invalid argument "x" for "-m, --memory" flag'),
        (["exec", "c"], 1, "scow: 'scow exec' requires at least 2 arguments"),
        (["--host"], 125, "scow: flag needs an argument: --host"),
    ],
)
def test_usage_errors(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(arguments) == code
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(message)
    assert "See 'scow" in shown.err


@pytest.mark.parametrize(("verb", "code"), [("ps", 1), ("run", 125), ("rm", 1), ("create", 1)])
def test_no_engine_says_what_to_do(verb: str, code: int, tmp_path: Path) -> None:
    arguments = [] if verb == "ps" else ["x"]
    status, out, err = _run("-H", f"unix://{tmp_path}", verb, *arguments)
    assert (status, out) == (code, "")
    assert err.startswith("scow: the container service does not answer on ")
    assert "start the engine with scowd" in err
    assert "Traceback" not in err


def test_a_wrong_host_says_what_to_do() -> None:
    status, _, err = _run("-H", "tcp://x:1", "ps")
    assert status == 1
    assert "expected unix://RUN_DIR: name the folder" in err


def test_a_reader_that_went_away_is_no_error(tmp_path: Path) -> None:
    line = f"{sys.executable} -m scow.cli run --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("0", "141")
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


_RUNS = """
import sys
from scow.cli import startup
startup.prepare()
import grpc
assert "asyncio.events" not in sys.modules, "grpc uses asyncio when it is imported"
grpc.insecure_channel("unix:///nowhere").close()
assert "asyncio.events" not in sys.modules, "blocking calls use asyncio"
import asyncio
print(asyncio.run(asyncio.sleep(0, "works")))
startup.leave(7)
"""


def test_grpc_does_without_asyncio_and_the_process_leaves_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _RUNS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "works\n", "")


@pytest.mark.parametrize("verb", ["run", "ps"])  # much, and little that stays in the buffer
def test_what_cannot_be_written_is_told(verb: str) -> None:
    line = f"{sys.executable} -m scow.cli {verb} --help > /dev/full"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "scow: [Errno 28] No space left on device\n"
