"""Numbers into Markdown, and the machine that they come from."""

import datetime
import os
import platform
import shlex
import subprocess
import sys
from statistics import median

__all__ = ["command_output", "machine", "median", "megabytes", "number", "table"]


def table(headings, rows):
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def number(value, digits=3):
    """A number with that many significant digits, and no exponent."""
    if value is None:
        return "·"
    if value == 0:
        return "0"
    whole = len(str(int(abs(value))))
    return f"{value:.{max(0, digits - whole if abs(value) >= 1 else digits)}f}"


def megabytes(value):
    return number(value / 1e6) if value else "·"


def command_output(argv, env=None):
    """The first line that a command prints, wherever it prints it."""
    try:
        done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"({error})"
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].strip() if lines else ""


def _field(path, key):
    try:
        with open(path) as file:
            return next((line.split(":", 1)[1].strip() for line in file if line.startswith(key)), "?")
    except OSError:
        return "?"


def machine(binary):
    """A paragraph: machine, system, date, command, and a warning when others use the machine."""
    cores = len(os.sched_getaffinity(0))
    memory = int(_field("/proc/meminfo", "MemTotal").split()[0]) / 2**20
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    load = os.getloadavg()[0]
    lines = [
        f"{cores} cores of {_field('/proc/cpuinfo', 'model name')}, {memory:.0f} GiB, {system}, kernel {platform.release()}, "
        f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d %H:%M} UTC. Clients and nodes share the machine.",
        f"`{shlex.join([os.path.relpath(sys.argv[0]), *sys.argv[1:]])}` with {command_output([binary, '--version'])}; "
        f"load average {load:.1f} at the start.",
    ]
    if load > cores / 4:
        lines.append("**The machine was not idle: wall times mean nothing, and CPU times are too high.**")
    return "\n".join(lines) + "\n"
