"""The operations behind the commands, by noun; what the HTTP admin API serves."""

from __future__ import annotations

from heliograph.locator.cluster import Cluster
from heliograph.locator.site_configuration import ConfigurationAdmin
from heliograph.locator.site_conflicts import ConflictAdmin
from heliograph.locator.site_data import EntryAdmin
from heliograph.locator.site_exports import ExportAdmin
from heliograph.locator.site_imports import ImportAdmin
from heliograph.locator.site_locations import LocationAdmin
from heliograph.locator.site_logs import LogAdmin
from heliograph.locator.site_members import MemberAdmin
from heliograph.locator.site_metrics import MetricsAdmin
from heliograph.locator.site_parked import ParkedAdmin
from heliograph.locator.site_queries import QueryAdmin
from heliograph.locator.site_queues import QueueAdmin
from heliograph.locator.site_rebalance import RebalanceAdmin
from heliograph.locator.site_receivers import ReceiverAdmin
from heliograph.locator.site_redundancy import RedundancyAdmin
from heliograph.locator.site_regions import RegionAdmin
from heliograph.locator.site_runtime import RuntimeAdmin
from heliograph.locator.site_senders import SenderAdmin
from heliograph.locator.site_shutdown import ShutdownAdmin
from heliograph.locator.site_stores import StoreAdmin
from heliograph.locator.site_wan_copy import WanCopyAdmin


class SiteAdmin:
    """Administers one site. Every operation returns a `Result`; what it refuses to begin, it raises."""

    def __init__(self, cluster: Cluster) -> None:
        self.members = MemberAdmin(cluster)
        self.runtime = RuntimeAdmin(cluster)
        self.logs = LogAdmin(cluster)
        self.ending = ShutdownAdmin(cluster)
        self.regions = RegionAdmin(cluster)
        self.stores = StoreAdmin(cluster)
        self.entries = EntryAdmin(cluster)
        self.locations = LocationAdmin(cluster)
        self.queries = QueryAdmin(cluster)
        self.exports = ExportAdmin(cluster)
        self.imports = ImportAdmin(cluster)
        self.rebalancing = RebalanceAdmin(cluster)
        self.redundancy = RedundancyAdmin(cluster)
        self.metrics = MetricsAdmin(cluster)
        self.senders = SenderAdmin(cluster)
        self.queues = QueueAdmin(cluster)
        self.parked = ParkedAdmin(cluster)
        self.wan_copies = WanCopyAdmin(cluster)
        self.receivers = ReceiverAdmin(cluster)
        self.conflicts = ConflictAdmin(cluster)
        self.configuration = ConfigurationAdmin(cluster)
