"""The nodes of a benchmark: a real sshd on many loopback addresses, or the program's embedded fleet, and inventories for both."""

import json
import os
import pwd
import re
import shutil
import socket
import subprocess
from dataclasses import dataclass, field

from . import measure


@dataclass
class Nodes:
    """Hosts with the same user, key and known hosts file."""

    user: str
    key: str
    known_hosts: str
    hosts: list = field(default_factory=list)  # (name, address, port, group)

    def with_hosts(self, hosts):
        return Nodes(self.user, self.key, self.known_hosts, hosts)

    def with_port(self, scratch, port):
        """The same nodes behind another port: a proxy's, or a listener's."""
        with open(self.known_hosts) as file:
            text = re.sub(r"(?m)^(\[[^]]*\]):\d+", rf"\1:{port}", file.read())
        known_hosts = scratch.write(f"known_hosts-{port}", text)
        return Nodes(self.user, self.key, known_hosts, [(n, a, port, g) for n, a, _, g in self.hosts])

    def write_inventory(self, scratch, name):
        options = (
            f"-F none -o UserKnownHostsFile={self.known_hosts} -o GlobalKnownHostsFile=/dev/null "
            "-o StrictHostKeyChecking=yes -o IdentitiesOnly=yes -o IdentityAgent=none"
        )
        lines = ["all:", "  vars:", f"    ansible_user: {self.user}", f"    ansible_ssh_private_key_file: '{self.key}'"]
        lines += [f"    ansible_ssh_common_args: '{options}'", "  children:"]
        for group in sorted({host[3] for host in self.hosts}):
            lines += [f"    {group}:", "      hosts:"]
            for name_, address, port, _ in (host for host in self.hosts if host[3] == group):
                lines.append(f"        {name_}: {{ ansible_host: {address}, ansible_port: {port} }}")
        return scratch.write(name, "\n".join(lines) + "\n")


def free_port(address="127.0.0.1"):
    with socket.socket() as probe:
        probe.bind((address, 0))
        return probe.getsockname()[1]


def real_sshd(scratch, count):
    """`count` addresses of the system's own sshd, ten to a process (it listens on at most 16 addresses)."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", ""))
    if not program:
        raise measure.Failed("there is no sshd: apt-get install openssh-server")
    if os.geteuid() == 0 and not os.path.isdir("/run/sshd"):
        # Only root's sshd wants it; the service makes it when it starts.
        os.mkdir("/run/sshd", 0o755)
    names = {name: scratch.file(f"sshd-{name}") for name in ("host", "user")}
    for path in names.values():
        if not os.path.exists(path):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True, timeout=60)
    with open(names["host"] + ".pub") as file:
        host_key = " ".join(file.read().split()[:2])
    authorized = scratch.file("sshd-authorized_keys")
    shutil.copy(names["user"] + ".pub", authorized)
    addresses = [f"127.77.{1 + i // 250}.{1 + i % 250}" for i in range(count)]
    port = free_port(addresses[0])
    for number in range(0, count, 10):
        some = addresses[number : number + 10]
        lines = [f"Port {port}", *(f"ListenAddress {address}" for address in some), f"HostKey {names['host']}"]
        lines += [f"AuthorizedKeysFile {authorized}", "PidFile none", "UsePAM no", "StrictModes no", "UseDNS no"]
        lines += ["PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password"]
        lines += ["MaxStartups 500", "LogLevel ERROR", "PrintMotd no", "PrintLastLog no"]
        # bash reads ~/.bashrc for sshd unless it believes to run inside another shell: the user's own must not be measured.
        lines.append("SetEnv SHLVL=5")
        config = scratch.write(f"sshd-{number}.conf", "\n".join(lines) + "\n")
        server = scratch.serve([program, "-D", "-e", "-f", config], log=f"sshd-{number}.log")
        scratch.wait_for(server, lambda last=some[-1]: _answers(last, port), f"sshd (see {config})", 20)
    known = scratch.write("sshd-known_hosts", "".join(f"[{address}]:{port} {host_key}\n" for address in addresses))
    hosts = [(f"real{i + 1:02}", address, port, "workers") for i, address in enumerate(addresses)]
    return Nodes(pwd.getpwuid(os.geteuid()).pw_name, names["user"], known, hosts)


def _answers(address, port):
    try:
        with socket.create_connection((address, port), 1) as stream:
            return stream.recv(4) == b"SSH-"
    except OSError:
        return False


class Fleet:
    """The embedded fleet in a process of its own, and those of its nodes that answer (some do not, by design).

    Without `wanted` nobody is asked.
    """

    def __init__(self, scratch, binary, size, wanted=None):
        self.scratch, self.binary = scratch, binary
        inventory = scratch.file(f"fleet-{size}.yaml")
        argv = [binary, "demo", "--serve", "--nodes", str(size), "--write-inventory", inventory]
        self.server = scratch.serve(argv, log=f"fleet-{size}.log")
        # The line that says so comes after the inventory was written and all nodes listen.
        scratch.wait_for(self.server, lambda: "are up" in self._log(size), "the fleet")
        self.all = _read_inventory(inventory)
        self.nodes = self.all.with_hosts(self._answering(inventory, wanted)) if wanted else self.all
        if not self.nodes.hosts:
            raise measure.Failed("no node of the fleet answers")

    def _log(self, size):
        with open(self.scratch.file(f"fleet-{size}.log")) as file:
            return file.read()

    def _answering(self, inventory, wanted):
        """Runs `true` everywhere once. It also makes the nodes' host keys, which are made at the first connection."""
        out = self.scratch.file("answering.jsonl")
        argv = [self.binary, "exec", "-i", inventory, "-o", "jsonl", "--no-progress", "--timeout", "8s", "--", "true"]
        measure.run(argv, env=self.scratch.environment(), cwd=self.scratch.path, out=out)
        with open(out) as file:
            lines = [json.loads(line) for line in file]
        os.unlink(out)
        answered = {line["name"] for line in lines if line["exit"] == 0}
        return [host for host in self.all.hosts if host[0] in answered][:wanted]

    def stop(self):
        self.scratch.stop(self.server)


def _read_inventory(path):
    """The inventory that the fleet writes."""
    with open(path) as file:
        text = file.read()
    user = re.search(r"ansible_user: (\S+)", text)[1]
    key = re.search(r"ansible_ssh_private_key_file: '(.*)'", text)[1]
    known_hosts = re.search(r"UserKnownHostsFile=(\S+)", text)[1]
    hosts, group = [], ""
    for line in text.splitlines():
        if heading := re.fullmatch(r"    (\w+):", line):
            group = heading[1]
        elif host := re.search(r"^ +(\S+): \{ ansible_host: (\S+), ansible_port: (\d+) \}", line):
            hosts.append((host[1], host[2], int(host[3]), group))
    return Nodes(user, key, known_hosts, hosts)
