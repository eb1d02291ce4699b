"""Run a command in a network namespace that has nothing but loopback, and count what tried to leave.

    unshare --map-root-user --net python alone.py COUNTS command...

The kernel counts for each namespace the packets without a route, whoever sent them, native code too. UDP to loopback
is counted as well: a lookup of a name may go to a resolver on this machine.
"""

import fcntl
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40


def counts() -> dict[str, int]:
    """Packets without a route (IPv4, IPv6) and datagrams, so far in this namespace."""
    lines = [line.split() for line in Path("/proc/net/snmp").read_text().splitlines()]
    found = {
        f"{names[0]}{name}": int(value)
        for names, values in zip(lines[::2], lines[1::2], strict=True)
        for name, value in zip(names[1:], values[1:], strict=True)
    }
    six = dict(line.split() for line in Path("/proc/net/snmp6").read_text().splitlines())
    return {
        "IPv4 without a route": found["Ip:OutNoRoutes"],
        "IPv6 without a route": int(six["Ip6OutNoRoutes"]),
        "datagrams": found["Udp:OutDatagrams"] + int(six["Udp6OutDatagrams"]),
    }


def main(file: str, *command: str) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        fcntl.ioctl(one, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))
    before = counts()
    code = subprocess.run(command, check=False).returncode
    after = counts()
    Path(file).write_text(json.dumps({name: after[name] - before[name] for name in after}))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
