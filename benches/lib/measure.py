"""Runs one command and says what it cost: wall time, CPU of the whole process tree, memory, number of processes.

CPU is what the kernel accounts to the command and to every process that it started, also to those that it left behind
(Ansible's connection masters): a keeper process stands above the command as *child subreaper*, so that orphans become its
children, ends what is left when the command has ended, waits for all of it, and then reads `getrusage(RUSAGE_CHILDREN)`.
Only processes whose parent ignores SIGCHLD would be missed; none of the tools measured here does that.

Memory of a tree is sampled from /proc, which costs CPU itself: so only runs asked to `sample` do it, and those are not timed.
"""

import ctypes
import json
import os
import resource
import select
import signal
import time
from dataclasses import dataclass

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


class Failed(Exception):
    """A command that could not be run to its end."""


@dataclass
class Cost:
    """What one run took. Times in seconds, memory in bytes."""

    status: int
    wall: float
    user: float
    system: float
    peak: int  # the command's own high-water mark of resident memory, or its largest child's that it waited for
    largest: int = 0  # sampled: the largest process
    total: int = 0  # sampled: the most that all processes held together
    processes: int = 0  # sampled: the most at the same time

    @property
    def cpu(self):
        return self.user + self.system


def die_with_parent(signum=signal.SIGTERM):
    """For a child just forked: it gets `signum` when its parent dies."""
    _libc.prctl(PR_SET_PDEATHSIG, int(signum), 0, 0, 0)


def children(pid):
    """The children of all threads of a process."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += [int(word) for word in file.read().split()]
    except OSError:
        pass  # It has ended.
    return found


def descendants(pid):
    found, todo = [], [pid]
    while todo:
        below = children(todo.pop())
        found += below
        todo += below
    return found


def _memory(pid):
    """High-water mark and present size of a process's resident memory; `None` when it is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            values = dict(line.split(":", 1) for line in file)
        return [int(values[key].split()[0]) * 1024 for key in ("VmHWM", "VmRSS")]
    except (OSError, KeyError, ValueError):
        return None


def _end(pids, signum):
    for pid in pids:
        try:
            os.kill(pid, signum)
        except ProcessLookupError:
            pass


def _reap_all(patience):
    """Waits for every child, and ends those that are still there after `patience` seconds."""
    deadline, signum = time.monotonic() + patience, signal.SIGTERM
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return
        if time.monotonic() > deadline:
            _end(descendants(os.getpid()), signum)
            deadline, signum = time.monotonic() + 1, signal.SIGKILL
        time.sleep(0.002)


def _keeper(report, argv, env, cwd, files, patience):
    os.setsid()
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def stop(*_):
        _reap_all(0)
        os._exit(1)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    os.chdir(cwd)
    actions = [(os.POSIX_SPAWN_OPEN, 0, files[0], os.O_RDONLY, 0)]
    for fd, path in ((1, files[1]), (2, files[2])):
        actions.append((os.POSIX_SPAWN_OPEN, fd, path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    # Python ignores SIGPIPE, and an ignored signal is inherited.
    defaults = [signal.SIGPIPE, signal.SIGINT, signal.SIGTERM]
    begun = time.monotonic()
    pid = os.posix_spawnp(argv[0], argv, env, file_actions=actions, setsigdef=defaults)
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - begun
    _reap_all(patience)
    tree = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # A process starts with the memory of the one that spawned it, so less than the keeper's own size cannot be told.
    peak = usage.ru_maxrss * 1024 if usage.ru_maxrss > own * 1.05 else 0
    result = [os.waitstatus_to_exitcode(status), wall, tree.ru_utime, tree.ru_stime, peak]
    os.write(report, json.dumps(result).encode())


def run(argv, *, env, cwd="/", stdin="/dev/null", out="/dev/null", err="/dev/null", timeout=300.0, sample=False, patience=0.0):
    """Runs `argv` and returns its `Cost`. What it leaves behind gets `patience` seconds to end by itself."""
    reading, report = os.pipe()
    keeper = os.fork()
    if keeper == 0:
        code = 1
        try:
            os.close(reading)
            _keeper(report, argv, env, cwd, (stdin, out, err), patience)
            code = 0
        except OSError as error:
            os.write(report, json.dumps(str(error)).encode())
        finally:
            os._exit(code)
    os.close(report)
    deadline, last, total, processes, text = time.monotonic() + timeout, {}, 0, 0, b""
    try:
        while True:
            if select.select([reading], [], [], 0.01 if sample else 0.5)[0]:
                block = os.read(reading, 65536)
                if not block:
                    break
                text += block
            if time.monotonic() > deadline:
                raise Failed(f"not done after {timeout:.0f} s")
            if sample:
                now = {pid: memory for pid in descendants(keeper) if (memory := _memory(pid))}
                last.update({pid: memory[0] for pid, memory in now.items()})
                total = max(total, sum(memory[1] for memory in now.values()))
                processes = max(processes, len(now))
    finally:
        os.close(reading)
        _end([keeper], signal.SIGTERM)  # It has ended already unless something went wrong here.
        os.waitpid(keeper, 0)
    result = json.loads(text) if text else "it was killed"
    if isinstance(result, str):
        raise Failed(result)
    return Cost(*result, largest=max(last.values(), default=0), total=total, processes=processes)
