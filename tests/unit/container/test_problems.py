import errno
from pathlib import Path

import pytest

from scow.container.problems import invalid, writing
from scow.core.errors import DiskFull


def test_a_field_is_named() -> None:
    error = invalid("resources.memory", "is 1 byte", "use more")
    assert error.metadata == {"what": "field", "which": "resources.memory", "do": "use more"}
    assert error.message == "resources.memory is 1 byte"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(number: int) -> None:
    with pytest.raises(DiskFull) as caught, writing(Path("/data")):
        raise OSError(number, "full")
    assert caught.value.which == "/data"


def test_other_failures_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), writing(Path("/data")):
        raise PermissionError(errno.EACCES, "no")
