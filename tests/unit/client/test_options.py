"""What a container can be created with becomes the contract's configuration."""

from __future__ import annotations

from typing import Any

import pytest

from scow.api.container.v1.container_pb2 import ContainerConfig, MountSpec
from scow.api.container.v1.supervision_pb2 import HealthCheck
from scow.api.types.v1.types_pb2 import PortMapping
from scow.client import ContainerOptions
from scow.client._options import build_config, filters_of, platform_of
from scow.contract.errors import InvalidArgument, InvalidMount, InvalidPort


def test_every_option_is_understood() -> None:
    texts: dict[str, Any] = {
        "mounts": ["data:/d"],
        "tmpfs": {"/t": "size=1m"},
        "ports": ["80"],
        "devices": ["/dev/null"],
        "platform": "linux/amd64",
        "restart_policy": "on-failure:3",
        "probes": ["tcp:80"],
        "health_check": HealthCheck(retries=3),
    }
    for name, kind in ContainerOptions.__annotations__.items():
        kind = str(kind)
        if name in texts:
            value = texts[name]
        elif "Mapping[str, str]" in kind:
            value = {"a": "b"}
        elif "Mapping[str, int]" in kind:
            value = {"a": 1}
        elif "Mapping" in kind:
            value = {"nofile": (1, 2)}
        elif "Iterable" in kind or "Sequence" in kind:
            value = ["a"]
        else:
            value = next(
                v
                for k, v in (("bool", True), ("float", 1.5), ("int", 3), ("str", "x"))
                if k in kind
            )
        made = build_config("i", [], **{name: value})
        assert made != ContainerConfig(image="i"), name


def test_values() -> None:
    made = build_config(
        "nginx",
        ["-g"],
        entrypoint=[],
        env={"A": "1"},
        cpus=1.5,
        memory=1 << 20,
        ports=["8080:80", PortMapping(host_port=1, container_port=2)],
        mounts=["data:/d:ro", MountSpec(type="tmpfs", target="/t")],
        ulimits={"nofile": 10, "nproc": (1, 2)},
        extra_hosts={"db": "10.0.0.1"},
        stop_timeout=0,
        umask=0,
        log_options={"max-size": "1m"},
    )
    assert (made.override_entrypoint, list(made.entrypoint)) == (True, [])
    assert list(made.env) == ["A=1"]
    assert made.resources.nano_cpus == 1_500_000_000
    assert [p.host_port for p in made.ports] == [8080, 1]
    assert [m.read_only for m in made.mounts] == [True, False]
    assert [(u.name, u.soft, u.hard) for u in made.ulimits] == [("nofile", 10, 10), ("nproc", 1, 2)]
    assert list(made.extra_hosts) == ["db:10.0.0.1"]
    assert made.HasField("stop_timeout")
    assert made.HasField("umask")


@pytest.mark.parametrize(
    ("options", "error", "which"),
    [
        ({"ports": ["x:y:z:80"]}, InvalidPort, "x:y:z:80"),
        ({"mounts": ["a:b"]}, InvalidMount, "a:b"),
        ({"tmpfs": {"t": ""}}, InvalidMount, "t:"),
        ({"devices": ["null"]}, InvalidArgument, "null"),
        ({"secrets": ["a,mode=9"]}, InvalidArgument, "a,mode=9"),
        ({"platform": "a/b/c/d"}, InvalidArgument, "a/b/c/d"),
    ],
)
def test_wrong_texts_are_typed_errors(options: Any, error: type, which: str) -> None:
    with pytest.raises(error) as caught:
        build_config("i", [], **options)
    assert caught.value.which == which  # type: ignore[attr-defined]


@pytest.mark.parametrize("options", [{"nope": 1}, {"entrypoint": "sh"}])
def test_wrong_types(options: Any) -> None:
    with pytest.raises(TypeError):
        build_config("i", [], **options)


def test_a_command_is_no_text() -> None:
    with pytest.raises(TypeError, match="sequence of arguments"):
        build_config("i", "sh -c true")


def test_filters_and_platforms() -> None:
    made = filters_of({"label": ["a", "b=1"], "status": "exited"})
    assert [(f.key, list(f.values)) for f in made] == [
        ("label", ["a", "b=1"]),
        ("status", ["exited"]),
    ]
    assert filters_of(None) == []
    assert platform_of("arm64").os == "linux"
