import pytest

from scow.api.container.v1.container_pb2 import LogConfig
from scow.container.logs.options import LogOptions, parse
from scow.contract.errors import InvalidConfig


@pytest.mark.parametrize(
    ("log", "options"),
    [
        (LogConfig(), LogOptions()),
        (LogConfig(driver="none"), LogOptions("none")),
        (LogConfig(options={"max-size": "10m"}), LogOptions(max_size=10 << 20)),
        (LogConfig(options={"max-size": "1"}), LogOptions(max_size=1)),
        (LogConfig(options={"max-size": "1k"}), LogOptions(max_size=1024)),
        (LogConfig(options={"max-size": "1.5m"}), LogOptions(max_size=3 << 19)),
        (LogConfig(options={"max-size": "2GiB"}), LogOptions(max_size=2 << 30)),
        (LogConfig(options={"max-size": "-1", "max-file": "5"}), LogOptions(max_files=5)),
    ],
)
def test_options(log: LogConfig, options: LogOptions) -> None:
    assert parse(log) == options


@pytest.mark.parametrize(
    "log",
    [
        LogConfig(driver="syslog"),
        LogConfig(driver="none", options={"max-size": "1m"}),
        LogConfig(options={"labels": "x"}),
        LogConfig(options={"max-size": "10x"}),
        LogConfig(options={"max-size": "0"}),
        LogConfig(options={"max-size": "9" * 15 + "t"}),
        LogConfig(options={"max-file": "0"}),
        LogConfig(options={"max-file": "many"}),
    ],
)
def test_wrong_options_are_refused(log: LogConfig) -> None:
    with pytest.raises(InvalidConfig):
        parse(log)
