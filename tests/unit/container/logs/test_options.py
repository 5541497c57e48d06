import pytest

from scow.api.container.v1.container_pb2 import ContainerConfig, LogConfig
from scow.container.logs.options import LogOptions, parse, resolve, without_effect
from scow.contract.errors import InvalidConfig
from scow.core.config import ContainerSection


@pytest.mark.parametrize(
    ("log", "options"),
    [
        (LogConfig(), LogOptions()),
        (LogConfig(driver="none"), LogOptions("none")),
        (LogConfig(options={"labels": "x"}), LogOptions()),
        (LogConfig(options={"compress": "true"}), LogOptions(compress=True)),
        (LogConfig(driver="cri"), LogOptions("cri")),
        (LogConfig(driver="local"), LogOptions("local", 20 << 20, 5, compress=True)),
        (
            LogConfig(driver="syslog", options={"cache-max-size": "1k", "cache-compress": "f"}),
            LogOptions("syslog", 1024, 5),
        ),
        (LogConfig(options={"mode": "non-blocking"}), LogOptions()),
        (
            LogConfig(options={"mode": "non-blocking", "max-buffer-size": "4k"}),
            LogOptions(),
        ),
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
        LogConfig(driver="awslogs"),
        LogConfig(options={"mode": "now"}),
        LogConfig(options={"max-buffer-size": "1m"}),
        LogConfig(options={"mode": "non-blocking", "max-buffer-size": "x"}),
        LogConfig(options={"compress": "maybe"}),
        LogConfig(options={"labels-regex": "("}),
        LogConfig(options={"tag": "{{"}),
        LogConfig(driver="local", options={"tag": "x"}),
        LogConfig(driver="syslog", options={"max-size": "1m"}),
        LogConfig(driver="syslog", options={"cache-disabled": "true"}),
        LogConfig(driver="syslog", options={"syslog-address": "foo://x"}),
        LogConfig(driver="syslog", options={"syslog-address": "tcp://x:99999"}),
        LogConfig(driver="syslog", options={"syslog-facility": "foo"}),
        LogConfig(driver="syslog", options={"syslog-format": "foo"}),
        LogConfig(driver="fluentd", options={"fluentd-address": "foo://x"}),
        LogConfig(driver="fluentd", options={"fluentd-address": "tcp://[x"}),
        LogConfig(driver="fluentd", options={"fluentd-address": "a..b:1"}),
        LogConfig(driver="fluentd", options={"fluentd-address": "unix:///a\0b"}),
        LogConfig(driver="syslog", options={"syslog-address": "udp://a..b"}),
        LogConfig(driver="fluentd", options={"fluentd-request-ack": "maybe"}),
        LogConfig(driver="none", options={"max-size": "1m"}),
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


@pytest.mark.parametrize("option", ["syslog-address=unix:///nonexistent", "syslog-tls-key=/none"])
def test_what_is_not_on_the_host_is_refused_for_new_containers_alone(option: str) -> None:
    """A syslog server that is away for a while keeps no container from starting, and no log from being read."""
    log = LogConfig(driver="syslog", options=dict([option.split("=")]))
    assert parse(log).driver == "syslog"
    with pytest.raises(InvalidConfig):
        resolve(ContainerConfig(log=log), ContainerSection())


def test_the_engines_defaults() -> None:
    section = ContainerSection(log_driver="local", log_opts={"max-size": "1m", "max-file": "2"})
    got = resolve(ContainerConfig(log=LogConfig(options={"max-file": "7"})), section)
    assert (got.driver, dict(got.options)) == ("local", {"max-size": "1m", "max-file": "7"})
    other = resolve(ContainerConfig(log=LogConfig(driver="json-file")), section)
    assert (other.driver, dict(other.options)) == ("json-file", {})


def test_options_without_effect_are_told_to_who_asked_for_them() -> None:
    options = {"mode": "non-blocking", "max-buffer-size": "4m", "fluentd-max-retries": "3"}
    log = LogConfig(driver="fluentd", options={**options, "tag": "x"})
    assert without_effect(log, ContainerSection()) == sorted(options)
    assert without_effect(log, ContainerSection(log_opts=options)) == []
    assert without_effect(LogConfig(options={"mode": "blocking"}), ContainerSection()) == []
