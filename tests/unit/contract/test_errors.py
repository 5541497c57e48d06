import inspect

import pytest

from scow.contract import errors
from scow.contract.errors import ScowError, from_wire

CLASSES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if issubclass(cls, ScowError) and cls is not ScowError
]


@pytest.mark.parametrize("cls", CLASSES)
def test_every_error_comes_back_as_its_own_class(cls: type[ScowError]) -> None:
    sent = cls("it broke", what="thing", which="that", do="mend it", port="80")
    received = from_wire(sent.code, sent.message, sent.to_details())
    assert type(received) is cls
    assert received.metadata == {"what": "thing", "which": "that", "do": "mend it", "port": "80"}
    assert str(received) == "it broke: mend it"


@pytest.mark.parametrize("cls", CLASSES)
def test_codes_and_names_agree_with_grpc(cls: type[ScowError]) -> None:
    import grpc

    assert grpc.StatusCode[cls.code_name].value[0] == cls.code


def test_reasons_are_unique() -> None:
    assert len({cls.reason for cls in CLASSES}) == len(CLASSES)


def test_a_newer_reason_falls_back_to_its_code() -> None:
    sent = errors.NotFound("gone")
    sent.reason = "POD_NOT_FOUND"
    received = from_wire(5, "gone", sent.to_details())
    assert type(received) is errors.NotFound
    assert received.reason == "POD_NOT_FOUND"


def test_garbage_details_still_give_the_code() -> None:
    assert type(from_wire(14, "away", b"\xff\xff\xff")) is errors.Unavailable
    assert type(from_wire(99, "odd")) is ScowError


def test_details_are_google_rpc_status() -> None:
    """Read with nothing but wire knowledge: field 3 of Status is an Any of google.rpc.ErrorInfo."""
    raw = errors.ImageNotFound("no", which="nginx").to_details()
    assert b"type.googleapis.com/google.rpc.ErrorInfo" in raw
    assert b"IMAGE_NOT_FOUND" in raw


@pytest.mark.parametrize("text", ["x" * 100_000, "\ud800" * 5000, "\u20ac" * 5000, "\0" * 5000])
def test_what_strangers_wrote_fits_on_the_wire(text: str) -> None:
    error = errors.InvalidManifest(f"it has {text}", what="manifest", which=text, do=text)
    details = error.to_details()
    assert len(details) + 3 * len(error.message.encode()) < 8000
    back = errors.from_wire(error.code, error.message, details)
    assert back.which == error.which
    assert back.which.encode().startswith(text[:10].encode("utf-8", "backslashreplace"))
    assert back.which.endswith("...")
