"""Threads that each compute with torch on a part of the work, and do not wait for one another.

One operation that torch divides among threads ends when the slowest of them is done. Beside other programs that is the
one whose core is taken from it, at every operation again: `charlstm eval` took 30 times as long as with one thread.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch


def thread_pool(name: str, parts: int, each: int = 1) -> ThreadPoolExecutor:
    """A pool of ``parts`` threads, all of them running, with operations that use ``each`` threads."""
    threads = torch.get_num_threads()
    started = Barrier(parts + 1)
    pool = ThreadPoolExecutor(parts, name, start_thread, (each,))
    for _ in range(parts):
        pool.submit(started.wait)  # each waits for all, so that every thread of the pool is started now
    started.wait()
    # A thread that sets its number of threads also changes the default of later threads: restore it.
    torch.set_num_threads(threads)
    return pool


def start_thread(threads: int) -> None:
    """Let operations in this thread use so many threads."""
    # The first call in a thread returns, and keeps, the number that another thread set last: so call it before setting.
    torch.get_num_threads()
    torch.set_num_threads(threads)
