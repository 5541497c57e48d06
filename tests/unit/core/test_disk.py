import errno
from pathlib import Path

import pytest

from scow.contract.errors import DiskFull
from scow.core.disk import usage, writing


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(number: int) -> None:
    with pytest.raises(DiskFull) as caught, writing(Path("/data")):
        raise OSError(number, "full")
    assert caught.value.which == "/data"


def test_other_failures_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), writing(Path("/data")):
        raise PermissionError(errno.EACCES, "no")


def test_directories_take_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "proc/sys").mkdir(parents=True)
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/hosts").touch()
    assert usage(tmp_path) == (0, 4)


def test_a_symlink_takes_the_bytes_of_its_text(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/d")
    (tmp_path / "file").write_text("hello\n")
    assert usage(tmp_path) == (8, 2)
