from pathlib import Path

from scow.container.model.paths import Paths
from scow.core.config import Config

ID = "0123456789abcdef" * 4


def test_places_and_leftovers(tmp_path: Path) -> None:
    paths = Paths(Config(root=tmp_path / "root", run=tmp_path / "run"))
    paths.make()
    for identity in (ID, "f" * 64):
        paths.bundle(identity).mkdir(parents=True)
        paths.data(identity).mkdir()
    states, data = paths.unknown([ID])
    assert states == [paths.state("f" * 64)]
    assert data == [paths.data("f" * 64)]
    paths.discard_state(ID)
    paths.discard_data(ID)
    assert not paths.bundle(ID).exists()
    assert not paths.log(ID).parent.exists()
    paths.discard_state(ID)


def test_a_socket_fits_below_a_test_engines_run_directory() -> None:
    config = Config(root=Path("/r"), run=Path("/tmp/scow-tabcdef-12345678/run"))
    assert len(str(Paths(config).socket(ID))) < 108
