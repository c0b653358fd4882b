"""Three sites from nothing, by commands, by cache.xml files and by a topology file: each time the same sites.

The files are those of examples/three-sites, in another directory and on other ports.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import heliograph
from heliograph.gfsh.local_sites import free_ports
from heliograph.gfsh.processes import kill_tree
from tests.system.sites import ROOT
from tests.system.test_readme import left_running
from tests.system.waiting import until

EXAMPLE = ROOT / "examples" / "three-sites"
PORTS = [str(port) for first, count in ((10331, 3), (40401, 3), (1530, 30)) for port in range(first, first + count)]
"""Of locators, servers and receivers, as the files have them."""
WAYS = ("by-commands.gfsh", "by-cache-xml.gfsh", "by-topology-file.gfsh")
SITES = ("ny", "ln", "tk")
HELIO = str(Path(sys.executable).with_name("helio"))
RUN_S = 120.0


class Machine:
    """An empty directory with the files, whose ports are free ones."""

    def __init__(self, directory: Path, ports: dict[str, str]) -> None:
        self.directory = directory
        self.ports = ports
        pattern = re.compile("|".join(rf"\b{port}\b" for port in ports))
        shutil.copytree(EXAMPLE, directory)
        for path in directory.iterdir():
            path.write_text(pattern.sub(lambda found: ports[found[0]], path.read_text()))

    def helio(self, *words: str) -> None:
        done = subprocess.run([HELIO, *words], cwd=self.directory, capture_output=True, text=True, timeout=RUN_S)
        assert done.returncode == 0, done.stdout + done.stderr

    def locator(self, site: str) -> str:
        return f"127.0.0.1[{self.ports[str(10331 + SITES.index(site))]}]"

    def exported(self, site: str) -> str:
        self.helio(
            "-e", f"connect --locator={self.locator(site)}",
            "-e", f"export cluster-configuration --xml-file=exported-{site}.xml",
        )  # fmt: skip
        return (self.directory / f"exported-{site}.xml").read_text()

    def check_data(self) -> None:
        """Put an entry at every site, and wait until every site has all of them."""
        expected = {f"from {site}": site for site in SITES}
        for site in SITES:
            with heliograph.connect(self.locator(site)) as client:
                client.region("customer")[f"from {site}"] = site
        for site in SITES:
            with heliograph.connect(self.locator(site)) as client:
                region = client.region("customer")
                until(lambda: dict(region) == expected, lambda: f"{site} has {dict(region)}")  # noqa: B023  (used at once)


def test_three_ways_lead_to_the_same_three_sites(tmp_path: Path) -> None:
    first = free_ports(len(PORTS))
    ports = {old: str(first + position) for position, old in enumerate(PORTS)}
    exported: dict[str, list[str]] = {}
    for way in WAYS:
        machine = Machine(tmp_path / way, ports)
        try:
            machine.helio("run", f"--file={way}")
            exported[way] = [machine.exported(site) for site in SITES]
            machine.check_data()
            machine.helio("run", "--file=stop.gfsh")
            assert left_running(machine.directory) == []
        finally:
            for pid in left_running(machine.directory):
                kill_tree(pid, timeout_s=20.0)
    by_commands, *others = exported.values()
    assert 'gateway-sender-ids="sender2,sender3"' in by_commands[0]
    assert others == [by_commands, by_commands]
