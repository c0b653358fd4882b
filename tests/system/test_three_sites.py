"""Clients at three sites write and remove the same entries while one site loses its receiver: all end up equal."""

from __future__ import annotations

import pytest

from tests.system.scenarios import connect_sites, contenders_at, wait_equal
from tests.system.sites import Sites
from tests.system.waiting import PATIENCE_S
from tests.system.writers import progress, writing

REGIONS = {"alone": ("PARTITION", "parallel"), "everywhere": ("REPLICATE", "serial")}
MESH = {1: (2, 3), 2: (1, 3), 3: (1, 2)}
RING = {1: (2,), 2: (3,), 3: (1,)}


@pytest.mark.parametrize("sends", [MESH, RING], ids=["mesh", "ring"])
def test_conflicts_converge_while_a_receiver_is_killed(sites: Sites, sends) -> None:
    everyone = sites.start({1: 1, 2: 1, 3: 1})
    connect_sites(everyone, sends, REGIONS)
    contenders = contenders_at(everyone, REGIONS)
    elsewhere = [each for each in contenders if "site2" not in each.name]
    with writing(contenders):
        progress(contenders, 50, within_s=PATIENCE_S)
        receiving = everyone[1].servers[0]
        receiving.kill()
        progress(elsewhere, 50, within_s=PATIENCE_S)
        receiving.start()
        progress(contenders, 50, within_s=PATIENCE_S)
    wait_equal(everyone, REGIONS)
