import pytest

from scow.core.interceptor import is_long


@pytest.mark.parametrize(
    ("method", "streams", "expected"),
    [
        ("/scow.api.container.v1.ContainerService/Wait", False, True),
        ("/scow.api.container.v1.ContainerService/Attach", True, True),
        ("/scow.api.volume.v1.VolumeService/Watch", True, True),
        ("/scow.api.image.v1.ImageService/Pull", True, False),
        ("/scow.api.network.v1.NetworkService/Attach", False, False),
    ],
)
def test_changes_are_drained_where_streams_are_cut(
    method: str, streams: bool, expected: bool
) -> None:
    """A network's Attach was cut at a stop, since it is called as a container's stream is."""
    assert is_long(method, streams=streams) is expected
