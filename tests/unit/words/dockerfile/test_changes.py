"""Dockerfile instructions on a configuration."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.contract.errors import InvalidArgument
from scow.core.image_config import config_json
from scow.image.oci import manifests
from scow.words.dockerfile import changes


def changed(*instructions: str) -> pb.ImageConfig:
    config = pb.ImageConfig()
    changes.apply(config, instructions)
    return config


def test_commands() -> None:
    config = changed("ENTRYPOINT /bin/serve --all", 'CMD ["a b", "c"]')
    assert list(config.entrypoint) == ["/bin/sh", "-c", "/bin/serve --all"]
    assert list(config.cmd) == ["a b", "c"]


def test_environment_is_replaced_by_key() -> None:
    config = changed("ENV A=1 B='two words'", "env A=3", "ENV OLD the old form")
    assert list(config.env) == ["A=3", "B=two words", "OLD=the old form"]


def test_directories_add_up() -> None:
    assert changed("WORKDIR /srv", "WORKDIR app", "WORKDIR ../lib").working_dir == "/srv/lib"


def test_a_healthcheck() -> None:
    check = changed("HEALTHCHECK --interval=1m30s --retries=4 CMD curl localhost").healthcheck
    assert list(check.test) == ["CMD-SHELL", "curl localhost"]
    assert (check.interval, check.retries) == (90 * 10**9, 4)
    assert list(changed("HEALTHCHECK NONE").healthcheck.test) == ["NONE"]


def test_the_interval_at_the_start_is_kept() -> None:
    written = config_json(changed("HEALTHCHECK --start-interval=2s CMD x"))
    assert written["Healthcheck"]["StartInterval"] == 2 * 10**9
    document = {"os": "linux", "architecture": "amd64", "config": written}
    document["rootfs"] = {"type": "layers", "diff_ids": []}
    read = manifests.parse_configuration(json.dumps(document).encode())
    assert read.config.healthcheck.start_interval == 2 * 10**9


def test_the_rest() -> None:
    config = changed(
        "EXPOSE 80 53/udp",
        "LABEL a=b c='d e'",
        "VOLUME /data /more",
        "STOPSIGNAL SIGQUIT",
        "USER app:extra",
        'SHELL ["/bin/bash", "-c"]',
        "ONBUILD RUN true",
    )
    written = config_json(config)
    assert written == {
        "ExposedPorts": {"53/udp": {}, "80/tcp": {}},
        "Labels": {"a": "b", "c": "d e"},
        "Volumes": {"/data": {}, "/more": {}},
        "StopSignal": "SIGQUIT",
        "User": "app:extra",
        "Shell": ["/bin/bash", "-c"],
        "OnBuild": ["RUN true"],
    }


@pytest.mark.parametrize(
    "option",
    [
        "--retries=\u00b2",
        "--retries=99999999999",
        "--interval=" + "9" * 400 + "h",
        "--timeout=999999999999999999h",
        "--interval=1e9s",
        "--interval=\u0661s",
    ],
)
def test_numbers_that_nothing_holds(option: str) -> None:
    with pytest.raises(InvalidArgument):
        changed(f"HEALTHCHECK {option} CMD x")


@pytest.mark.parametrize(
    "change",
    ["", "FROM x", "ENV", "EXPOSE http", "LABEL", "VOLUME rel", "SHELL /bin/sh", "ONBUILD FROM x"],
)
def test_refused(change: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        changed(change)
    assert caught.value.metadata["what"] == "change"


def test_an_entrypoint_drops_the_command_that_was_meant_for_another() -> None:
    config = pb.ImageConfig(cmd=["old"])
    changes.apply(config, ['ENTRYPOINT ["new"]'])
    assert list(config.cmd) == []
    config = changed('CMD ["kept"]', 'ENTRYPOINT ["new"]')
    assert list(config.cmd) == ["kept"]


def test_the_shell_form_uses_the_shell() -> None:
    assert list(changed('SHELL ["bash", "-c"]', "CMD a b").cmd) == ["bash", "-c", "a b"]


def test_variables_are_those_of_the_environment() -> None:
    config = changed(
        "ENV A=/opt B=b",
        "ENV PATH=$A/bin:${PATH:-/bin} C=$B",
        "WORKDIR $A/work",
        "LABEL at=$A plain='$A'",
        "USER $B",
        "VOLUME $A/data",
        "CMD echo $A",
    )
    assert list(config.env) == ["A=/opt", "B=b", "PATH=/opt/bin:/bin", "C=b"]
    assert (config.working_dir, config.user, list(config.volumes)) == (
        "/opt/work",
        "b",
        ["/opt/data"],
    )
    assert dict(config.labels) == {"at": "/opt", "plain": "$A"}
    assert list(config.cmd) == ["/bin/sh", "-c", "echo $A"]


def test_ports() -> None:
    assert list(changed("EXPOSE 8000-8002/UDP 80").exposed_ports) == [
        "80/tcp",
        "8000/udp",
        "8001/udp",
        "8002/udp",
    ]


@pytest.mark.parametrize(
    "instructions",
    [
        ["EXPOSE 1-65535"],
        ["EXPOSE" + " 1-65535" * 50],
        ["EXPOSE" + " 1-4096" * 50],
        ["EXPOSE 1-4096", "EXPOSE 5000"],
    ],
    ids=["range", "ranges", "repeated", "together"],
)
def test_more_ports_than_a_container_can_be_made_with(instructions: list[str]) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(InvalidArgument, match="more than 4096 ports"):
            changed(*instructions)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def test_as_many_ports_as_a_container_can_be_made_with() -> None:
    assert len(changed("EXPOSE 1-4000", "EXPOSE 4001-4096/udp 80").exposed_ports) == 4096


def test_many_variables_at_once() -> None:
    # With a search for each, a hundred million comparisons.
    config = changed(
        "ENV K0=old LAST=x", "ENV " + " ".join(f"K{number}=v" for number in range(40_000))
    )
    assert list(config.env)[:3] == ["K0=v", "LAST=x", "K1=v"]
    assert len(config.env) == 40_001


def test_the_first_of_two_entries_of_a_variable_is_replaced() -> None:
    config = pb.ImageConfig(env=["A=1", "B=2", "A=3"])
    changes.apply(config, ["ENV A=4"])
    assert list(config.env) == ["A=4", "B=2", "A=3"]


@pytest.mark.parametrize(
    "text",
    [
        "EXPOSE 0",
        "EXPOSE 70000",
        "EXPOSE 9-8",
        "STOPSIGNAL SIGNOTHING",
        "STOPSIGNAL 65",
        "ENV A='b",
    ],
)
def test_what_docker_refuses(text: str) -> None:
    with pytest.raises(InvalidArgument):
        changed(text)
