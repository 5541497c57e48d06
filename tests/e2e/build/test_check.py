"""`build --check`, and what a build tells of checks."""

from __future__ import annotations

from pathlib import Path

from tests.support.engine import Engine

DOCKERFILE = "FROM busybox AS Base\nENV A=$B\nCMD echo $A\n"


def test_what_is_found(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(DOCKERFILE)
    done = engine.cli("build", "--check", "-t", "checked", str(tmp_path), check=False)
    assert done.returncode == 1
    assert done.stdout.splitlines()[:12] == [
        "Check complete, 3 warnings have been found!",
        "",
        "WARNING: StageNameCasing - https://docs.docker.com/reference/build-checks/stage-name-casing/",
        "the stage name 'Base' is not in lower case",
        "Dockerfile:1",
        "--------------------",
        "   1 | >>> FROM busybox AS Base",
        "   2 |     ENV A=$B",
        "   3 |     CMD echo $A",
        "--------------------",
        "",
        "WARNING: UndefinedVar - https://docs.docker.com/reference/build-checks/undefined-var/",
    ]
    assert engine.cli("images", "-q", "checked").stdout == ""
    built = engine.cli("build", "-t", "checked", str(tmp_path))
    assert built.stderr.splitlines()[-4:] == [
        " 3 warnings found (use --check to see more):",
        " - StageNameCasing: the stage name 'Base' is not in lower case (line 1)",
        " - UndefinedVar: '$B' is not defined (line 2)",
        " - JSONArgsRecommended: CMD in shell form: the shell, not the program, gets signals (line 3)",
    ]


def test_what_is_left_out(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY secret /\n")
    (tmp_path / ".dockerignore").write_text("secret\n")
    done = engine.cli("build", "--check", str(tmp_path), check=False)
    assert "WARNING: CopyIgnoredFile" in done.stdout
    assert "'secret' is left out of the context by .dockerignore" in done.stdout


def test_nothing_is_found(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        'FROM nowhere.invalid/nothing\nENV A=$OF_THE_BASE\nCMD ["a"]\n'
    )
    done = engine.cli("build", "--check", str(tmp_path))
    assert done.stdout == "Check complete, no warnings found.\n"


def test_a_file_that_wants_errors(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"# check=error=true\n{DOCKERFILE}")
    done = engine.cli("build", str(tmp_path), check=False)
    assert done.returncode == 1
    assert (
        "Dockerfile:2:1: StageNameCasing: the stage name 'Base' is not in lower case, and 2 more"
        in done.stderr
    )


def test_a_wrong_file(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUNN x\n")
    for flags in (["--check"], []):
        done = engine.cli("build", *flags, str(tmp_path), check=False)
        assert done.returncode == 1
        assert "Dockerfile:2:1: unknown instruction 'RUNN': did you mean RUN?" in done.stderr
