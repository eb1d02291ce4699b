"""Python imports this at its start where this folder is on PYTHONPATH: then each way out of the machine is an error.

What was tried is also written to the file that NETWORK_TRIED names, because a program may swallow the error. Loopback
and sockets of the file system stay open: workers of one machine talk by them.
"""

import ipaddress
import os
import sys


def _is_near(host):
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        return ipaddress.ip_address(host.decode() if isinstance(host, bytes) else host.partition("%")[0]).is_loopback
    except (ValueError, AttributeError):
        return False


def _watch(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0]
    elif event == "socket.getnameinfo":
        host = arguments[0][0]
    else:
        return
    if not _is_near(host):
        with open(os.environ["NETWORK_TRIED"], "a", encoding="utf-8") as file:
            file.write(f"{event} {host}\n")
        raise ConnectionRefusedError(f"The test forbids {event} to {host}.")


sys.addaudithook(_watch)
