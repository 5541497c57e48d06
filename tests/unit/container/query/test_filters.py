import pytest

from scow.api.container.v1 import container_pb2 as pb
from scow.api.container.v1.container_pb2 import ContainerConfig
from scow.api.types.v1.types_pb2 import PortMapping
from scow.container.query.filters import select
from scow.contract.errors import InvalidFilter


def container(number: int, **fields: object) -> pb.Container:
    made = pb.Container(
        id=str(number) * 64,
        name=f"name{number}",
        status=pb.STATUS_RUNNING,
        image_id=f"sha256:{number}",
        **fields,  # type: ignore[arg-type]
    )
    made.created_at.FromSeconds(number)
    return made


ALL = [
    container(1, labels={"a": "1"}, config=ContainerConfig(image="busybox")),
    container(
        2,
        labels={"a": "2", "b": ""},
        config=ContainerConfig(network="backend"),
        mounts=[pb.MountPoint(type="volume", name="data", source="/v", destination="/data")],
    ),
    container(
        3,
        ports=[PortMapping(host_port=8080, container_port=80)],
        exposed_ports=["80/tcp", "53/udp", "9000-9010/tcp"],
        endpoints=[pb.Endpoint(network="bridge", network_id="abcdef")],
    ),
    container(4),
]
ALL[3].status = pb.STATUS_EXITED
ALL[3].exit_code = 7


def chosen(filters: dict[str, list[str]], *, show_all: bool = True) -> str:
    found = select(ALL, filters, show_all=show_all, ancestors=frozenset({"sha256:3"}))
    return "".join(c.name[-1] for c in found)


def test_newest_first_and_only_those_that_run() -> None:
    assert chosen({}) == "4321"
    assert chosen({}, show_all=False) == "321"


@pytest.mark.parametrize(
    ("key", "values", "expected"),
    [
        ("id", ["22"], "2"),
        ("id", ["1", "3"], "31"),
        ("name", ["name"], "4321"),
        ("name", ["^name2$", "^/name3$"], "32"),
        ("label", ["a"], "21"),
        ("label", ["a=1"], "1"),
        ("label", ["a", "b"], "2"),
        ("status", ["exited"], "4"),
        ("status", ["running", "exited"], "4321"),
        ("exited", ["7"], "4"),
        ("exited", ["0"], ""),
        ("ancestor", ["busybox"], "31"),
        ("volume", ["data"], "2"),
        ("volume", ["/data/"], "2"),
        ("volume", ["other"], ""),
        ("network", ["backend"], "2"),
        ("network", ["bridge"], "431"),
        ("network", ["abc"], "3"),
        ("publish", ["8080"], "3"),
        ("publish", ["80/tcp"], "3"),
        ("publish", ["8000-9000"], "3"),
        ("publish", ["8080/udp"], ""),
        ("expose", ["53/udp"], "3"),
        ("expose", ["9005"], "3"),
        ("expose", ["53"], ""),
        ("before", ["name3"], "21"),
        ("since", ["name3"], "4"),
        ("since", ["1111"], "432"),
    ],
)
def test_each_filter(key: str, values: list[str], expected: str) -> None:
    assert chosen({key: values}) == expected


def test_keys_are_all_met() -> None:
    assert chosen({"label": ["a"], "network": ["backend"]}) == "2"


@pytest.mark.parametrize("key", ["status", "since"])
def test_some_filters_show_what_does_not_run(key: str) -> None:
    assert "4" in chosen({key: ["exited" if key == "status" else "name1"]}, show_all=False)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("status", "gone"),
        ("exited", "x"),
        ("publish", "http"),
        ("expose", "80/icmp"),
        ("name", "("),
        ("before", "nobody"),
    ],
)
def test_values_that_a_filter_does_not_take(key: str, value: str) -> None:
    with pytest.raises(InvalidFilter):
        chosen({key: [value]})


def test_no_name_filter_holds_others() -> None:
    """Found by attack: each call waited 22 s for `^(a+)+$`; with a longer name for ever."""
    names = [pb.Container(id="1", name="a" * 64 + "b", status=pb.STATUS_RUNNING)]
    assert select(names, {"name": ["^(a+)+$"]}, show_all=True) == []
