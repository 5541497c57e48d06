from pathlib import Path

import pytest

from scow.contract.errors import InvalidConfig
from scow.core import config


def test_defaults_stand_without_a_file() -> None:
    loaded = config.load(environ={}, file=None)
    assert loaded.root == Path("/var/lib/scow")
    assert loaded.socket("image") == Path("/run/scow/image.sock")
    assert loaded.data("volume") == Path("/var/lib/scow/volume")


def test_flags_win_over_environment_and_environment_over_file(tmp_path: Path) -> None:
    file = tmp_path / "scow.toml"
    file.write_text('root = "/a"\nrun = "/b"\ninstance = "one"\n[server]\ndrain_seconds = 2\n')
    environ = {"SCOW_RUN": "/env", "SCOW_INSTANCE": "two", "SCOW_SERVER_JOURNAL_KEEP": "7"}
    loaded = config.load(file, environ, {"instance": "three", "root": ""})
    assert (loaded.root, loaded.run, loaded.instance) == (Path("/a"), Path("/env"), "three")
    assert loaded.server.drain_seconds == 2.0
    assert loaded.server.journal_keep == 7


@pytest.mark.parametrize(
    ("text", "which", "hint"),
    [
        ('rooot = "/x"', "rooot", "did you mean root?"),
        ("[server]\ndrain_second = 1", "server.drain_second", "did you mean server.drain_seconds?"),
        ('[server]\ndrain_seconds = "soon"', "server.drain_seconds", "type float"),
        ("[server]\nmax_concurrent_calls = true", "server.max_concurrent_calls", "type int"),
        ("server = 3", "server", "type ServerSection"),
        ('instance = "much-too-long"', "instance", "1 to 8 letters"),
    ],
)
def test_wrong_keys_and_values_are_named(tmp_path: Path, text: str, which: str, hint: str) -> None:
    file = tmp_path / "scow.toml"
    file.write_text(text)
    with pytest.raises(InvalidConfig) as caught:
        config.load(file, {})
    assert caught.value.which == which
    assert hint in caught.value.metadata["do"]


def test_unknown_variables_are_errors_but_the_clients_are_not() -> None:
    config.load(environ={"SCOW_HOST": "unix:///x", "SCOW_TEST_CACHE": "/x"})
    with pytest.raises(InvalidConfig, match="unknown configuration key runn"):
        config.load(environ={"SCOW_RUNN": "/x"})


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"there is no configuration file"):
        config.load(tmp_path / "none.toml", {})


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "scow.toml"
    file.write_text("root = ")
    with pytest.raises(InvalidConfig) as caught:
        config.load(file, {})
    assert caught.value.which == str(file)
