"""The texts of restart policies and dependencies. What is said of wrong policies was compared with docker 20.10."""

import pytest

from scow.client import supervision_specs as specs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"name": ""}),
        ("no", {"name": "no"}),
        ("always", {"name": "always"}),
        ("always:0", {"name": "always", "maximum_retry_count": 0}),
        ("on-failure:3", {"name": "on-failure", "maximum_retry_count": 3}),
    ],
)
def test_policies(text: str, expected: dict[str, object]) -> None:
    assert specs.parse_restart(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (":3", "no policy provided before colon"),
        ("sometimes", "invalid restart policy"),
        ("on-failure:x", "maximum retry count must be an integer"),
        ("on-failure:", "maximum retry count must be an integer"),
        ("on-failure:-1", "maximum retry count cannot be negative"),
        ("always:3", "maximum retry count cannot be used with restart policy 'always'"),
        ("no:2", "maximum retry count cannot be used with restart policy 'no'"),
    ],
)
def test_wrong_policies(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        specs.parse_restart(text)


def test_dependencies() -> None:
    assert specs.parse_dependency("db") == {"container": "db", "condition": ""}
    assert specs.parse_dependency("setup:completed")["condition"] == "completed"
    for text in ("", ":started", "db:", "db:soon"):
        with pytest.raises(ValueError, match="invalid dependency"):
            specs.parse_dependency(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http:8080/ready?deep=1", ("", "http", "", 8080, "/ready?deep=1")),
        ("http:8080", ("", "http", "", 8080, "")),
        ("readiness=tcp:10.0.0.1:5432", ("readiness", "tcp", "10.0.0.1", 5432, "")),
        ("startup=grpc:[::1]:50051/a.B", ("startup", "grpc", "::1", 50051, "a.B")),
        ("http:80/a=b", ("", "http", "", 80, "/a=b")),
    ],
)
def test_probes(text: str, expected: tuple[object, ...]) -> None:
    found = specs.parse_probe(text)
    assert tuple(found[k] for k in ("kind", "protocol", "address", "port", "target")) == expected


@pytest.mark.parametrize("text", ["", "8080", "http:", "http:x", "tcp:80/x", "udp:5", "tcp:70000"])
def test_wrong_probes(text: str) -> None:
    with pytest.raises(ValueError, match="invalid probe"):
        specs.parse_probe(text)


def test_durations_and_percentages() -> None:
    assert specs.parse_duration("1m30s") == 90 * 10**9
    assert specs.parse_percent("25%") == specs.parse_percent("25") == 25
    for text in ("101", "-1", "x", ""):
        with pytest.raises(ValueError, match="percentage"):
            specs.parse_percent(text)
    with pytest.raises(ValueError, match="duration"):
        specs.parse_duration("5")
