import pytest

from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.container import modes
from scow.container.modes import HOST, PRIVATE, SHAREABLE, Mode
from scow.core.errors import InvalidConfig


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", Mode("network", "bridge")),
        ("default", Mode("network", "bridge")),
        ("bridge", Mode("network", "bridge")),
        ("host", HOST),
        ("none", Mode("none")),
        ("backend", Mode("network", "backend")),
        ("container:web", Mode("container", "web")),
    ],
)
def test_network(text: str, mode: Mode) -> None:
    assert modes.network(ContainerConfig(network=text)) == mode


def test_others() -> None:
    assert modes.pid(ContainerConfig()) == PRIVATE
    assert modes.pid(ContainerConfig(pid_mode="host")) == HOST
    assert modes.pid(ContainerConfig(pid_mode="container:a")) == Mode("container", "a")
    assert modes.ipc(ContainerConfig(ipc_mode="shareable")) == SHAREABLE
    assert modes.ipc(ContainerConfig(ipc_mode="container:a")) == Mode("container", "a")
    assert modes.uts(ContainerConfig(uts_mode="host")) == HOST
    assert modes.cgroup(ContainerConfig(cgroupns_mode="private")) == PRIVATE


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pid_mode", "hosts"),
        ("pid_mode", "container:"),
        ("pid_mode", "shareable"),
        ("ipc_mode", "none"),
        ("uts_mode", "container:a"),
        ("cgroupns_mode", "container:a"),
    ],
)
def test_unknown_modes_name_the_field(field: str, value: str) -> None:
    config = ContainerConfig()
    setattr(config, field, value)
    with pytest.raises(InvalidConfig) as caught:
        for mode in (modes.pid, modes.ipc, modes.uts, modes.cgroup):
            mode(config)
    assert caught.value.which == field
