"""A container's configuration as that of an image."""

from __future__ import annotations

from scow.api.container.v1 import container_pb2 as pb
from scow.api.image.v1.image_pb2 import Healthcheck, ImageConfig
from scow.container.content.commit import effective

IMAGE = ImageConfig(
    entrypoint=["entry"],
    cmd=["command"],
    env=["A=image", "B=image"],
    volumes=["/image"],
    working_dir="/srv",
    stop_signal="SIGQUIT",
    on_build=["RUN x"],
    healthcheck=Healthcheck(test=["CMD", "true"]),
)


def test_what_the_container_does_not_say_is_the_images() -> None:
    made = effective(pb.Container(labels={"a": "b"}, exposed_ports=["80/tcp"], user="u"), IMAGE)
    assert (list(made.entrypoint), list(made.cmd)) == (["entry"], ["command"])
    assert (made.working_dir, made.stop_signal, made.user) == ("/srv", "SIGQUIT", "u")
    assert list(made.env) == ["A=image", "B=image"]
    assert (dict(made.labels), list(made.exposed_ports)) == ({"a": "b"}, ["80/tcp"])
    assert made.healthcheck == IMAGE.healthcheck
    assert not made.on_build


def test_what_the_container_says() -> None:
    config = pb.ContainerConfig(
        command=["other"],
        env=["A=own", "B"],
        working_dir="/w",
        mounts=[
            pb.MountSpec(type="volume", target="/anonymous"),
            pb.MountSpec(type="volume", source="named", target="/named"),
            pb.MountSpec(type="bind", source="/s", target="/bound"),
        ],
    )
    made = effective(pb.Container(config=config), IMAGE)
    assert (list(made.entrypoint), list(made.cmd)) == (["entry"], ["other"])
    assert list(made.env) == ["A=own"]
    assert list(made.volumes) == ["/anonymous", "/image"]
    config = pb.ContainerConfig(override_entrypoint=True, entrypoint=["own"])
    made = effective(pb.Container(config=config), IMAGE)
    assert (list(made.entrypoint), list(made.cmd)) == (["own"], [])
