#!/usr/bin/env python3
"""Nodes behind a slow network: every address of 127.0.0.0/8 on one port, forwarded to the same address on another port.

    delayproxy.py PORT MILLISECONDS          prints the port that it listens on; one round trip takes MILLISECONDS

TCP's own handshake, which the kernel does at once here, is paid for as well: the far side is dialled one and a half round
trips after the client's connect, when the last packet of the handshake would have arrived. Both sides have TCP_NODELAY,
and TCP_QUICKACK after every read, so that no delayed acknowledgement of the proxy's own is measured.
"""

import asyncio
import collections
import ctypes
import signal
import socket
import sys


class Side(asyncio.Protocol):
    """One half of a connection. What it reads goes to `other` half a round trip later."""

    def __init__(self, half, began):
        self.half, self.began = half, began
        self.transport = self.other = None
        self.early = []
        # Timers that are due at the same moment fire in any order; what they do comes in this one.
        self.due = collections.deque()

    def connection_made(self, transport):
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.acknowledge()

    def acknowledge(self):
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def data_received(self, data):
        self.acknowledge()
        self.later(lambda: self.other.transport.write(data))

    def connection_lost(self, _error):
        self.later(lambda: self.other.transport.close())

    def later(self, action):
        if self.other is None:
            self.early.append(action)
            return
        loop = asyncio.get_running_loop()
        if self.half == 0:
            action()
        else:
            self.due.append(action)
            loop.call_at(max(loop.time(), self.began) + self.half, lambda: self.due.popleft()())

    def join(self, other):
        self.other = other
        early, self.early = self.early, []
        for action in early:
            action()


async def serve(listener, port, half):
    loop = asyncio.get_running_loop()

    async def accepted(sock):
        began = loop.time() + 2 * half  # When a client this far away would know that it is connected.
        address = sock.getsockname()[0]
        _, near = await loop.connect_accepted_socket(lambda: Side(half, began), sock)
        await asyncio.sleep(3 * half)
        try:
            _, far = await loop.create_connection(lambda: Side(half, began), address, port)
        except OSError:
            near.transport.abort()
            return
        near.join(far)
        far.join(near)

    tasks = set()
    while True:
        sock, _ = await loop.sock_accept(listener)
        task = loop.create_task(accepted(sock))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def listen():
    """All loopback addresses by one socket: bound to no address, but to the loopback device (Linux 5.7; before that, root)."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listener.bind(("", 0))
    listener.listen(4096)
    return listener


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(29, 1, 0, 0, 0)  # PR_SET_TIMERSLACK: timers are due within 1 ns, not 50 us.
    LISTENER = listen()
    LISTENER.setblocking(False)
    print(LISTENER.getsockname()[1], flush=True)
    asyncio.run(serve(LISTENER, int(sys.argv[1]), float(sys.argv[2]) / 2000))
