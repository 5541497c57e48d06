"""What the virtual machine is given, and what is said of its tests at the end."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.vm.run import (
    EMULATED,
    PACKAGES_INSIDE,
    PROJECT_INSIDE,
    copy_python,
    processors,
    read_report,
)

# What a booted system mounts anew or empties.
FLEETING = [Path(name) for name in ("/tmp", "/run", "/dev", "/proc", "/sys", "/var/tmp")]


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """A system with the copy of a checkout and of packages that are below /tmp here and closed to others."""
    project, packages = tmp_path / "checkout", tmp_path / "packages"
    for folder in (project / "tests", project / ".git", packages / "pip"):
        folder.mkdir(parents=True)
    project.chmod(0o700)
    (project / "tests/test_it.py").write_text(
        "def where():\n    return where.__code__.co_filename\n"
    )
    (project / ".git/config").touch()
    (packages / "library.py").touch()
    (packages / "pip/main.py").touch()
    (tmp_path / "system").mkdir()
    copy_python(tmp_path / "system", project, packages)
    return tmp_path / "system"


def inside(system: Path, path: Path) -> Path:
    return system / path.relative_to("/")


def test_a_checkout_has_one_place_wherever_it_is(system: Path) -> None:
    copied = sorted(path for path in inside(system, PROJECT_INSIDE).rglob("*.py"))
    assert copied == [inside(system, PROJECT_INSIDE / "tests/test_it.py")]
    assert (inside(system, PACKAGES_INSIDE) / "library.py").exists()
    assert sorted(path.name for path in system.iterdir()) == ["srv"]
    for place in (PROJECT_INSIDE, PACKAGES_INSIDE):
        assert not any(place.is_relative_to(gone) for gone in FLEETING)
        assert inside(system, place).stat().st_mode & 0o777 == 0o755


def test_what_developers_use_stays_out(system: Path) -> None:
    assert not inside(system, PROJECT_INSIDE / ".git").exists()
    assert not inside(system, PACKAGES_INSIDE / "pip").exists()


def test_byte_code_names_the_place_in_the_machine(system: Path) -> None:
    [compiled] = inside(system, PROJECT_INSIDE).rglob("*.pyc")
    code = (
        "import marshal, sys; print(marshal.loads(open(sys.argv[1], 'rb').read()[16:]).co_filename)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, compiled], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == str(PROJECT_INSIDE / "tests/test_it.py")


def report(path: Path, output: str, code: int) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, text in (("output", output), ("code", f"{code}\n")):
            header = tarfile.TarInfo(name)
            header.size = len(text)
            archive.addfile(header, io.BytesIO(text.encode()))
    with path.open("r+b") as disk:  # a disk is longer than what is on it
        disk.truncate(1 << 20)
    return path


SUMMARY = """\
=========================== short test summary info ============================
FAILED tests/test_it.py::test_one - assert 1 == 2
SKIPPED [1] tests/test_it.py:9: no such kernel
============== 1 failed, 2 passed, 1 skipped in 61.00s (0:01:01) ===============
"""


@pytest.mark.parametrize(
    ("end", "code"), [(SUMMARY, 1), ("============== 3 passed in 1.00s ==============\n", 0)]
)
def test_the_end_is_said_in_the_words_of_pytest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str, code: int
) -> None:
    made = report(tmp_path / "disk", "collected 4 items\n..Fs\n" + end, code)
    assert read_report(made) == code
    assert capsys.readouterr().out == "in the machine:\n" + end


def test_a_machine_that_ends_early_is_a_failure(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(1 << 20))
    assert read_report(disk) == 1


def test_processors_on_which_no_kernel_boots_are_not_taken(tmp_path: Path) -> None:
    assert processors(tmp_path / "no-kernel") == EMULATED
