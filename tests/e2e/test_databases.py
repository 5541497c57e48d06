"""Real databases with their data on volumes: postgresql and redis of Debian, under load, full, moved and upgraded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import images
from tests.support.disks import loop_device
from tests.support.engine import Engine
from tests.support.processes import wait_for

pytestmark = pytest.mark.xdist_group("databases")

_MIB = 1 << 20
_POSTGRES = ("-u", "postgres", "--stop-signal", "SIGINT", "-e", "PGHOST=/tmp")
_PGDATA = "/var/lib/postgresql/data"
_SERVE_POSTGRES = (
    f"[ -s {_PGDATA}/PG_VERSION ] || initdb -A trust -D {_PGDATA} >/dev/null;"
    f" exec postgres -D {_PGDATA} -c unix_socket_directories=/tmp -c listen_addresses="
)
# Each transaction of pgbench changes all four alike.
_SUMS = (
    "select sum(abalance) from pgbench_accounts union all select sum(tbalance) from pgbench_tellers"
    " union all select sum(bbalance) from pgbench_branches"
    " union all select sum(delta) from pgbench_history"
)
_COUNT = "select count(*) from pgbench_history"
_SERVE_REDIS = (
    *("redis-server", "--dir", "/var/lib/redis", "--appendonly", "yes"),
    *("--unixsocket", "/tmp/redis", "--port", "0", "--save", ""),
)
_BOTH = "redis.call('incr','a') redis.call('incr','b')"


@pytest.fixture(scope="module")
def database(shared_engine: Engine) -> Iterator[Engine]:
    """The engine with the images `databases` and `mended`."""
    for archive in (images.databases(), images.mended_databases()):
        shared_engine.cli("load", "-i", str(archive), seconds=300)
    yield shared_engine
    shared_engine.remove_containers()
    shared_engine.cli("rmi", "databases", "mended")


@pytest.fixture(scope="module")
def second() -> Iterator[Engine]:
    """Another engine, with the image `mended`."""
    with Engine() as engine:
        engine.cli("load", "-i", str(images.mended_databases()), seconds=300)
        yield engine


@pytest.fixture(autouse=True)
def clean(database: Engine) -> Iterator[None]:
    yield
    database.remove_containers()
    snapshots = database.cli("volume", "snapshot", "ls", "-q").stdout.split()
    if snapshots:
        database.cli("volume", "snapshot", "rm", *snapshots)
    database.cli("volume", "prune", "-f", "--all")


def remove(engine: Engine, name: str) -> None:
    engine.cli("rm", "-f", name)
    engine.cli("volume", "rm", "data")


def inside(engine: Engine, name: str, *command: str, check: bool = True) -> str:
    done = engine.cli("exec", name, *command, check=check)
    return done.stdout + done.stderr


def postgres(engine: Engine, name: str, volume: str, image: str = "databases") -> None:
    """Run postgresql on a volume until it answers."""
    mount = f"{volume}:/var/lib/postgresql"
    engine.cli(
        "run", "-d", "--name", name, *_POSTGRES, "-v", mount, image, "sh", "-c", _SERVE_POSTGRES
    )
    wait_for(
        lambda: engine.cli("exec", name, "pg_isready", check=False).returncode == 0,
        "postgresql to answer",
        60,
    )


def sql(engine: Engine, name: str, statement: str, *, check: bool = True) -> str:
    return inside(engine, name, "psql", "-qAtc", statement, check=check).strip()


def transactions(engine: Engine, name: str) -> int:
    """Return how many transactions there were, after looking that none is there by half."""
    sums = sql(engine, name, _SUMS).split()
    assert len(sums) == 4
    assert len(set(sums)) == 1, sums
    return int(sql(engine, name, _COUNT))


def test_postgresql(database: Engine, second: Engine, tmp_path: Path) -> None:
    engine = database
    postgres(engine, "first", "data")
    inside(engine, "first", "pgbench", "-q", "-i", "-s", "1")
    engine.cli("exec", "-d", "first", "pgbench", "-n", "-c", "4", "-T", "600")
    wait_for(lambda: int(sql(engine, "first", _COUNT)) > 200, "transactions")

    # Under load, as after a power cut: all that was committed, and nothing by half.
    committed = int(sql(engine, "first", _COUNT))
    engine.cli("volume", "snapshot", "create", "--freeze", "data@hot")
    wait_for(lambda: int(sql(engine, "first", _COUNT)) > committed, "transactions after the thaw")
    engine.cli("volume", "clone", "data@hot", "copy")
    postgres(engine, "second", "copy")
    frozen = transactions(engine, "second")
    assert frozen >= committed
    engine.cli("stop", "second")

    # Restored, and upgraded to a new image.
    refused = engine.cli("volume", "snapshot", "restore", "data@hot", check=False)
    assert "first" in refused.stderr
    engine.cli("stop", "first")
    engine.cli("volume", "snapshot", "restore", "data@hot")
    before, after = (
        engine.cli("run", "--rm", image, "postgres", "--version").stdout
        for image in ("databases", "mended")
    )
    assert before < after
    postgres(engine, "third", "data", "mended")
    assert sql(engine, "third", "show server_version") in after
    assert transactions(engine, "third") == frozen
    sql(engine, "third", "insert into pgbench_history values (1, 1, 1, 0, now())")
    engine.cli("stop", "third")

    # On a second engine.
    engine.cli("volume", "export", "-o", f"{tmp_path}/data.tar", "data")
    second.cli("volume", "import", "data", f"{tmp_path}/data.tar")
    postgres(second, "there", "data", "mended")
    assert transactions(second, "there") == frozen + 1
    remove(second, "there")


def test_postgresql_on_a_full_volume(database: Engine, tmp_path: Path) -> None:
    engine = database
    with loop_device(tmp_path / "disk", 160 * _MIB, ["mkfs.ext4", "-q", "-m", "0"]) as device:
        engine.cli("volume", "create", "-o", "type=ext4", "-o", f"device={device}", "small")
        prepare = "chown postgres: /d && fallocate -l 8M /d/ballast"
        engine.cli("run", "--rm", "-v", "small:/d", "databases", "sh", "-c", prepare)
        postgres(engine, "first", "small")
        sql(engine, "first", "create table t (x text)")
        insert = "insert into t select repeat(md5(i::text), 30) from generate_series(1, 10000) i"
        said: list[str] = []

        def full() -> bool:
            said[:] = [sql(engine, "first", insert, check=False)]
            return said != [""]

        wait_for(full, "the volume to be full", 60)
        assert "No space left on device" in said[0] or "closed the connection" in said[0]
        engine.cli("stop", "first")
        engine.cli("run", "--rm", "-v", "small:/d", "databases", "rm", "/d/ballast")
        engine.cli("start", "first")
        wait_for(
            lambda: engine.cli("exec", "first", "pg_isready", check=False).returncode == 0,
            "postgresql to recover",
            60,
        )
        rows = int(sql(engine, "first", "select count(*) from t"))
        assert rows > 0
        assert rows % 10000 == 0
        engine.cli("rm", "-f", "first")
        engine.cli("volume", "rm", "small")


def redis(engine: Engine, name: str, volume: str, image: str = "databases") -> None:
    """Run redis on a volume until it has read what is there."""
    mount = ("-u", "redis", "-v", f"{volume}:/var/lib/redis")
    engine.cli("run", "-d", "--name", name, *mount, image, *_SERVE_REDIS)
    wait_for(lambda: ask(engine, name, "ping") == "PONG", "redis to answer")


def ask(engine: Engine, name: str, *command: str) -> str:
    return inside(engine, name, "redis-cli", "-s", "/tmp/redis", *command, check=False).strip()


def pairs(engine: Engine, name: str) -> int:
    """Return how often both numbers were counted, after looking that none was counted alone."""
    first, second = ask(engine, name, "mget", "a", "b").split()
    assert first == second
    return int(first)


def test_redis(database: Engine, second: Engine, tmp_path: Path) -> None:
    engine = database
    redis(engine, "first", "data")
    load = ("redis-benchmark", "-s", "/tmp/redis", "-q", "-n", "100000000", "eval", _BOTH, "0")
    engine.cli("exec", "-d", "first", *load)
    wait_for(lambda: int(ask(engine, "first", "get", "a") or 0) > 1000, "some load")
    engine.cli("volume", "snapshot", "create", "--freeze", "data@hot")
    engine.cli("volume", "clone", "data@hot", "copy")
    redis(engine, "second", "copy")
    frozen = pairs(engine, "second")
    assert 0 < frozen < pairs(engine, "first")
    engine.cli("stop", "first", "second")

    engine.cli("volume", "snapshot", "restore", "data@hot")
    redis(engine, "third", "data", "mended")
    assert pairs(engine, "third") == frozen
    ask(engine, "third", "eval", _BOTH, "0")
    engine.cli("stop", "third")

    engine.cli("volume", "export", "-o", f"{tmp_path}/data.tar", "data")
    second.cli("volume", "import", "data", f"{tmp_path}/data.tar")
    redis(second, "there", "data", "mended")
    assert pairs(second, "there") == frozen + 1
    remove(second, "there")


def test_redis_on_a_full_volume(database: Engine) -> None:
    engine = database
    options = ("-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=8m,mode=1777")
    engine.cli("volume", "create", *options, "small")
    # Its content is there for as long as somebody has it mounted.
    keep = "fallocate -l 2M /d/ballast && exec sleep 600"
    engine.cli("run", "-d", "--name", "keeper", "-v", "small:/d", "databases", "sh", "-c", keep)
    wait_for(lambda: "ballast" in inside(engine, "keeper", "ls", "/d"), "the ballast")
    redis(engine, "first", "small")
    value, said = "x" * 100_000, ""
    for number in range(200):
        said = ask(engine, "first", "set", f"key{number}", value)
        if said != "OK":
            break
    assert "MISCONF" in said
    stored = [key for key in ask(engine, "first", "keys", "*").split() if key.startswith("key")]
    inside(engine, "keeper", "rm", "/d/ballast")
    wait_for(lambda: ask(engine, "first", "set", "room", "again") == "OK", "redis to write again")
    engine.cli("restart", "first")
    wait_for(lambda: ask(engine, "first", "get", "room") == "again", "redis to answer")
    found = ask(engine, "first", "keys", "*").split()
    assert set(stored) <= set(found)
    engine.cli("rm", "-f", "first", "keeper")
