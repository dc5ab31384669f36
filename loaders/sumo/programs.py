"""SUMO's own programs, found in the installation and run in bounds: no shell, no network, limits of time and memory, messages counted."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from shutil import which

from cim.errors import MissingExtraError, RunError

__all__ = ["program", "run"]

_MEMORY = 16 << 30
"""Address space that a program of SUMO may take [bytes]."""
_MESSAGES = 1 << 20
"""What is read of a program's messages [bytes]; what it says after them is not needed to know that it failed."""


def program(name: str) -> tuple[Path, Path]:
    """Return the path of one of SUMO's programs, and SUMO's home.

    The package ``sumo`` is looked up, not imported: importing it would change the environment that pyproj and rasterio read.

    Raises
    ------
    MissingExtraError
        If there is none.
    """
    homes = []
    with contextlib.suppress(ImportError, ValueError):
        spec = find_spec("sumo")
        homes += [Path(one) for one in (spec.submodule_search_locations or ())] if spec is not None else []
    if "SUMO_HOME" in os.environ:
        homes.append(Path(os.environ["SUMO_HOME"]))
    for home in homes:
        for suffix in ("", ".exe"):
            if (home / "bin" / f"{name}{suffix}").is_file():
                return home / "bin" / f"{name}{suffix}", home
    found = which(name)
    if found is None:
        msg = f"SUMO's {name} is not installed; run: pip install 'cim-toolkit[sumo]'"
        raise MissingExtraError(msg)
    return Path(found), Path("/usr/share/sumo")


def run(name: str, options: list[str], folder: Path, *, seconds: float) -> list[str]:
    """Run a program of SUMO in a folder; return its warnings, counted by kind.

    Raises
    ------
    MissingExtraError
        If SUMO is not installed.
    RunError
        If it fails, says that something is an error, or takes longer than `seconds`.
    """
    path, home = program(name)
    environment = {
        "SUMO_HOME": str(home), "PROJ_DATA": str(home / "data" / "proj"), "PROJ_NETWORK": "OFF", "PATH": os.defpath, "HOME": str(folder),
        "TMPDIR": str(folder), "LC_ALL": "C", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    said = folder / f"{name}.log"
    with said.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603  # a program of the installation, options and names that were chosen here
            [str(path), *options], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log,
            start_new_session=True, preexec_fn=(lambda: _bound(int(seconds) + 1)) if sys.platform != "win32" else None,  # noqa: PLW1509  # limits, nothing else
        )  # fmt: skip
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired as error:
            msg = f"SUMO's {name} takes longer than {seconds:.0f} s; give more by seconds=, or a smaller network or fleet"
            raise RunError(msg) from error
        finally:
            _end(process)
    with said.open("rb") as log:
        lines = log.read(_MESSAGES).decode("utf-8", "replace").splitlines()
    said.unlink()
    errors = [line.removeprefix("Error:").strip() for line in lines if line.startswith("Error:")]
    if process.returncode != 0 or errors:
        how = f"ended by signal {-process.returncode}" if process.returncode < 0 else f"ended with {process.returncode}"
        msg = f"SUMO's {name} {how}: {'; '.join(errors[:5]) or 'it says nothing'}" + f" and {len(errors) - 5} more" * (len(errors) > 5)
        raise RunError(msg)
    return _warnings(name, lines)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Leave no process behind, whatever happened."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _warnings(name: str, lines: list[str]) -> list[str]:
    """Return the warnings, one for each kind: what differs in ids and numbers is one kind."""
    first: dict[str, str] = {}
    many: Counter[str] = Counter()
    for line in lines:
        if not line.startswith("Warning:"):
            continue
        said = line.removeprefix("Warning:").strip()
        total = re.match(r"(\d+) total messages of type: (.*)", said)  # it counts those that were told before, too
        kind = re.sub(r"-?\d+(\.\d+)?", "%", re.sub(r"'[^']*'", "%", total[2] if total else said))
        first.setdefault(kind, said)
        many[kind] = int(total[1]) if total else many[kind] + 1
    return [f"{name} warns {count} times (first: {first[kind]})" for kind, count in many.most_common()]


def _bound(seconds: int) -> None:
    import resource

    for kind, value in ((resource.RLIMIT_CPU, seconds), (resource.RLIMIT_AS, _MEMORY), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(kind, (limit, limit))
