from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import cim
from cim.errors import CorruptFileError, MissingExtraError
from cim.loaders import read
from cim.loaders.limits import Limits
from cim.loaders.osgb.convert import MAGIC, converter, names_in
from cim.loaders.osgb.levels import root_files, tile_of

NEEDS_OSGCONV = pytest.mark.skipif(shutil.which("osgconv") is None, reason="the program osgconv (openscenegraph) is not installed")


def _fake(path: Path, *children: str) -> Path:
    """Write what names other files as OSGB does, and holds nothing else."""
    names = b"".join(len(name).to_bytes(4, "little") + name.encode() for name in children)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(MAGIC + bytes(16) + names + bytes(8))
    return path


def test_without_the_converter_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingExtraError, match="apt-get install openscenegraph"):
        converter()


def test_finer_files_replace_a_coarse_one_only_when_all_are_there(tmp_path: Path) -> None:
    root = _fake(tmp_path / "T.osgb", "T_L16_0.osgb", "T_L16_1.osgb")
    _fake(tmp_path / "T_L16_0.osgb", "T_L17_0.osgb")
    tile = tile_of(root, Limits())
    assert [path.name for path, _ in tile.files] == ["T.osgb"]
    assert tile.missing == ("T_L16_1.osgb",)
    _fake(tmp_path / "T_L16_1.osgb")
    tile = tile_of(root, Limits())
    assert [path.name for path, _ in tile.files] == ["T_L16_0.osgb", "T_L16_1.osgb"]
    assert (tile.missing, tile.coarser, tile.level) == (("T_L17_0.osgb",), 1, 16)


def test_levels_in_a_circle_are_refused(tmp_path: Path) -> None:
    root = _fake(tmp_path / "T.osgb", "T_L16_0.osgb")
    _fake(tmp_path / "T_L16_0.osgb", "T.osgb")
    with pytest.raises(CorruptFileError, match="cycle"):
        tile_of(root, Limits())


def test_the_roots_of_a_folder_are_named_like_their_folders(tmp_path: Path) -> None:
    _fake(tmp_path / "Data" / "Tile_+000_+001" / "Tile_+000_+001.osgb")
    _fake(tmp_path / "Data" / "Tile_+000_+000" / "Tile_+000_+000.osgb")
    _fake(tmp_path / "Data" / "Tile_+000_+000" / "Tile_+000_+000_L16_0.osgb")
    assert [one.stem for one in root_files(tmp_path)] == ["Tile_+000_+000", "Tile_+000_+001"]


@pytest.mark.data
@NEEDS_OSGCONV
def test_the_real_tile_becomes_a_mesh_with_its_texture(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    path = shared_data("city", "osgb") / "Tile_test.osgb"
    assert names_in(path).children == ("Tile_+000_+000_L16_0.osgb",)
    city = read(path, "local")
    cim.save(city, tmp_path / "a.cim")
    city = cim.open(tmp_path / "a.cim")
    attributes = city["Tile_test"].attributes
    assert (attributes["faces"], attributes["vertices"], attributes["missing_levels"]) == (114, 200, 1)
    (texture,) = city.tables["textures"].to_pylist()
    image = Path(texture["path"]).read_bytes()
    assert image.startswith(b"\xff\xd8\xff")
    assert image[:64] in path.read_bytes()
    (looks,) = city.appearance_table().to_pylist()
    assert looks["textures"].count(0) == 112
    assert any("1 finer levels are not there" in one["message"] for one in city.tables["issues"].to_pylist())


@pytest.mark.data
@NEEDS_OSGCONV
def test_a_folder_is_placed_by_its_metadata(shared_data: Callable[..., Path], tmp_path: Path) -> None:
    place = tmp_path / "Data" / "Tile_+000_+000"
    place.mkdir(parents=True)
    shutil.copy(shared_data("city", "osgb") / "Tile_test.osgb", place / "Tile_+000_+000.osgb")
    (tmp_path / "metadata.xml").write_text(
        "<ModelMetadata version='1'><SRS>EPSG:4548</SRS><SRSOrigin>500000,3400000,10</SRSOrigin></ModelMetadata>", encoding="utf-8"
    )
    city = read(tmp_path)
    local = read(place / "Tile_+000_+000.osgb", "local")
    assert city.crs.to_string() == "EPSG:4548"
    assert city.bounds == pytest.approx([value + shift for value, shift in zip(local.bounds, (5e5, 3.4e6) * 2, strict=True)], abs=1e-9)


@pytest.mark.data
@NEEDS_OSGCONV
@pytest.mark.parametrize("keep", [40, 5000, 20000])
def test_a_cut_tile_is_refused(shared_data: Callable[..., Path], tmp_path: Path, keep: int) -> None:
    path = tmp_path / "cut.osgb"
    path.write_bytes((shared_data("city", "osgb") / "Tile_test.osgb").read_bytes()[:keep])
    with pytest.raises(CorruptFileError, match=r"cannot be read by osgconv|no faces"):
        read(path, "local")
