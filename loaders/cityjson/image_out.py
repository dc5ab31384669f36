"""Image files of textures, written beside the file that names them."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cim.loaders.cityjson.images import SUFFIXES, reaches_out

if TYPE_CHECKING:
    from cim.model import City
    from cim.model.loss import Losses

__all__ = ["write_images"]

_ENDINGS = {"PNG": ".png", "JPEG": ".jpg"}


def write_images(city: City, target: Path, losses: Losses) -> list[str]:
    """Copy the images of all textures beside `target` and return the name of each, relative to it.

    An image keeps the relative path that its source names, as long as that stays in the folder, ends like an image and is free or
    holds the same image already; else it goes to the folder ``appearance``.
    """
    table = city.tables["textures"]
    names: list[str] = []
    written: dict[str, Path] = {}
    lost = 0
    for image, path, form in zip(*(table[name].to_pylist() for name in ("image", "path", "format")), strict=True):
        source = None if path is None else Path(path)
        if source is None or not source.is_file():
            lost += 1
            names.append(image)
            continue
        name = _name(image, form, source, target.parent, written)
        _copied(source, target.parent / name)
        written[name] = source
        names.append(name)
    losses.add("texture images that are not at hand: the name is written, not the image", lost)
    return names


def _name(image: str, form: str | None, source: Path, folder: Path, written: dict[str, Path]) -> str:
    plain = image.replace("\\", "/")
    ending = PurePosixPath(plain).suffix.lower()
    if plain and not reaches_out(plain) and ending in SUFFIXES and _free(plain, source, folder, written):
        return plain
    stem = re.sub(r"[^\w.-]", "_", PurePosixPath(plain).stem)[:60].strip(".") or "image"
    ending = ending if ending in SUFFIXES else _ENDINGS.get(form or "", ".png")
    number, name = 1, f"appearance/{stem}{ending}"
    while not _free(name, source, folder, written):
        number += 1
        name = f"appearance/{stem}_{number}{ending}"
    return name


def _free(name: str, source: Path, folder: Path, written: dict[str, Path]) -> bool:
    """Return whether a name may be written: nothing is there, or the very same image."""
    place = folder / name
    if name in written and written[name] == source:
        return True
    if folder.resolve() not in place.resolve().parents:
        return False
    return not os.path.lexists(place) or (place.is_file() and filecmp.cmp(source, place, shallow=False))


def _copied(source: Path, place: Path) -> None:
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    shutil.copyfile(source, part)
    part.replace(place)
