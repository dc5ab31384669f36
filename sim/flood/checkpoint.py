"""A run on disk while it goes: frames and states, from which a run that was killed, or a branch of it, goes on with the same bits.

=====================  ==========================================================================
``run.json``           what runs: fingerprint of everything that decides the numbers
``frame-000012.npz``   fields of one output time
``state-000012.npz``   everything the solver holds at that time, with all that was looked at
=====================  ==========================================================================
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cim.errors import CorruptFileError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = dict[str, NDArray[Any]]

__all__ = ["Checkpoint"]

_NUMBERS = "numbers"


@dataclass(frozen=True)
class Checkpoint:
    """A folder of frames and states."""

    folder: Path
    keep_all: bool = False
    """Whether older states stay, so that a branch may begin at any of them."""

    def begin(self, fingerprint: str, shared: Mapping[str, str]) -> None:
        """Say what runs here, and what a branch of it must have in common with it.

        Raises
        ------
        UsageError
            If the folder holds something else.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for one in self.folder.glob(".*.part"):
            one.unlink(missing_ok=True)
        said = self.folder / "run.json"
        if not said.is_file():
            if any(self.folder.iterdir()):
                msg = f"{self.folder} holds other files; name a new folder for checkpoints"
                raise UsageError(msg)
            self._write("run.json", json.dumps({"fingerprint": fingerprint, "shared": dict(shared)}).encode())
        elif self.said("fingerprint") != fingerprint:
            what = "ground, forcing or parameters differ"
            msg = f"{self.folder} holds the checkpoints of another run ({what}); name a new folder, or branch from it"
            raise UsageError(msg)

    def said(self, what: str) -> Any:
        """Return the ``"fingerprint"`` of what runs here, or what its branches must have in common with it, ``"shared"``."""
        path = self.folder / "run.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))[what]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CorruptFileError(path, "holds no checkpoint of a flood run", "name the folder given as checkpoint=") from error

    def save_frame(self, number: int, arrays: Arrays) -> None:
        """Write the fields of one output time."""
        self._save(f"frame-{number:06}.npz", arrays)

    def save_state(self, number: int, arrays: Arrays, numbers: dict[str, Any]) -> None:
        """Write a state; without `keep_all`, all but the last two go."""
        packed = np.frombuffer(json.dumps(numbers).encode(), np.uint8)
        self._save(f"state-{number:06}.npz", {**arrays, _NUMBERS: packed})
        if not self.keep_all:
            for old in self.states()[:-2]:
                (self.folder / f"state-{old:06}.npz").unlink(missing_ok=True)

    def states(self) -> list[int]:
        """Return the numbers of the output times of which there is a state, rising."""
        return sorted(int(one.stem.removeprefix("state-")) for one in self.folder.glob("state-*.npz"))

    def load_frame(self, number: int) -> Arrays:
        """Return the fields of one output time."""
        return self._load(f"frame-{number:06}.npz")

    def load_state(self, number: int) -> tuple[Arrays, dict[str, Any]]:
        """Return a state."""
        arrays = self._load(f"state-{number:06}.npz")
        return arrays, json.loads(arrays.pop(_NUMBERS).tobytes())

    def _save(self, name: str, arrays: Arrays) -> None:
        part = self.folder / f".{name}.{os.getpid()}.part"
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / name)

    def _write(self, name: str, data: bytes) -> None:
        part = self.folder / f".{name}.{os.getpid()}.part"
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.folder / name)

    def _load(self, name: str) -> Arrays:
        path = self.folder / name
        try:
            with np.load(path, allow_pickle=False) as found:
                return {key: found[key] for key in found.files}
        except (OSError, ValueError, zipfile.BadZipFile, KeyError) as error:
            raise CorruptFileError(path, "cannot be read", "remove the folder and run again") from error
