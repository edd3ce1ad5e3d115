"""parallel-ssh as its documentation uses it. Argument: a JSON file. It has no check of host keys."""

import json
import sys

from pssh.clients import ParallelSSHClient

plan = json.load(open(sys.argv[1]))
client = ParallelSSHClient(
    plan["hosts"], user=plan["user"], port=plan["port"], pkey=plan["key"], pool_size=plan["width"], allow_agent=False
)
failed = 0
for output in client.run_command(plan["script"], stop_on_errors=False):
    if output.exception:
        failed += 1
        print(output.host, repr(output.exception), file=sys.stderr)
        continue
    for line in output.stdout:
        print(line)
    failed += output.exit_code != 0
sys.exit(1 if failed else 0)
