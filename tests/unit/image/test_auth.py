from scow.image.registry.auth import parse_challenge


def test_bearer() -> None:
    header = (
        'Bearer realm="https://auth.example/token",service="reg, istry",scope="repository:a:pull"'
    )
    challenge = parse_challenge(header)
    assert challenge.scheme == "bearer"
    assert challenge.parameters == {
        "realm": "https://auth.example/token",
        "service": "reg, istry",
        "scope": "repository:a:pull",
    }


def test_basic_without_quotes() -> None:
    assert parse_challenge("BASIC realm=x").parameters == {"realm": "x"}


def test_nothing() -> None:
    assert parse_challenge("").scheme == ""
