"""`check`: everything that is wrong with a store, in one list."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cim.errors import StoreError
from cim.storage.layout import FILE_NAME, PART_NAME, inside, manifest_numbers, regular_size, sha256_of, stored_names
from cim.storage.manifest import read_manifest

if TYPE_CHECKING:
    from cim.storage.manifest import Part

__all__ = ["Fault", "check"]


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a store."""

    file: str
    """Path inside the store."""
    reason: str

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{self.file}: {self.reason}"


def check(path: str | Path, *, bytes: bool = False) -> list[Fault]:  # noqa: A002  # as the command says it: cim check --bytes
    """Return every fault of a store; an empty list means that it is fine.

    All versions are looked at: each manifest must be exactly as it was written, each part there and of its size. Temporary files of
    a save that was stopped are no faults.

    Parameters
    ----------
    path
        The ``.cim`` folder.
    bytes
        Read every file and compare its checksum: finds any changed byte.

    Raises
    ------
    StoreError
        If `path` is no store.
    """
    root = Path(path)
    numbers = manifest_numbers(root)
    if not numbers:
        msg = f"{root} is no city store, or holds no version yet"
        raise StoreError(msg)
    faults: list[Fault] = []
    needed: dict[str, Part] = {}
    for number in numbers:
        try:
            needed.update({part.path: part for part in read_manifest(root, number).parts})
        except StoreError as error:
            faults.append(Fault(f"manifests/{number:06d}.json", str(error)))
    faults += [fault for part in needed.values() if (fault := _fault(root, part, every_byte=bytes)) is not None]
    if bytes:
        unused = [name for name in stored_names(root) if name not in needed]
        faults += [Fault(name, "its checksum does not fit its name") for name in unused if not _fits(root, name)]
    return faults


def _fault(root: Path, part: Part, *, every_byte: bool) -> Fault | None:
    try:
        file = inside(root, part.path)
    except StoreError as error:
        return Fault(part.path, str(error))
    size = regular_size(file)
    if size is None:
        return Fault(part.path, "is missing")
    if size != part.bytes:
        return Fault(part.path, f"has {size} bytes, expected {part.bytes}")
    if every_byte and (found := sha256_of(file)) != part.sha256:
        return Fault(part.path, f"has checksum {found[:16]}…, expected {part.sha256[:16]}…")
    return None


def _fits(root: Path, name: str) -> bool:
    """Say whether a file that no version names still is what its name says."""
    match = PART_NAME.fullmatch(name) or FILE_NAME.fullmatch(name)
    return match is not None and sha256_of(inside(root, name)).startswith(match["digest"])
