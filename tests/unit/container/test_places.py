from pathlib import Path

from scow.container.model.paths import Places
from scow.core.config import Config

ID = "0123456789abcdef" * 4


def test_places_and_leftovers(tmp_path: Path) -> None:
    places = Places(Config(root=tmp_path / "root", run=tmp_path / "run"))
    places.make()
    for identity in (ID, "f" * 64):
        places.bundle(identity).mkdir(parents=True)
        places.data(identity).mkdir()
    states, data = places.unknown([ID])
    assert states == [places.state("f" * 64)]
    assert data == [places.data("f" * 64)]
    places.discard_state(ID)
    places.discard_data(ID)
    assert not places.bundle(ID).exists()
    assert not places.log(ID).parent.exists()
    places.discard_state(ID)


def test_a_socket_fits_below_a_test_engines_run_directory() -> None:
    config = Config(root=Path("/r"), run=Path("/tmp/scow-tabcdef-12345678/run"))
    assert len(str(Places(config).socket(ID))) < 108
