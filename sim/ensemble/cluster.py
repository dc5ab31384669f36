"""Members on a Dask cluster: each its own retry unit, a worker that dies takes nothing with it, and one that kills workers fails alone."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from cim.errors import RunError, UsageError
from cim.plugins import load_extra
from cim.sim.ensemble.members import Outcome, Task, do_member, is_whole

__all__ = ["LocalWorkers", "connected", "on_dask"]

_LEAST_WINDOW = 64
"""Members that are handed to the scheduler at a time, at least."""
_STEP = 0.5
"""Seconds between two looks at the workers."""
_START = 120.0
"""Longest wait for the first worker of this machine [s]."""
_SEEN = 10.0
"""Longest wait for a folder that a worker of another machine has written [s]; network file systems tell late."""
_MOST_DEATHS = 20
"""Workers that may die without finishing a member between, before the machine is taken to be at fault."""


@dataclass
class LocalWorkers:
    """Workers of this machine: one process and one thread each, replaced when they die, gone with this process."""

    address: str
    count: int
    folder: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    deaths: int = 0
    """Since the last member ended."""

    def mend(self) -> None:
        """Start a worker for each that is missing.

        Raises
        ------
        RunError
            If they die one after the other and no member gets done.
        """
        dead = [one for one in self.processes if one.poll() is not None]
        for one in dead:
            self._let_go(one)
        self.deaths += len(dead)
        if self.deaths > _MOST_DEATHS:
            msg = (
                f"{self.deaths} worker processes died one after the other (the last with status {dead[-1].returncode}) and no member was "
                "finished; look at memory and disk, or run with fewer workers"
            )
            raise RunError(msg)
        self.processes = [one for one in self.processes if one not in dead]
        while len(self.processes) < self.count:
            self.processes.append(self._start())

    def _start(self) -> subprocess.Popen[bytes]:
        # One thread each: cores are used by members side by side, and a library that starts threads of its own would take them away.
        alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
        command = [sys.executable, "-P", "-m", "cim.sim.ensemble.worker", self.address, self.folder]
        return subprocess.Popen(  # noqa: S603 - this Python, our module, an address of our own
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **alone}
        )

    @staticmethod
    def _let_go(process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        process.wait()

    def close(self) -> None:
        """End the workers at once."""
        for one in self.processes:
            one.kill()
        for one in self.processes:
            self._let_go(one)
        self.processes = []


@contextlib.contextmanager
def connected(cluster: Any, workers: int | None) -> Iterator[tuple[Any, LocalWorkers | None]]:
    """Give a Dask client, and the workers where they are ours.

    Parameters
    ----------
    cluster
        ``"local"``: workers of this machine; the address of a scheduler; a `distributed.Client`, which stays open.
    workers
        Number of workers of this machine; as many as there are processors when left out.

    Raises
    ------
    MissingExtraError
        If distributed is not installed.
    UsageError
        If `cluster` is something else, or `workers` is given for workers that are not ours.
    """
    distributed = load_extra("distributed", "dask")
    if workers is not None and (cluster != "local" or isinstance(workers, bool) or workers < 1):
        msg = f'workers={workers!r} with cluster={cluster!r}; expected a number of at least 1, and cluster="local"'
        raise UsageError(msg)
    if isinstance(cluster, distributed.Client):
        if cluster.asynchronous:
            msg = "the client is asynchronous; give distributed.Client(address) of a program that is not"
            raise UsageError(msg)
        yield cluster, None
    elif cluster == "local":
        with _local(distributed, workers or len(os.sched_getaffinity(0))) as found:
            yield found
    elif isinstance(cluster, str):
        with distributed.Client(cluster, set_as_default=False) as client:
            yield client, None
    else:
        msg = f'cluster={cluster!r}; expected None, "local", the address of a scheduler or a distributed.Client'
        raise UsageError(msg)


@contextlib.contextmanager
def _local(distributed: Any, count: int) -> Iterator[tuple[Any, LocalWorkers]]:
    """Give a scheduler in this process, on the loopback only, with workers of our own."""
    import dask

    with contextlib.ExitStack() as stack:
        # A death is told at once: who is tried again, and when alone, is decided here.
        stack.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": 0, "distributed.admin.log-length": 0}))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cim-workers-", ignore_cleanup_errors=True))
        # Its pages would be at 8787 otherwise, which may be taken.
        quiet = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}, "silence_logs": logging.CRITICAL}
        cluster = stack.enter_context(
            distributed.LocalCluster(n_workers=0, processes=True, host="127.0.0.1", local_directory=folder, **quiet)
        )
        client = stack.enter_context(distributed.Client(cluster, set_as_default=False))
        mine = LocalWorkers(cluster.scheduler_address, count, folder)
        stack.callback(mine.close)
        mine.mend()
        _await_worker(client, mine)
        yield client, mine


def _await_worker(client: Any, mine: LocalWorkers) -> None:
    until = time.monotonic() + _START
    while not client.nthreads():
        mine.mend()
        if time.monotonic() > until:
            msg = f"no worker process answered within {_START:g} s; run with cluster=None, or look at the load of this machine"
            raise RunError(msg)
        time.sleep(_STEP / 5)


@dataclass
class _Queue:
    """Members that wait, and how often each was tried."""

    waiting: deque[Task]
    alone: deque[Task] = field(default_factory=deque)
    """Those whose worker died twice: they run with nobody beside them, so that only the guilty one fails."""
    tries: dict[str, int] = field(default_factory=dict)

    def again(self, task: Task) -> None:
        (self.alone if self.tries[task.name] >= 2 else self.waiting).append(task)

    def next(self, running: int, window: int) -> Task | None:
        if self.waiting and running < window:
            return self.waiting.popleft()
        return self.alone.popleft() if self.alone and not self.waiting and running == 0 else None


def on_dask(tasks: Sequence[Task], client: Any, mine: LocalWorkers | None, retries: int) -> Generator[Outcome, None, None]:
    """Yield the outcome of each task as it ends; a finished one is on disk, seen from here.

    Parameters
    ----------
    retries
        How often a member is tried again whose worker died, or that ran into a full disk or memory.
    """
    distributed = load_extra("distributed", "dask")
    queue, running = _Queue(deque(tasks)), cast("dict[Any, Task]", {})
    try:
        while running or queue.waiting or queue.alone:
            _submit(client, queue, running)
            with client.as_current(), contextlib.suppress(TimeoutError, distributed.TimeoutError):
                distributed.wait(list(running), timeout=_STEP, return_when="FIRST_COMPLETED")
            if mine is not None:
                mine.mend()
            for future in [one for one in running if one.done()]:
                task = running.pop(future)
                outcome = _outcome(future, task)
                future.release()  # or it is computed again when the worker that did it dies
                if outcome.again and queue.tries[task.name] <= retries:
                    queue.again(task)
                    continue
                if mine is not None:
                    mine.deaths = 0
                yield outcome
    finally:
        if running:
            client.cancel(list(running), force=True)


def _submit(client: Any, queue: _Queue, running: dict[Any, Task]) -> None:
    window = max(_LEAST_WINDOW, 4 * sum(client.nthreads().values())) if queue.waiting else 1
    while (task := queue.next(len(running), window)) is not None:
        queue.tries[task.name] = queue.tries.get(task.name, 0) + 1
        running[client.submit(do_member, task, pure=False, retries=0)] = task


def _outcome(future: Any, task: Task) -> Outcome:
    """Return what became of a task; one that says it is done is looked for on disk."""
    if future.status != "finished":
        error = future.exception() if future.status == "error" else None
        died = type(error).__name__ == "KilledWorker"
        words = "the worker process died while it ran (killed, or out of memory)" if died else f"{type(error).__name__}: {error}"
        return Outcome(task.name, words if error is not None else "the cluster gave it up", again=True)
    outcome = cast("Outcome", future.result())
    if outcome.error or _seen(task):
        return outcome
    words = f"a worker says it is done, but {task.folder} is not whole here; workers need the same file system, under the same path"
    return Outcome(task.name, words, again=True)


def _seen(task: Task) -> bool:
    until = time.monotonic() + _SEEN
    while not is_whole(Path(task.folder), task.inputs):
        if time.monotonic() > until:
            return False
        time.sleep(_STEP)
    return True
