"""Worker processes that build one recipe at a time and report their progress.

Spawned, not forked: torch's thread pools do not survive a fork. Workers stop when told to, and also when the
process that started them is gone, so that nothing trains on unattended.
"""

import os
import signal
import threading
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event as Flag
from queue import Empty

from energylens.errors import EnergylensError
from energylens.store.events import Event, OnEvent, one_line, reporting
from energylens.store.executors.base import Executor
from energylens.store.recipe import Recipe
from energylens.store.store import Store

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 5.0
_DIED = "a worker process died: killed, or out of memory (fewer jobs need less)"


class Local(Executor):
    """`jobs` processes on this machine."""

    name = "local"

    def __init__(self, store_url: str, jobs: int, on_event: OnEvent) -> None:
        super().__init__(store_url, jobs, on_event)
        self._context = get_context("spawn")
        self._stop = self._context.Event()
        self._running: dict[Future[Exception | None], str] = {}
        self._start_pool()

    @property
    def idle(self) -> int:
        """See `Executor`."""
        return self.jobs - len(self._running)

    def submit(self, key: str, recipe: Recipe) -> None:
        """See `Executor`."""
        self._running[self._pool.submit(_build_one, recipe, self.store_url)] = key

    def wait(self) -> list[tuple[str, Exception | None]]:
        """See `Executor`."""
        finished, _ = wait(self._running, _POLL_SECONDS, FIRST_COMPLETED)
        self._pass_on()
        if any(isinstance(future.exception(), BrokenProcessPool) for future in finished):
            # One dead worker takes the whole pool with it: all that ran is lost, the rest needs a new pool.
            finished = set(self._running)
            self._end_pool()
            self._start_pool()
        return [(self._running.pop(future), _outcome(future)) for future in finished]

    def _pass_on(self) -> None:
        """Hand over events of running builds; those of finished ones come late, and are dropped."""
        while True:
            try:
                event = self._events.get_nowait()
            except Empty:
                return
            if event.key in self._running.values():
                self.on_event(event)

    def _start_pool(self) -> None:
        # A queue of its own: a worker that dies while it writes leaves the queue locked.
        self._events: Queue[Event] = self._context.Queue()
        arguments = (self._events, self._stop)
        self._pool = ProcessPoolExecutor(self.jobs, self._context, _start_worker, arguments)

    def _end_pool(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._events.close()

    def close(self, error: BaseException | None) -> None:
        """See `Executor`."""
        if error is not None:
            self._stop.set()
        self._end_pool()


def _outcome(future: "Future[Exception | None]") -> Exception | None:
    try:
        return future.result()
    except BrokenProcessPool:
        return EnergylensError(_DIED)
    except Exception as error:
        return error


# The rest runs in the workers.

_events: "Queue[Event] | None" = None


def _start_worker(events: "Queue[Event]", stop: Flag) -> None:
    global _events
    _events = events
    events.cancel_join_thread()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A terminal sends Ctrl-C to everybody. The parent decides, through `stop`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()


def _leave(signum: int, frame: object) -> None:
    raise SystemExit(128 + signum)


def _watch(stop: Flag) -> None:
    """End this worker when told to or when its parent is gone: first so that it tidies up, then surely."""
    parent = parent_process()
    while not stop.wait(1.0):
        if parent is not None and not parent.is_alive():
            break
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_SECONDS)
    os._exit(1)


def _build_one(recipe: Recipe, store_url: str) -> Exception | None:
    """Build one recipe. An exception is returned, not raised, in a form that can cross processes."""
    assert _events is not None
    try:
        Store(store_url).get(recipe, reporting(recipe, _events.put))
    except SystemExit as leaving:
        # The pool's loop would swallow it. By now, locks are free and temporaries removed.
        os._exit(leaving.code if isinstance(leaving.code, int) else 1)
    except Exception as error:
        if not _crosses(error):
            return EnergylensError(f"{one_line(error)}\n{traceback.format_exc()}")
        error.add_note(f"In a worker process:\n{traceback.format_exc()}")
        return error
    return None


def _crosses(error: Exception) -> bool:
    """Whether an exception is sure to arrive whole: built in, or ours, and made of texts and numbers."""
    known = type(error).__module__ in ("builtins", EnergylensError.__module__)
    return known and not vars(error) and all(isinstance(arg, str | int | float | None) for arg in error.args)
