"""Tells a living writer from a dead one: a lock on its side file, and the identity of its process."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows: the process alone decides
    fcntl = None  # type: ignore[assignment]


def identity(descriptor: int) -> dict[str, Any]:
    """Who writes here: process, when it was started, where its number counts, and which file it holds."""
    status = os.fstat(descriptor)
    return {
        "pid": os.getpid(),
        "started": started_at(os.getpid()),
        "place": _place(),
        "file": [status.st_dev, status.st_ino],
    }


def is_alive(descriptor: int, writer: dict[str, Any]) -> bool:
    """True while the process that made this side file is alive.

    A copy of the file is another file; a process number used again has another start; a child that inherited the lock
    is another process. Where the process cannot be seen from here (another container), the lock alone decides.
    """
    status = os.fstat(descriptor)
    if writer.get("file") != [status.st_dev, status.st_ino]:
        return False
    if fcntl is not None and not _locked(descriptor):
        return False
    if writer.get("place") != _place():
        return fcntl is not None
    pid = writer.get("pid")
    return isinstance(pid, int) and started_at(pid) == writer.get("started") != ""


def lock(descriptor: int) -> bool:
    """Holds the side file until it is closed; False where another holds it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def started_at(pid: int) -> str:
    """When a process began, as its system says it; empty where there is none."""
    if sys.platform == "linux":
        return _linux_start(pid)
    if sys.platform == "win32":
        return "unknown"
    seen = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return seen.stdout.strip()


def _linux_start(pid: int) -> str:
    """Field 22 of /proc/PID/stat (clock ticks since boot); a zombie is dead."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()


def _place() -> str:
    """Where a process number has a meaning: the boot and the process namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")
