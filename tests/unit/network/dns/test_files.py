import fcntl
import os
import signal
from pathlib import Path

import pytest

from scow.contract.errors import InvalidArgument
from scow.network.dns import files
from scow.network.dns.files import Files, Resolver

HOST = Resolver(("192.0.2.53", "127.0.0.1", "fd00::53"), ("example.org",), ("ndots:2",))
NOTHING = Resolver()


def test_a_resolver_is_parsed() -> None:
    text = """# comment
; another
nameserver 192.0.2.1  # ours
nameserver\t192.0.2.2
domain old.example
search a.example b.example
options ndots:2 timeout:1
options rotate
nameserver
"""
    assert files.parse_resolver(text) == Resolver(
        ("192.0.2.1", "192.0.2.2"), ("a.example", "b.example"), ("ndots:2", "timeout:1", "rotate")
    )


def test_a_resolver_is_written_as_it_is_read() -> None:
    assert files.parse_resolver(HOST.text()) == HOST
    assert NOTHING.text() == ""


def test_behind_the_stub_of_systemd_resolved(tmp_path: Path) -> None:
    stub, behind = tmp_path / "stub", tmp_path / "behind"
    stub.write_text("nameserver 127.0.0.53\nsearch x\n")
    assert files.host_resolver(stub, behind).servers == ("127.0.0.53",)
    behind.write_text("nameserver 192.0.2.1\n")
    assert files.host_resolver(stub, behind).servers == ("192.0.2.1",)
    assert files.host_resolver(tmp_path / "missing", behind) == NOTHING


def test_what_a_container_cannot_reach_is_left_out() -> None:
    found = files.resolver_for(HOST, NOTHING, (), ("192.0.2.99",), reachable={4})
    assert found == Resolver(("192.0.2.53",), ("example.org",), ("ndots:2",))
    local = Resolver(("127.0.0.1", "::1", "0.0.0.0"))
    assert files.resolver_for(local, NOTHING, (), ("192.0.2.99",), {4}).servers == ("192.0.2.99",)


def test_servers_of_both_families_are_reached_from_both() -> None:
    host = Resolver(("fd00::53", "fe80::1%eth0", "::1", "169.254.169.253"))
    found = files.resolver_for(host, NOTHING, (), (), reachable={4, 6})
    assert found.servers == ("fd00::53", "169.254.169.253")


def test_on_the_hosts_network_its_loopback_can_be_reached() -> None:
    assert files.resolver_for(HOST, NOTHING, (), (), reachable=None) == HOST


def test_the_request_wins_over_the_configuration_and_that_over_the_host() -> None:
    asked = Resolver(("203.0.113.1",), ("asked.example",), ("rotate",))
    assert files.resolver_for(HOST, asked, ("203.0.113.2",), (), {4}) == asked
    found = files.resolver_for(HOST, NOTHING, ("203.0.113.2",), (), {4})
    assert found == Resolver(("203.0.113.2",), ("example.org",), ("ndots:2",))
    assert files.resolver_for(HOST, Resolver(search=(".",)), (), (), {4}).search == ()


def test_a_name_server_that_is_no_address() -> None:
    files.check_servers(["192.0.2.1", "fd00::1"])
    with pytest.raises(InvalidArgument) as caught:
        files.check_servers(["192.0.2.1", "dns.example"])
    assert caught.value.which == "dns.example"


def test_extra_hosts() -> None:
    entries = ["db:192.0.2.5", "host.docker.internal:host-gateway", "six:fd00::5", "b:[fd00::6]"]
    assert files.extra_hosts(entries, "10.200.0.1") == [
        ("192.0.2.5", "db"),
        ("10.200.0.1", "host.docker.internal"),
        ("fd00::5", "six"),
        ("fd00::6", "b"),
    ]


@pytest.mark.parametrize("entry", ["db", "db:", ":192.0.2.5", "db:x", "a b:192.0.2.5", "a\nb:::1"])
def test_an_extra_host_that_is_none(entry: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        files.extra_hosts([entry], "10.200.0.1")
    assert caught.value.which == entry


def test_the_hosts_gateway_needs_a_network() -> None:
    with pytest.raises(InvalidArgument):
        files.extra_hosts(["x:host-gateway"], "")


def test_hosts_of_a_container() -> None:
    text = files.hosts_text([("192.0.2.5", "db")], ["10.200.0.2"], ["web.example", "web"])
    lines = [line.split() for line in text.splitlines()]
    assert ["127.0.0.1", "localhost"] in lines
    assert lines[-2:] == [["192.0.2.5", "db"], ["10.200.0.2", "web.example", "web"]]
    assert files.hosts_text([], [], ["web"]).splitlines()[-1].split()[0] == "ff02::2"


def test_hosts_on_the_hosts_network() -> None:
    text = files.host_hosts_text([("192.0.2.5", "db")])
    assert text == Path("/etc/hosts").read_text().rstrip("\n") + "\n192.0.2.5\tdb\n"


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    owned = Files(tmp_path)
    assert not owned.exist("container/a")
    owned.write("container/a", HOST, "hosts\n", "web")
    paths = owned.paths("container/a")
    assert paths.resolv_conf.read_text() == HOST.text()
    assert paths.hosts.read_text() == "hosts\n"
    assert paths.hostname.read_text() == "web\n"
    assert paths.hosts.stat().st_mode & 0o777 == 0o644
    owned.write("container/a", NOTHING, "other\n", "web")
    assert paths.hosts.read_text() == "other\n"
    assert paths.resolv_conf.read_text() == ""
    owned.remove("container/a")
    owned.remove("container/a")
    assert not owned.exist("container/a")


def test_leftovers_are_removed(tmp_path: Path) -> None:
    owned = Files(tmp_path)
    owned.write("container/a", NOTHING, "", "a")
    owned.write("container/b", NOTHING, "", "b")
    (tmp_path / "files/.container_c").mkdir()  # writing was cut short
    assert sorted(owned.remove_others(["container/a"])) == [".container_c", "container_b"]
    assert owned.exist("container/a")
    assert not owned.exist("container/b")


@pytest.fixture
def box(tmp_path: Path) -> Files:
    """Files, of which a container's are written."""
    owned = Files(tmp_path)
    owned.write("container/a", NOTHING, "192.0.2.1\tweb\n", "a")
    return owned


def change(owned: Files) -> None:
    owned.set_resolver("container/a", HOST)
    owned.change_hosts("container/a", ["web"], new=["192.0.2.2"], gone=["192.0.2.1"])


def test_a_running_containers_files_are_changed(box: Files) -> None:
    paths = box.paths("container/a")
    same = paths.hosts.stat().st_ino
    with paths.hosts.open("ab") as file:
        file.write(b"# \xff, of its own")
    change(box)
    assert paths.resolv_conf.read_text() == HOST.text()
    assert paths.hosts.read_bytes() == b"# \xff, of its own\n192.0.2.2\tweb\n"
    assert paths.hosts.stat().st_ino == same
    box.set_resolver("container/a", NOTHING)
    assert paths.resolv_conf.read_text() == ""
    paths.resolv_conf.write_text("nameserver 192.0.2.9\n")
    box.set_resolver("container/a", HOST)
    assert paths.resolv_conf.read_text() == "nameserver 192.0.2.9\n"


def test_files_that_a_container_has_grown_are_left_alone(box: Files) -> None:
    paths = box.paths("container/a")
    for path in (paths.hosts, paths.resolv_conf):
        os.truncate(path, 1 << 40)
    change(box)
    assert {path.stat().st_size for path in (paths.hosts, paths.resolv_conf)} == {1 << 40}


def test_files_on_which_a_container_holds_a_lease_are_not_waited_for(box: Files) -> None:
    with box.paths("container/a").hosts.open() as file:
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # one that ends no process
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        change(box)
        assert file.read() == "192.0.2.1\tweb\n"


def test_what_is_no_file_in_a_files_place_is_left_alone(box: Files, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("of the host\n")
    paths = box.paths("container/a")
    paths.hosts.unlink()
    paths.hosts.symlink_to(other)
    paths.resolv_conf.unlink()
    os.mkfifo(paths.resolv_conf)
    change(box)
    assert other.read_text() == "of the host\n"
