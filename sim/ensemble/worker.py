"""The program of a Dask worker on this machine: ``python -P -m cim.sim.ensemble.worker ADDRESS FOLDER``; it ends with its parent.

The workers of `distributed.LocalCluster` are made by multiprocessing, which runs the user's script again in each of them unless it is
guarded by ``if __name__ == "__main__"``. A program of its own does not.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import threading

__all__ = ["main"]


def main() -> None:
    """Work for a scheduler until it or the parent, who holds the other end of standard input, is gone."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    asyncio.run(_work(sys.argv[1], sys.argv[2]))


def _leave_with_parent() -> None:
    sys.stdin.buffer.read()
    shutil.rmtree(sys.argv[2], ignore_errors=True)
    os._exit(0)  # a member in the making is left; the next run sweeps it


async def _work(address: str, folder: str) -> None:
    from distributed import Worker

    # Results are on disk, so there is nothing to spill; a limit would only pause the worker for ever without a nanny.
    async with Worker(address, nthreads=1, memory_limit=0, local_directory=folder, dashboard=False, silence_logs=40) as worker:
        await worker.finished()


if __name__ == "__main__":
    main()
