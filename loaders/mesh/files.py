"""The files that a mesh names beside itself: opened only inside the folder of the input, never over a network."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from cim.errors import CorruptFileError, InputError, UnsafeInputError
from cim.loaders.mesh.mesh import Image, Remark
from cim.loaders.parcel import is_image

__all__ = ["Companions", "image_format", "inside"]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SHOWN = 60
"""Characters of a foreign name that a message repeats."""


def inside(folder: Path, name: str, path: Path, *, encoded: bool = False) -> Path:
    """Return where a named file lies, when that is inside a folder.

    Parameters
    ----------
    folder
        The folder that the name counts from and must not leave.
    name
        As a file says it, with / or backslashes.
    path
        The file that says it, for the message.
    encoded
        Whether the name is a URI, in which ``%20`` stands for a blank.

    Raises
    ------
    UnsafeInputError
        If the name is an address, is absolute, or climbs out of the folder, also through a link.
    """
    shown = _shown(name)
    if _SCHEME.match(name) or name.startswith(("//", "\\\\")):
        kind = "a remote address (URI)" if re.match(r"(?i)(https?|ftp)|//", name) else "an address (URI) or absolute path"
        raise UnsafeInputError(path, f"names {shown}, {kind}; only files inside its own folder are opened", "copy it beside the file")
    text = (unquote(name.partition("?")[0].partition("#")[0]) if encoded else name).replace("\\", "/").strip()
    parts = PurePosixPath(text)
    if not text or "\0" in text or parts.is_absolute() or ".." in parts.parts or _SCHEME.match(text):
        raise UnsafeInputError(path, f"names {shown}, a path outside its own folder (unsafe); it was not opened", "copy it beside the file")
    place = folder / text
    root = folder.resolve()
    if root != place.resolve() and root not in place.resolve().parents:
        raise UnsafeInputError(path, f"names {shown}, a link to a path outside its own folder (unsafe)", "copy it beside the file")
    return place


def _shown(name: str) -> str:
    clean = "".join(c if c.isprintable() else "?" for c in name)
    return repr(clean if len(clean) <= _SHOWN else clean[:_SHOWN] + "…")


def image_format(head: bytes) -> str | None:
    """Return "PNG" or "JPEG" by the first bytes of an image; None for any other.

    Examples
    --------
    >>> image_format(bytes([0xFF, 0xD8, 0xFF, 0xE0])), image_format(b"BM")
    ('JPEG', None)
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    return "JPEG" if head.startswith(b"\xff\xd8\xff") else None


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(16)


@dataclass
class Companions:
    """Finds the images and texts that a mesh names, each once, and keeps what has to be reported about them."""

    path: Path
    """The mesh."""
    folder: Path
    """Where names count from, and which they must not leave."""
    encoded: bool = False
    """Whether names are URIs."""
    said: list[Remark] = field(default_factory=list)
    images: dict[str, Image] = field(default_factory=dict)

    def image(self, name: str) -> Image:
        """Return the image of a name; without a path where it is not there, or must not be opened."""
        if name not in self.images:
            place = self._place(name, "texture image")
            if place is not None and not is_image(place):
                self.said.append(Remark("rejected", "warning", f"its texture image {_shown(name)} is no image of a known format"))
                place = None
            self.images[name] = Image(name, place, None if place is None else image_format(_head(place)))
        return self.images[name]

    def text(self, name: str, what: str, most: int) -> bytes | None:
        """Return what a named file holds; None where it is not there, must not be opened, or is larger than `most` bytes."""
        place = self._place(name, what)
        if place is None:
            return None
        if place.stat().st_size > most:
            self.said.append(Remark("rejected", "warning", f"its {what} {_shown(name)} is larger than {most:,} bytes; it was not read"))
            return None
        return place.read_bytes()

    def _place(self, name: str, what: str) -> Path | None:
        try:
            place = inside(self.folder, name, self.path, encoded=self.encoded)
            if place.is_file():
                return place
        except InputError as error:
            self.said.append(Remark("rejected", "warning", f"its {what} was not opened: it {error.reason}"))
            return None
        except OSError:  # a name the system cannot have
            pass
        self.said.append(Remark("lost", "warning", f"its {what} {_shown(name)} is not there"))
        return None

    def required(self, name: str, what: str) -> bytes:
        """Return what a named file holds that nothing works without.

        Raises
        ------
        UnsafeInputError
            If it lies outside the folder, or is an address.
        CorruptFileError
            If it is not there.
        """
        place = inside(self.folder, name, self.path, encoded=self.encoded)
        try:
            return place.read_bytes()
        except OSError as error:
            reason = f"its {what} {_shown(name)} cannot be read ({error.strerror or error})"
            raise CorruptFileError(self.path, reason, "copy it beside the file") from error
