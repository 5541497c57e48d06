from typing import Any

import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.types.v1.types_pb2 import PortMapping
from scow.container.model import validation
from scow.contract.errors import InvalidConfig, LimitExceeded


def test_a_plain_configuration_is_fine() -> None:
    validation.check(ContainerConfig(image="busybox"))


def test_a_full_one_too() -> None:
    validation.check(
        ContainerConfig(
            image="nginx",
            hostname="web-1.example",
            stop_signal="QUIT",
            stop_timeout=-1,
            working_dir="/srv",
            umask=0o22,
            exposed_ports=["80", "8000-8010/udp"],
            env=["A=", "B"],
        )
    )


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("image", {"image": ""}),
        ("stop_signal", {"stop_signal": "NOPE"}),
        ("stop_timeout", {"stop_timeout": -2}),
        ("working_dir", {"working_dir": "srv"}),
        ("umask", {"umask": 0o1000}),
        ("oom_score_adj", {"oom_score_adj": 1001}),
        ("shm_size", {"shm_size": -1}),
        ("command", {"command": ["a\0b"]}),
        ("env", {"env": ["=x"]}),
        ("hostname", {"hostname": "a b"}),
        ("hostname", {"hostname": "-a"}),
        ("hostname", {"hostname": "a" * 65}),
        ("domainname", {"domainname": "x/y"}),
        ("hostname", {"hostname": "a", "uts_mode": "host"}),
        ("hostname", {"hostname": "a", "network": "container:b"}),
        ("ports", {"ports": [PortMapping(container_port=1)], "network": "container:b"}),
        ("exposed_ports", {"exposed_ports": ["0"]}),
        ("exposed_ports", {"exposed_ports": ["²/tcp"]}),
        ("ports", {"ports": [PortMapping(container_port=65535, count=2)]}),
        ("ports", {"ports": [PortMapping(container_port=1, protocol="x")]}),
        ("user", {"user": "a\nb"}),
        ("stop_signal", {"stop_signal": "9" * 5000}),
        ("exposed_ports", {"exposed_ports": ["9-8"]}),
        ("exposed_ports", {"exposed_ports": ["80/dccp"]}),
        ("resources.memory", {"resources": pb.Resources(memory=1)}),
        ("ulimits", {"ulimits": [pb.Ulimit(name="x")]}),
        ("cap_add", {"cap_add": ["X"]}),
        ("security_opts", {"security_opts": ["x"]}),
        ("log.driver", {"log": pb.LogConfig(driver="x")}),
        ("pid_mode", {"pid_mode": "x"}),
        ("devices", {"devices": [pb.Device(host_path="x")]}),
    ],
)
def test_what_is_wrong_is_named(field: str, fields: dict[str, Any]) -> None:
    config = ContainerConfig(**{"image": "busybox", **fields})
    with pytest.raises(InvalidConfig) as caught:
        validation.check(config)
    assert caught.value.which == field
    assert caught.value.metadata["do"]


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("config", {"dns_search": ["x" * (4 << 20)]}),
        ("labels", {"labels": {"a": "x" * (1 << 20)}}),
        ("env", {"env": ["A=" + "x" * (128 << 10)]}),
        ("command", {"command": ["x" * (128 << 10)]}),
    ],
)
def test_what_is_too_large_is_named(field: str, fields: dict[str, Any]) -> None:
    with pytest.raises(LimitExceeded) as caught:
        validation.check(ContainerConfig(**{"image": "busybox", **fields}))
    assert caught.value.which == field
    assert caught.value.metadata["do"]
