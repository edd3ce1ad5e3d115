"""asyncssh as its documentation uses it for many hosts: a connection each, a semaphore for the width. Argument: a JSON file."""

import asyncio
import json
import sys

import asyncssh

plan = json.load(open(sys.argv[1]))


async def main():
    known_hosts = asyncssh.read_known_hosts(plan["known_hosts"])
    key = asyncssh.read_private_key(plan["key"])
    more = {}
    if plan["fast"]:
        more = {"kex_algs": ["curve25519-sha256"], "encryption_algs": ["aes128-gcm@openssh.com"]}
    width = asyncio.Semaphore(plan["width"])

    async def one(host):
        async with width:
            async with asyncssh.connect(
                host,
                port=plan["port"],
                username=plan["user"],
                client_keys=[key],
                known_hosts=known_hosts,
                config=None,
                agent_path=None,
                **more,
            ) as connection:
                done = await connection.run(plan["script"], encoding=None)
                sys.stdout.buffer.write(done.stdout)
                return done.exit_status

    results = await asyncio.gather(*(one(host) for host in plan["hosts"]), return_exceptions=True)
    failed = [result for result in results if result != 0]
    for result in failed[:3]:
        print(repr(result), file=sys.stderr)
    return 1 if failed else 0


if plan["fast"]:
    import uvloop

    sys.exit(uvloop.run(main()))
sys.exit(asyncio.run(main()))
