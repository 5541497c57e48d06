import pytest

from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.container.spec import namespaces
from scow.container.spec.namespaces import HOST, PRIVATE, SHAREABLE, Mode
from scow.contract.errors import InvalidConfig


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
    assert namespaces.network(ContainerConfig(network=text)) == mode


def test_others() -> None:
    assert namespaces.pid(ContainerConfig()) == PRIVATE
    assert namespaces.pid(ContainerConfig(pid_mode="host")) == HOST
    assert namespaces.pid(ContainerConfig(pid_mode="container:a")) == Mode("container", "a")
    assert namespaces.ipc(ContainerConfig(ipc_mode="shareable")) == SHAREABLE
    assert namespaces.ipc(ContainerConfig(ipc_mode="container:a")) == Mode("container", "a")
    assert namespaces.uts(ContainerConfig(uts_mode="host")) == HOST
    assert namespaces.cgroup(ContainerConfig(cgroupns_mode="private")) == PRIVATE


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
        for mode in (namespaces.pid, namespaces.ipc, namespaces.uts, namespaces.cgroup):
            mode(config)
    assert caught.value.which == field
