from __future__ import annotations

import resource
import subprocess
import sys

from heliograph.gfsh.daemon import FILES_MAX


def test_a_daemon_has_room_for_the_connections_of_its_ports() -> None:
    """In a process of its own, whose limit is the usual one."""
    program = (
        "import resource; from heliograph.gfsh.daemon import raise_file_limit;"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1];"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard)); raise_file_limit();"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert int(printed) == (FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard))
