"""The tools of the comparison: how each is got without installing it, and how it is asked to run one script on all nodes.

Debian's packages are downloaded and unpacked, Python's go into virtual environments, each in its own: nothing of the system
is changed. Every tool checks host keys (but parallel-ssh, which cannot), reads no configuration of the caller's, and has
its defaults otherwise. `fast` rows are forced to curve25519 and aes128-gcm: OpenSSH's older post-quantum default
(sntrup761, Debian 12) alone costs about 100 ms CPU a host.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from .measure import Failed
from .report import command_output

LIB = os.path.dirname(os.path.abspath(__file__))
FAST = {"KexAlgorithms": "curve25519-sha256", "Ciphers": "aes128-gcm@openssh.com"}
DEBIAN = ("pdsh", "clustershell", "python3-clustershell", "pssh", "python3-psshlib")
PYPI = {
    "parallel-ssh": ["parallel-ssh==2.16.0.post1"],
    "asyncssh": ["asyncssh==2.24.1", "uvloop==0.23.0"],
    "pyinfra": ["pyinfra==3.10.0"],
    "ansible": ["ansible-core==2.19.14"],
}


@dataclass
class Job:
    """What a tool is to do: one script on nodes that share a port, that many at once."""

    scratch: object
    label: str
    nodes: object
    script: str
    width: int
    binary: str

    @property
    def addresses(self):
        return [host[1] for host in self.nodes.hosts]

    @property
    def port(self):
        return self.nodes.hosts[0][2]

    def file(self, name, text):
        return self.scratch.write(f"{self.label}-{name}", text)

    def inventory(self):
        return self.nodes.write_inventory(self.scratch, f"{self.label}-inventory.yaml")

    def ssh_config(self, fast):
        settings = {
            "User": self.nodes.user,
            "Port": self.port,
            "IdentityFile": self.nodes.key,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self.nodes.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "LogLevel": "ERROR",
            **(FAST if fast else {}),
        }
        return self.file(f"ssh_config{'-fast' * fast}", "".join(f"{key} {value}\n" for key, value in settings.items()))


@dataclass
class Tool:
    """One row. `command(job, fast)` gives argv and additions to the environment."""

    name: str
    command: object
    version: object  # () -> str
    fast: bool = False
    missing: str = ""  # why it cannot be run

    def runs(self, job):
        argv, more = self.command(job, self.fast)
        return argv, job.scratch.environment(**more)


class Shelf:
    """Where the tools lie: below $BENCH_CACHE, which is kept, or in the scratch directory."""

    def __init__(self, scratch):
        self.scratch = scratch
        self.path = os.environ.get("BENCH_CACHE") or scratch.file("tools")
        os.makedirs(self.path, mode=0o700, exist_ok=True)

    def at(self, *names):
        return os.path.join(self.path, *names)

    def debian(self, package):
        done = self.at("debian", f".{package}")
        if os.path.exists(done):
            return
        os.makedirs(self.at("debian"), exist_ok=True)
        work = self.scratch.file(f"download-{package}")
        os.mkdir(work)
        self._do(["apt-get", "download", package], f"apt-get download {package}", cwd=work)
        self._do(["dpkg", "-x", os.path.join(work, os.listdir(work)[0]), self.at("debian")], f"dpkg -x {package}")
        open(done, "w").close()

    def pypi(self, name):
        place, done = self.at(f"venv-{name}"), self.at(f"venv-{name}", ".done")
        if not os.path.exists(done):
            self._do([sys.executable, "-m", "venv", "--clear", place], "python3 -m venv")
            self._do([os.path.join(place, "bin", "pip"), "install", "--quiet", *PYPI[name]], f"pip install {' '.join(PYPI[name])}")
            open(done, "w").close()

    def _do(self, argv, what, cwd=None):
        try:
            done = subprocess.run(argv, cwd=cwd or self.path, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Failed(f"{what}: {error}") from error
        if done.returncode:
            raise Failed(f"{what}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")

    def pdsh(self):
        """pdsh loads its modules from one compiled-in directory, and for root from no other: this copy has another one."""
        self.debian("pdsh")
        compiled = b"/usr/lib/x86_64-linux-gnu/pdsh"
        with open(self.at("debian", "usr/bin/pdsh.bin"), "rb") as file:
            program = file.read()
        modules = self.scratch.directory("pdsh-")
        shutil.copy(self.at("debian", compiled.decode().lstrip("/"), "sshcmd.so"), modules)
        if compiled not in program or len(modules) > len(compiled):
            raise Failed("pdsh's module directory cannot be replaced")
        path = self.scratch.file("pdsh")  # It refuses to run under another name.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o700), "wb") as file:
            file.write(program.replace(compiled, os.fsencode(modules).ljust(len(compiled), b"\0")))
        return path


def _options(fast):
    return [word for key, value in FAST.items() for word in ("--ssh-option", f"{key}={value}")] if fast else []


def _ours(job, fast, *words):
    return [job.binary, words[0], "-i", job.inventory(), "-f", str(job.width), "--no-progress", *_options(fast), *words[1:]], {}


def sweep(job, fast):
    return _ours(job, fast, "sweep", "--run-dir", job.scratch.file("runs"))


def execute(job, fast):
    return _ours(job, fast, "exec", "--", job.script)


def ssh(job, fast):
    hosts = job.file("hosts", "\n".join(job.addresses) + "\n")
    xargs = ["xargs", "-a", hosts, "-P", str(job.width), "-I", "@HOST@"]
    return [*xargs, "ssh", "-F", job.ssh_config(fast), "@HOST@", job.script], {}


def _peers(shelf, job, fast, name):
    """argv and environment of the tools that have to be got."""
    debian = {"PYTHONPATH": shelf.at("debian/usr/lib/python3/dist-packages"), "CLUSTERSHELL_CFGDIR": shelf.at("debian/etc/clustershell")}
    config, width, user = job.ssh_config(fast), str(job.width), job.nodes.user
    if name == "pdsh":
        # Its ssh runs as `-l` the caller unless told otherwise.
        argv = [job.scratch.file("pdsh"), "-R", "ssh", "-f", width, "-l", user, "-w", ",".join(job.addresses), job.script]
        return argv, {"PDSH_SSH_ARGS_APPEND": f"-F {config}"}
    if name == "clush":
        argv = ["/usr/bin/python3", shelf.at("debian/usr/bin/clush"), "-n", "-f", width, "-l", user, "-o", f"-F {config}"]
        return [*argv, "-w", ",".join(job.addresses), job.script], debian
    if name == "pssh":
        hosts = job.file("hosts", "\n".join(job.addresses) + "\n")
        argv = ["/usr/bin/python3", shelf.at("debian/usr/bin/parallel-ssh"), "-i", "-t", "0", "-p", width, "-l", user]
        return [*argv, "-x", f"-F {config}", "-h", hosts, job.script], debian
    if name == "ansible":
        groups = f"[all:vars]\nansible_user={user}\nansible_port={job.port}\nansible_ssh_common_args='-F {config}'\n[nodes]\n"
        inventory = job.file("ansible.ini", groups + "\n".join(job.addresses) + "\n")
        argv = [shelf.at("venv-ansible/bin/ansible"), "all", "-i", inventory, "-f", width, "-m", "raw", "-a", job.script]
        # Its control sockets outlive it and are left out of the next round.
        return argv, {"ANSIBLE_SSH_CONTROL_PATH_DIR": job.scratch.file("cp")}
    if name == "pyinfra":
        data = {"ssh_user": user, "ssh_port": job.port, "ssh_key": job.nodes.key, "ssh_known_hosts_file": job.nodes.known_hosts}
        data |= {"ssh_strict_host_key_checking": "yes", "ssh_allow_agent": False, "ssh_look_for_keys": False}
        inventory = job.file("pyinfra.py", f"nodes = {[(address, data) for address in job.addresses]!r}\n")
        return [shelf.at("venv-pyinfra/bin/pyinfra"), "-y", "--parallel", width, inventory, "exec", "--", job.script], {}
    plan = {"hosts": job.addresses, "port": job.port, "user": user, "key": job.nodes.key, "script": job.script}
    plan |= {"known_hosts": job.nodes.known_hosts, "width": job.width, "fast": fast}
    path = job.file(f"{name}{'-fast' * fast}.json", json.dumps(plan))
    return [shelf.at(f"venv-{name}/bin/python"), os.path.join(LIB, "drivers", f"{name.replace('-', '_')}_run.py"), path], {}


def _fetch(shelf, name):
    if name == "pdsh":
        shelf.pdsh()
    elif name in ("clush", "pssh"):
        for package in DEBIAN[1:3] if name == "clush" else DEBIAN[3:]:
            shelf.debian(package)
    else:
        shelf.pypi(name)


def _version(shelf, name):
    argv = {
        "pdsh": [shelf.scratch.file("pdsh"), "-V"],
        "clush": ["/usr/bin/python3", shelf.at("debian/usr/bin/clush"), "--version"],
        "pssh": ["/usr/bin/python3", shelf.at("debian/usr/bin/parallel-ssh"), "--version"],
        "ansible": [shelf.at("venv-ansible/bin/ansible"), "--version"],
    }.get(name)
    if argv is None:
        return ", ".join(PYPI[name]).replace("==", " ")
    env = shelf.scratch.environment(PYTHONPATH=shelf.at("debian/usr/lib/python3/dist-packages"))
    return command_output(argv, env)


def tools(shelf, binary, chosen, say):
    """Every row whose name passes `chosen`, got if need be; one that cannot be had says why."""
    own = lambda: command_output([binary, "--version"])
    found = [Tool("seaworthy sweep", sweep, own), Tool("seaworthy exec", execute, own)]
    found += [Tool("ssh, xargs", ssh, lambda: command_output(["ssh", "-V"]))]
    for name in ("pdsh", "clush", "pssh", "parallel-ssh", "asyncssh", "pyinfra", "ansible"):
        command = lambda job, fast, name=name: _peers(shelf, job, fast, name)
        found.append(Tool(name, command, lambda name=name: _version(shelf, name)))
    found = [tool for tool in found if chosen(tool.name)]
    for tool in found:
        if tool.name not in ("seaworthy sweep", "seaworthy exec", "ssh, xargs"):
            say(f"getting {tool.name}")
            try:
                _fetch(shelf, tool.name)
            except (Failed, OSError) as error:
                tool.missing = str(error)
    slow_only = ("parallel-ssh", "pyinfra")  # They offer no such choice.
    fast = [Tool(tool.name, tool.command, tool.version, True, tool.missing) for tool in found if tool.name not in slow_only]
    return found + fast
