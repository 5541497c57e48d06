from typing import Any

import pytest

from scow.api.image.v1.image_pb2 import Healthcheck, ImageConfig
from scow.container.model import image_config
from scow.contract.errors import ImageUnusable


def test_what_images_have_is_taken() -> None:
    image_config.check(
        ImageConfig(
            user="1000:www-data",
            exposed_ports=["80/tcp", "8000-8010/udp", "9/sctp", "7"],
            env=["PATH=/bin", "EMPTY=", "BARE"],
            entrypoint=["/entry", ""],
            volumes=["/data", "/var/lib/x/"],
            working_dir="/srv",
            labels={"a": "b"},
            stop_signal="SIGRTMIN+3",
            healthcheck=Healthcheck(test=["CMD-SHELL", "true"], interval=10**9, retries=3),
        )
    )
    image_config.check(ImageConfig())


@pytest.mark.parametrize(
    ("which", "fields"),
    [
        ("ExposedPorts", {"exposed_ports": ["1-1000000/tcp"]}),
        ("ExposedPorts", {"exposed_ports": ["²/tcp"]}),
        ("ExposedPorts", {"exposed_ports": [f"{number}/tcp" for number in range(1, 5000)]}),
        ("Entrypoint", {"entrypoint": ["a\0b"]}),
        ("Cmd", {"cmd": ["a" * (128 << 10)]}),
        ("Env", {"env": ["A=\0"]}),
        ("Env", {"env": ["=x"]}),
        ("Env", {"env": ["A=" + "é" * (64 << 10)]}),
        ("Labels", {"labels": {"a": "x" * (1 << 20)}}),
        ("WorkingDir", {"working_dir": "relative"}),
        ("WorkingDir", {"working_dir": "/" + "x" * 4096}),
        ("User", {"user": "root\nevil"}),
        ("User", {"user": "9" * 5000}),
        ("User", {"user": "0:2147483648"}),
        ("StopSignal", {"stop_signal": "9" * 5000}),
        ("StopSignal", {"stop_signal": "RTMIN+" + "9" * 5000}),
        ("StopSignal", {"stop_signal": "²"}),
        ("Volumes", {"volumes": [""]}),
        ("Volumes", {"volumes": ["data"]}),
        ("Volumes", {"volumes": ["/a\0"]}),
        ("Volumes", {"volumes": [f"/{number}" for number in range(257)]}),
        ("Healthcheck", {"healthcheck": Healthcheck(test=["RUN", "x"])}),
        ("Healthcheck", {"healthcheck": Healthcheck(interval=-1)}),
        ("Healthcheck", {"healthcheck": Healthcheck(timeout=10)}),
        ("Healthcheck", {"healthcheck": Healthcheck(retries=-1)}),
    ],
)
def test_what_no_container_can_be_made_from_is_named(which: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ImageUnusable) as caught:
        image_config.check(ImageConfig(**fields))
    assert caught.value.which == which
    assert caught.value.metadata["do"]
