import pytest
from google.protobuf.descriptor import FieldDescriptor

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.image.v1.image_pb2 import Image, ImageConfig
from scow.api.types.v1.types_pb2 import PortMapping
from scow.container.spec import process
from scow.contract.errors import InvalidConfig, LimitExceeded

IMAGE = ImageConfig(entrypoint=["/entry"], cmd=["serve", "-v"])


@pytest.mark.parametrize(
    ("config", "args"),
    [
        (ContainerConfig(), "/entry serve -v"),
        (ContainerConfig(command=["x"]), "/entry x"),
        (ContainerConfig(override_entrypoint=True, entrypoint=["/e"]), "/e"),
        (ContainerConfig(override_entrypoint=True, entrypoint=["/e"], command=["c"]), "/e c"),
        (ContainerConfig(override_entrypoint=True, command=["c"]), "c"),
    ],
)
def test_command(config: ContainerConfig, args: str) -> None:
    assert process.command(config, IMAGE) == args.split()


def test_no_command_is_refused() -> None:
    with pytest.raises(InvalidConfig) as caught:
        process.command(ContainerConfig(override_entrypoint=True), IMAGE)
    assert caught.value.which == "command"


def test_env_is_replaced_in_place_and_taken_away() -> None:
    merged = process.merge_env(["A=1", "B=2", "C=3"], ["B=x=y", "D="], ["C"])
    assert merged == ["A=1", "B=x=y", "D="]


def test_a_name_alone_takes_away_what_the_engine_sets() -> None:
    described = pb.Container(hostname="h", env=["A=1"])
    described.config.env.extend(["HOSTNAME", "A"])
    assert process.process_env(described, tty=True) == ["TERM=xterm", "A=1"]


def test_process_env_has_hostname_and_terminal_but_yields_to_the_containers() -> None:
    described = pb.Container(hostname="h", env=["PATH=/bin", "A=1", "HOSTNAME=own"])
    assert process.process_env(described, tty=True, more=["A=2"]) == [
        "PATH=/bin",
        "HOSTNAME=own",
        "TERM=xterm",
        "A=2",
    ]


def test_apply_lets_the_configuration_win() -> None:
    described = pb.Container(
        config=ContainerConfig(
            env=["A=2"], user="app", working_dir="/w", labels={"x": "mine"}, stop_signal="QUIT"
        )
    )
    image = Image(
        id="sha256:1",
        config=ImageConfig(
            cmd=["c"],
            env=["PATH=/opt", "A=1"],
            user="root",
            working_dir="/i",
            labels={"x": "image", "y": "image"},
            stop_signal="INT",
        ),
    )
    process.apply(described, image)
    assert list(described.env) == ["PATH=/opt", "A=2"]
    assert (described.user, described.working_dir, described.stop_signal) == ("app", "/w", "QUIT")
    assert dict(described.labels) == {"x": "mine", "y": "image"}


def test_apply_falls_back_to_the_image_then_to_defaults() -> None:
    described = pb.Container(config=ContainerConfig())
    process.apply(described, Image(config=ImageConfig(cmd=["c"], user="u", stop_signal="INT")))
    assert (described.user, described.working_dir, described.stop_signal) == ("u", "/", "INT")
    assert list(described.env) == [process.PATH]


def test_exposed_ports_come_from_everywhere_in_order() -> None:
    config = ContainerConfig(
        exposed_ports=["90", "53/udp"], ports=[PortMapping(container_port=8000, count=2)]
    )
    image = ImageConfig(exposed_ports=["80/tcp", "90/tcp"])
    found = process.exposed(config, image)
    assert found == ["53/udp", "80/tcp", "90/tcp", "8000/tcp", "8001/tcp"]


def test_publish_all_adds_what_is_not_published() -> None:
    described = pb.Container(
        config=ContainerConfig(
            publish_all=True, ports=[PortMapping(container_port=80, host_port=8080)]
        ),
        exposed_ports=["80/tcp", "90-91/udp"],
    )
    found = process.ports(described)
    assert [(p.container_port, p.host_port, p.count, p.protocol) for p in found] == [
        (80, 8080, 0, ""),
        (90, 0, 2, "udp"),
    ]


def test_image_volumes_are_anonymous_unless_covered() -> None:
    config = ContainerConfig(mounts=[pb.MountSpec(type="bind", source="/x", target="/data/")])
    found = process.image_volumes(process.mounts(config), ImageConfig(volumes=["/data", "/logs"]))
    assert [(m.type, m.source, m.target) for m in found] == [("volume", "", "/logs")]


def test_mounts_are_handed_on_whole() -> None:
    spec = pb.MountSpec()
    for field in spec.DESCRIPTOR.fields:
        _fill(spec, field)
    assert {field.name for field, _ in spec.ListFields()} == {
        field.name for field in spec.DESCRIPTOR.fields
    }
    (request,) = process.mounts(ContainerConfig(mounts=[spec]))
    for field in spec.DESCRIPTOR.fields:
        assert getattr(request, field.name) == getattr(spec, field.name), field.name


def _fill(spec: pb.MountSpec, field: FieldDescriptor) -> None:
    """Set a field to something that is not its default."""
    name = field.name
    if field.message_type is not None:  # a map of strings
        getattr(spec, name)["key"] = "value"
    elif field.is_repeated:
        getattr(spec, name).append("item")
    elif field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        setattr(spec, name, True)
    else:
        setattr(spec, name, "text" if field.cpp_type == FieldDescriptor.CPPTYPE_STRING else 7)


def test_a_range_is_one_message_however_large() -> None:
    """An image that exposed a million ports made one message of each: 700 MB."""
    described = pb.Container(exposed_ports=["1-65535/tcp", "53/udp", "7"])
    described.config.CopyFrom(
        ContainerConfig(
            publish_all=True, ports=[PortMapping(container_port=80, host_port=8080, count=2)]
        )
    )
    assert [(p.container_port, p.count, p.protocol) for p in process.ports(described)] == [
        (80, 2, ""),
        (1, 79, "tcp"),
        (82, 65454, "tcp"),
        (53, 1, "udp"),
    ]


def test_published_ports_are_counted_once() -> None:
    ports = [PortMapping(container_port=1, host_port=1, count=65535)] * 1000
    assert len(process.exposed(ContainerConfig(ports=ports), ImageConfig())) == 65535


def test_the_labels_of_image_and_container_have_one_bound() -> None:
    described = pb.Container(config=ContainerConfig(command=["x"], labels={"a": "x" * 600_000}))
    with pytest.raises(LimitExceeded):
        process.apply(described, Image(config=ImageConfig(labels={"b": "x" * 600_000})))
