"""A benchmark's temporary directory and the servers that it starts: all of it is gone when the benchmark ends, however it ends."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import measure


class Scratch:
    """`with Scratch() as scratch:`. Ctrl-C and SIGTERM unwind through it."""

    def __init__(self):
        self.servers = []
        self.trash = []

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        # Short: control sockets below it have names of at most 107 bytes.
        self.path = self.directory("swb-")
        os.mkdir(self.file("home"), 0o700)
        return self

    def __exit__(self, *_):
        # A second Ctrl-C must not leave servers behind.
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, signal.SIG_IGN)
        for server in list(self.servers):
            self.stop(server)
        for path in self.trash:
            shutil.rmtree(path, ignore_errors=True)

    def directory(self, prefix):
        """A directory of its own outside of the scratch directory, removed with it."""
        path = tempfile.mkdtemp(prefix=prefix)
        self.trash.append(path)
        return path

    def file(self, *names):
        return os.path.join(self.path, *names)

    def write(self, name, text, mode=0o600):
        path = self.file(name)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w") as file:
            file.write(text)
        return path

    def environment(self, **more):
        """The environment of everything that is measured: nothing of the caller's own configuration."""
        home = self.file("home")
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": home,
            "XDG_STATE_HOME": os.path.join(home, "state"),
            "TMPDIR": self.path,
            "LANG": "C.UTF-8",
            "USER": os.environ.get("USER", "root"),
            **more,
        }

    def serve(self, argv, *, log, env=None):
        """Starts a server in a process group of its own."""
        with open(self.file(log), "wb") as output:
            server = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=env or self.environment(),
                cwd=self.path,
                start_new_session=True,
                preexec_fn=lambda: measure.die_with_parent(signal.SIGINT),
            )
        self.servers.append(server)
        return server

    def stop(self, server):
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
            if server.poll() is not None:
                break
            server.send_signal(signum)
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                continue
        if server in self.servers:
            self.servers.remove(server)

    def wait_for(self, server, ready, what, timeout=60.0):
        """Waits until `ready()` is true; a server that ends first, or takes too long, is an error."""
        deadline = time.monotonic() + timeout
        while not ready():
            if server.poll() is not None:
                raise measure.Failed(f"{what} ended with {server.returncode}")
            if time.monotonic() > deadline:
                raise measure.Failed(f"{what} was not ready after {timeout:.0f} s")
            time.sleep(0.05)


def main(body):
    """Runs a benchmark's `body(scratch)` and turns what goes wrong into a line and an exit code."""
    try:
        with Scratch() as scratch:
            sys.exit(body(scratch))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except measure.Failed as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
