from scow.container.model.invalid import invalid


def test_a_field_is_named() -> None:
    error = invalid("resources.memory", "is 1 byte", "use more")
    assert error.metadata == {"what": "field", "which": "resources.memory", "do": "use more"}
    assert error.message == "resources.memory is 1 byte"
