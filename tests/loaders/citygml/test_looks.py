"""Appearance: materials, textures and their coordinates end up on the right surfaces, images never outside the folder."""

# ruff: noqa: E501  # a piece of XML stays on one line
from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3]))
from tests.loaders.citygml.gml_files import face, load, model, multi, polygon, solid, told

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20
BUILDING = (
    "<bldg:Building gml:id='b'><bldg:lod2MultiSurface>"
    + multi(*(polygon(face(number), id=f"p{number}", ring_id=f"r{number}") for number in range(6)))
    + "</bldg:lod2MultiSurface></bldg:Building>"
)
UV = "0 0 1 0 1 0.5 0 0.5 0 0"


def texture(image: str = "wall.png", *, ring: str = "r2", uv: str = UV, front: str = "") -> str:
    return (
        f"<app:ParameterizedTexture>{front}<app:imageURI>{image}</app:imageURI><app:wrapMode>wrap</app:wrapMode><app:target uri='#p2'>"
        f"<app:TexCoordList><app:textureCoordinates ring='#{ring}'>{uv}</app:textureCoordinates></app:TexCoordList></app:target>"
        "</app:ParameterizedTexture>"
    )


MATERIAL = (
    "<app:X3DMaterial><app:diffuseColor>0.5 0.25 1</app:diffuseColor><app:transparency>0.2</app:transparency><app:isSmooth>true</app:isSmooth>"
    "<app:target>#p0</app:target><app:target>#p5</app:target></app:X3DMaterial>"
)


def painted(*data: str, theme: str = "visual") -> str:
    members = "".join(f"<app:surfaceDataMember>{one}</app:surfaceDataMember>" for one in data)
    look = f"<app:appearanceMember><app:Appearance><app:theme>{theme}</app:theme>{members}</app:Appearance></app:appearanceMember>"
    return model(BUILDING).replace("</core:CityModel>", f"{look}</core:CityModel>")


def test_materials_and_textures_are_on_their_surfaces(tmp_path: Path) -> None:
    (tmp_path / "wall.png").write_bytes(PNG)
    city = load(tmp_path, painted(MATERIAL, texture()))
    row = city.tables["appearances"].to_pylist()[0]
    assert row["theme"] == "visual"
    assert row["materials"] == [0, -1, -1, -1, -1, 0]
    assert row["textures"] == [-1, -1, 0, -1, -1, -1]
    uv = np.array(row["uv"])
    assert uv[8:12].tolist() == [[0, 0], [1, 0], [1, 0.5], [0, 0.5]]
    assert np.isnan(np.delete(uv, range(8, 12), axis=0)).all()
    material, image = city.tables["materials"].to_pylist()[0], city.tables["textures"].to_pylist()[0]
    assert (material["diffuse"], material["transparency"], material["smooth"]) == ([0.5, 0.25, 1.0], 0.2, True)
    assert (image["image"], image["format"], image["wrap"]) == ("wall.png", "PNG", "wrap")
    assert Path(image["path"]) == tmp_path / "wall.png"
    assert not told(city, "lost")


def test_texture_coordinates_follow_a_ring_that_is_turned(tmp_path: Path) -> None:
    faces = [polygon(face(number)[::-1] if number == 2 else face(number), id=f"p{number}", ring_id=f"r{number}") for number in range(6)]
    text = painted(texture()).replace(
        BUILDING, f"<bldg:Building gml:id='b'><bldg:lod2Solid>{solid(*faces)}</bldg:lod2Solid></bldg:Building>"
    )
    city = load(tmp_path, text)
    assert told(city, "repaired")
    table = city.geometry_table()
    ring = table["boundaries"][0].as_py()[0][0][2][0]
    corners = (np.array(table["vertices"][0].as_py())[ring] + city.origin).tolist()
    uv = np.array(city.tables["appearances"]["uv"][0].as_py())[8:12].tolist()
    given = dict(zip([tuple(point) for point in face(2)[::-1]], [(0, 0), (1, 0), (1, 0.5), (0, 0.5)], strict=True))
    assert [given[tuple(point)] for point in corners] == [tuple(one) for one in uv]
    assert corners != [list(point) for point in face(2)[::-1]]


def test_citygml_3_names_the_ring_in_an_element_of_its_own(tmp_path: Path) -> None:
    given = (
        "<app:ParameterizedTexture><app:imageURI>a.png</app:imageURI><app:textureParameterization><app:TextureAssociation><app:target>#p2</app:target>"
        f"<app:textureParameterization><app:TexCoordList><app:textureCoordinates>{UV}</app:textureCoordinates><app:ring>#r2</app:ring>"
        "</app:TexCoordList></app:textureParameterization></app:TextureAssociation></app:textureParameterization></app:ParameterizedTexture>"
    )
    city = load(tmp_path, painted(given))
    assert city.tables["appearances"]["textures"][0].as_py()[2] == 0


def test_each_theme_has_a_row_of_its_own(tmp_path: Path) -> None:
    text = painted(MATERIAL, theme="summer")
    more = text[text.index("<app:appearanceMember>") : text.index("</core:CityModel>")].replace("summer", "winter")
    city = load(tmp_path, text.replace("</core:CityModel>", f"{more}</core:CityModel>"))
    assert city.tables["appearances"]["theme"].to_pylist() == ["summer", "winter"]


@pytest.mark.parametrize(
    "image", ["../secret.png", "/etc/passwd", "C:\\a.png", "http://127.0.0.1:9/a.png", "a/../../b.png", "..\\b.png", "file:///etc/passwd"]
)
def test_an_image_outside_the_folder_is_named_and_not_opened(image: str, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    inner = tmp_path / "in"
    inner.mkdir()
    city = load(inner, painted(texture(image)))
    assert city.tables["textures"]["path"].to_pylist() == [None]
    assert "outside the folder" in told(city, "repaired")[0]


def test_an_image_behind_a_symbolic_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(PNG)
    inner = tmp_path / "in"
    inner.mkdir()
    (inner / "wall.png").symlink_to(tmp_path / "secret.png")
    assert load(inner, painted(texture())).tables["textures"]["path"].to_pylist() == [None]


def test_what_does_not_fit_is_counted(tmp_path: Path) -> None:
    odd = texture(uv="0 0 1 0")
    stray = texture(ring="nobody")
    georeferenced = "<app:GeoreferencedTexture><app:imageURI>ortho.png</app:imageURI></app:GeoreferencedTexture>"
    back = texture(front="<app:isFront>false</app:isFront>")
    city = load(tmp_path, painted(odd, stray, georeferenced, back, MATERIAL.replace("#p0", "#nobody")))
    assert any("number of texture coordinates" in one for one in told(city, "rejected"))
    assert len(told(city, "unmatched")) == 2
    assert any("georeferenced" in one for one in told(city, "unsupported"))
    assert any("back side" in one for one in told(city, "lost"))
    assert any("not beside the file" in one for one in told(city, "lost"))
