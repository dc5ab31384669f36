"""One OSGB file through OpenSceneGraph's own converter, in a bounded child process with a folder of its own."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cim.errors import CorruptFileError, LimitError, MissingExtraError
from cim.loaders.mesh.mesh import Mesh, Remark
from cim.loaders.mesh.obj import read_obj

if TYPE_CHECKING:
    from cim.loaders.limits import Limits

__all__ = ["MAGIC", "Names", "converter", "mesh_of", "names_in"]

MAGIC = bytes.fromhex("a10e916c4545fb1a")
"""First bytes of an OSGB file, the two numbers of OpenSceneGraph's binary format, little endian."""
_REMEDY = "export or copy it again"
_MOST_TEXT = 256 << 20
"""Most that a compressed file may expand to while its names are looked for [bytes]."""
_CHILD = re.compile(rb"[^\x00-\x1f\"<>|*?]{1,250}\.osgb", re.IGNORECASE)
_IMAGE = re.compile(rb"[^\x00-\x1f\"<>|*?]{1,250}\.(?:jpe?g|png|dds|bmp|tga|tiff?|webp|rgba?)", re.IGNORECASE)
_EXPANSION = 40
"""Bytes of text and memory that the converter is granted for every byte of the file, beyond a fixed sum."""


@dataclass(frozen=True)
class Names:
    """File names inside an OSGB file."""

    children: tuple[str, ...]
    """Files of finer levels (PagedLOD)."""
    images: tuple[str, ...]
    """Images, embedded or not."""


def converter() -> str:
    """Return the path of ``osgconv``.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    found = shutil.which("osgconv")
    if found is None:
        msg = "reading OSGB needs the program osgconv of OpenSceneGraph, which is not installed; run: apt-get install openscenegraph"
        raise MissingExtraError(msg)
    return found


def names_in(path: Path) -> Names:
    """Return the names of finer files and of images in an OSGB file.

    Raises
    ------
    CorruptFileError
        If it is no OSGB file.
    """
    data = path.read_bytes()
    if not data.startswith(MAGIC):
        raise CorruptFileError(path, "is no OSGB file (its first bytes are not those of OpenSceneGraph's binary format)", _REMEDY)
    data = _plain(data)
    return Names(_strings(_CHILD, data), _strings(_IMAGE, data))


def _plain(data: bytes) -> bytes:
    """Return the bytes with their compressed part expanded, where the header names a compressor."""
    at = data[:256].find(b"zlib")
    if at < 0:
        return data
    with contextlib.suppress(zlib.error):
        return data[:at] + zlib.decompressobj().decompress(data[at + 4 :], _MOST_TEXT)
    return data


def _strings(pattern: re.Pattern[bytes], data: bytes) -> tuple[str, ...]:
    """Return texts that stand behind their own length, as the format writes them."""
    found: dict[str, None] = {}
    for match in pattern.finditer(data):
        for start in range(match.start(), match.end() - 4):
            if int.from_bytes(data[max(start - 4, 0) : start], "little") == match.end() - start:
                found[data[start : match.end()].decode("utf-8", "replace")] = None
                break
    return tuple(found)


def mesh_of(path: Path, names: Names, limits: Limits) -> Mesh:
    """Return the mesh in one OSGB file, its textures kept as files in the current folder.

    Raises
    ------
    CorruptFileError
        If the converter cannot read it, or dies of it.
    LimitError
        If it takes too long.
    """
    program = converter()
    folder = Path(tempfile.mkdtemp(prefix="osgb-", dir=_home()))
    (folder / "in.osgb").symlink_to(path.resolve())
    apart = [name for name in names.images if "/" in name or "\\" in name or name.startswith(".")]
    options = [] if apart else ["-O", "OutputTextureFiles"]
    _run([program, *options, "in.osgb", "out.obj"], folder, path, limits)
    mesh = read_obj(folder / "out.obj", limits, grouping="none", folder=folder)
    if apart:
        text = f"{len(apart)} images have a path in their name, not a plain name; they were not written, so their textures are lost"
        mesh = mesh.noting(Remark("rejected", "warning", text, len(apart)))
    return mesh


def _home() -> Path:
    from cim.loaders import worker
    from cim.model.coverages import workspace

    return Path.cwd() if worker.inside() else workspace()


def _run(command: list[str], folder: Path, path: Path, limits: Limits) -> None:
    size = path.stat().st_size
    seconds = limits.seconds_for(size)
    environment = {"PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder), "LC_ALL": "C", "OSG_NOTIFY_LEVEL": "WARN"}
    bounds = (int(seconds) + 1, limits.memory_for(size), (1 << 28) + _EXPANSION * size)
    process = subprocess.Popen(  # noqa: S603  # a fixed program, names that were chosen here
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        start_new_session=True, preexec_fn=(lambda: _bound(bounds)) if sys.platform != "win32" else None,  # noqa: PLW1509  # limits, nothing else
    )  # fmt: skip
    try:
        _, said = process.communicate(timeout=seconds * limits.wall_factor)
    except subprocess.TimeoutExpired as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise LimitError(path, f"takes osgconv longer than the limit of {seconds:.0f} s", "give limits=Limits(cpu_seconds=...)") from error
    if process.returncode == -signal.SIGXCPU:
        raise LimitError(path, f"takes osgconv longer than the limit of {seconds:.0f} s", "give limits=Limits(cpu_seconds=...)")
    if process.returncode != 0 or not (folder / "out.obj").is_file():
        how = f"signal {-process.returncode}" if process.returncode < 0 else _last_line(said)
        raise CorruptFileError(path, f"cannot be read by osgconv ({how}): it is cut or damaged", _REMEDY)


def _last_line(said: bytes) -> str:
    """Return what the converter says went wrong, without the names of files."""
    text = re.sub(rb"[^\x20-\x7e\n]", b" ", said).decode("ascii")
    told = [line for line in text.splitlines() if "error" in line.lower()]
    return re.sub(r"\S*/\S*|in\.osgb:?", "", told[-1] if told else "no output").strip()[:160]


def _bound(bounds: tuple[int, int, int]) -> None:
    import resource

    for kind, value in zip((resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_FSIZE), bounds, strict=True):
        hard = resource.getrlimit(kind)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
