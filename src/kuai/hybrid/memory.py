"""What a process does with the memory that its programs have done with: `kuai.keep_memory`."""

from __future__ import annotations

import ctypes
import platform

# Of glibc's malloc.h; the values are what it starts with, but for the second: it starts at 128 KiB
# and adapts up to this, until it is told anything.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
_TRIM_BYTES, _MMAP_BYTES, _MMAPS = 128 * 2**10, 32 * 2**20, 65536
_NEVER = -1


def keep_memory(active: bool = True) -> bool:
    """Let this process keep the memory that its programs free, for their next call.

    On a CPU a compiled program takes its temporary memory from the system on each call. glibc gives
    blocks above 32 MB back at once, and the system clears every page of the next ones. That is a
    sixth to a quarter of the time of a training step that needs some 100 MB. A process that keeps
    its memory stays as large as it has once been. So it is not done unasked; `kuai train` does it.
    It is a setting of the whole process, for NumPy's and other libraries' memory too. Of threads it
    is for the main one: to others glibc gives no heap above 64 MB.

    Args:
        active: False: give freed memory back again, what is free now at once.

    Returns:
        Whether the system's allocator could be told: glibc's can, so on most Linux systems. On
        others nothing changes.

    Example:
        >>> kuai.keep_memory() == kuai.keep_memory(False)
        True

    Reference:
        mallopt(3), https://man7.org/linux/man-pages/man3/mallopt.3.html.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    libc = ctypes.CDLL(None)
    told = [
        libc.mallopt(_MMAP_MAX, 0 if active else _MMAPS),
        libc.mallopt(_TRIM_THRESHOLD, _NEVER if active else _TRIM_BYTES),
        libc.mallopt(_MMAP_THRESHOLD, _MMAP_BYTES),
    ]
    if not active:
        libc.malloc_trim(0)
    return all(told)
