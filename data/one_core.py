"""A process that leaves the other cores to the processes beside it, and the kernel alone."""

from __future__ import annotations

import ctypes
from contextlib import suppress

from threadpoolctl import threadpool_limits

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's <malloc.h>
ENOUGH = 2**30  # bytes


def settle_on_one_core() -> None:
    """One thread for BLAS, and memory that is freed stays with the process.

    Matrices as small as the channel's lose more by threads that wait for each other than they gain: with a
    busy machine a factor of ten. And an utterance of ten seconds needs some twenty arrays of half a
    megabyte, one after the other: zeroing the pages anew would be a third of the channel's time.
    """
    threadpool_limits(1, "blas")
    keep_freed_memory()


def keep_freed_memory() -> None:
    """Do not give it back to the kernel, which would zero its pages before they are used again.

    A model that reads a minute of speech on the CPU would spend as long on that as on its arithmetic.
    """
    with suppress(OSError, AttributeError):  # not glibc
        library = ctypes.CDLL(None)
        library.mallopt(M_TRIM_THRESHOLD, ENOUGH)
        library.mallopt(M_MMAP_THRESHOLD, ENOUGH)
