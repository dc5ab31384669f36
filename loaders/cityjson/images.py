"""Image files of textures: only those inside the folder of the input are looked at, and only their first bytes."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from cim.loaders.cityjson.document import Note
from cim.loaders.parcel import is_image

__all__ = ["SUFFIXES", "image_files", "reaches_out"]

_REMOTE = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:|^//")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".dds"})
"""Endings that a file written for an image may have."""


def reaches_out(place: str) -> bool:
    """Return whether a path leaves the folder of the file, or is an address.

    Examples
    --------
    >>> reaches_out("../a.png"), reaches_out("https://host/a.png"), reaches_out("appearance/a.png")
    (True, True, False)
    """
    plain = place.replace("\\", "/")
    return bool(_REMOTE.match(plain)) or plain.startswith("/") or ".." in plain.split("/") or "\0" in plain


def image_files(images: list[str], path: Path, notes: list[Note]) -> list[str | None]:
    """Return the image file of each texture, None where there is none that may be opened."""
    folder = path.resolve().parent
    found: dict[str, str | None] = {}
    missing: list[str] = []
    guessed: list[str] = []
    for image in dict.fromkeys(images):
        if not image:
            found[image] = None
        elif reaches_out(image):
            notes.append(Note("repaired", f"texture image {image[:120]!r} lies outside the folder of the file; refused, not opened"))
            found[image] = None
        else:
            plain = image.replace("\\", "/")
            found[image] = _image(folder, plain)
            if found[image] is None and "/" in plain:
                found[image] = _image(folder, PurePosixPath(plain).name)
                guessed += [image] if found[image] else []
            missing += [] if found[image] else [image]
    if guessed:
        message = f"{len(guessed)} texture images stand beside the file, not where it says; they are used, as {guessed[0][:80]!r}"
        notes.append(Note("guessed", message, count=len(guessed)))
    if missing:
        message = f"{len(missing)} texture images are not there or no images, as {missing[0][:80]!r}; their textures keep the name only"
        notes.append(Note("unmatched", message, count=len(missing)))
    nameless = images.count("")
    if nameless:
        notes.append(Note("invalid", f"{nameless} textures name no image", count=nameless))
    return [found[image] for image in images]


def _image(folder: Path, name: str) -> str | None:
    try:
        place = (folder / name).resolve()
        fine = folder in place.parents and place.is_file() and is_image(place)
    except (OSError, ValueError):
        return None
    return str(place) if fine else None
