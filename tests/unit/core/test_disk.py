import errno
from pathlib import Path

import pytest

from scow.contract.errors import DiskFull
from scow.core.disk import writing


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(number: int) -> None:
    with pytest.raises(DiskFull) as caught, writing(Path("/data")):
        raise OSError(number, "full")
    assert caught.value.which == "/data"


def test_other_failures_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), writing(Path("/data")):
        raise PermissionError(errno.EACCES, "no")
