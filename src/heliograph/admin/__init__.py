"""Face: the HTTP admin API of a site, served by its locator, and the client that the shell uses.

Every route answers a `model.results.Result` as JSON, whatever the status code: 200 for OK; 400 for what the caller must
change, 404 for a name that does not exist, 409 when another command changed the same thing at the same time, 502 when
every member refused, 503 when the same may succeed later because something can't be reached or a disk store is full
now, 500 when something is broken. Unknown body fields and unknown query parameters are refused. All paths stand under
`/api/v1`; the OpenAPI page is `/schema`.

Where the locator has a security manager every request needs an `Authorization` header, `Basic` or `Bearer`: 401 without
a right one, 403 when its user may not do that (`heliograph.security.commands`).

| method | path | body | query |
|---|---|---|---|
| GET | /ping | | |
| GET | /version | | |
| GET | /members | | group |
| GET | /members/{name} | | |
| GET | /members/{name}/settings | | hide_defaults |
| GET | /shutdown | | include_locators |
| POST | /members/{name}/shutdown | | time_out |
| GET | /members/{name}/log | | offset, level, only_level, start_ms, end_ms, wanted |
| GET | /members/{name}/log/tail | | lines |
| POST | /log-level | LogLevelChange | member, group |
| PATCH | /runtime | RuntimeProperties | member, group |
| POST | /rebalance | RebalanceRequest | |
| GET | /rebalance | | |
| DELETE | /rebalance | | |
| GET | /redundancy | | include_region, exclude_region |
| GET | /metrics | | member, region, categories |
| GET | /regions | | member, group |
| POST | /regions | RegionAttributes | if_not_exists |
| GET | /regions/{name} | | |
| PATCH | /regions/{name} | RegionAlteration | |
| DELETE | /regions/{name} | | if_exists |
| GET | /regions/{name}/entry | | key, key_class |
| PUT | /regions/{name}/entry | EntryValue | key, if_not_exists, key_class |
| DELETE | /regions/{name}/entry | | key, key_class |
| GET | /regions/{name}/entry/locations | | key, key_class |
| GET | /regions/{name}/query | | q, limit |
| DELETE | /regions/{name}/entries | | |
| POST | /regions/{name}/exports | ExportRequest | |
| GET | /regions/{name}/exports/{run} | | member |
| DELETE | /regions/{name}/exports/{run} | | member |
| POST | /regions/{name}/imports | ImportRequest | |
| GET | /regions/{name}/imports/{run} | | member |
| DELETE | /regions/{name}/imports/{run} | | member |
| GET | /disk-stores | | |
| POST | /disk-stores | DiskStoreAttributes | |
| GET | /disk-stores/{name} | | |
| PATCH | /disk-stores/{name} | StoreAlteration | |
| DELETE | /disk-stores/{name} | | if_exists |
| POST | /gateway-senders | GatewaySenderAttributes | |
| GET | /gateway-senders/{sender} | | member, group |
| PATCH | /gateway-senders/{sender} | SenderAlteration | |
| DELETE | /gateway-senders/{sender} | | if_exists, member, group |
| POST | /gateway-senders/{sender}/actions/{action} | | member, group, clean_queues |
| GET | /gateway-senders/{sender}/parked-events | | |
| POST | /gateway-senders/{sender}/parked-events/redrive | | event, all |
| DELETE | /gateway-senders/{sender}/parked-events | | event, all |
| GET | /parked-events | | |
| POST | /wan-copies | WanCopyRequest | |
| GET | /wan-copies/{run} | | member |
| DELETE | /wan-copies | | region, sender_id |
| POST | /gateway-receivers | GatewayReceiverAttributes | if_not_exists, member, group |
| GET | /gateway-receivers | | member, group |
| DELETE | /gateway-receivers | | if_exists, member, group |
| POST | /gateway-receivers/actions/{action} | | member, group |
| GET | /async-event-queues | | |
| POST | /async-event-queues | AsyncEventQueueAttributes | |
| GET | /async-event-queues/{queue} | | member, group |
| PATCH | /async-event-queues/{queue} | QueueAlteration | if_exists |
| DELETE | /async-event-queues/{queue} | | if_exists |
| POST | /async-event-queues/{queue}/actions/{action} | | member, group |
| GET | /gateways | | senders_only, receivers_only, member, group |
| POST | /gateway-conflict-resolver | GatewayConflictResolverAttributes | |
| DELETE | /gateway-conflict-resolver | | if_exists |
| GET | /conflicts | | region, key, limit |
| GET | /cluster-configuration | | |
| GET | /cluster-configuration/service | | |
| POST | /cluster-configuration | ClusterConfiguration | prune, plan |

`{name}` of a region is written without its leading `/`. `include_region`, `exclude_region` and `categories` are
comma-separated. A sender's `action` is start, stop, pause, resume or
load-balance, and only start takes `clean_queues`; a receiver's is start or stop. `member` and `group` are
comma-separated names and exclude each other; flags are `true` or `false`. Of parked events either some are named, by
comma-separated ids in `event`, or `all` is true. A key is a query parameter because any text
can be one, also one with slashes. `q` is a query over the region, `limit` how many rows it has where it does not say.

`GET /shutdown` answers whom to end in which order, and as `Connected` who is to be the last, being the process that
answers; of that one the end is not waited for. `time_out` is in seconds.

A member's log is answered in parts of 1 MB at most, in `Text`; the next one is asked for by `offset` and `wanted` as
they are answered, until `Offset` is the `Size` that was told first. `level` names the least level, or the only one
(`only_level`); `start_ms` and `end_ms` are ms since the Unix epoch.

The cluster configuration is answered as JSON in the data called `Configuration`, beside `distributed-system-id`. To
apply one, the site is given what it lacks and changed where it differs; with `prune` it also loses what is not there;
with `plan` that is only shown.

Bodies are the structs of `model.attributes`, `model.queues` and `model.cluster_configuration`, and from
`locator.requests`:

* `RegionAlteration`: `gateway_sender_ids`, `async_event_queue_ids` (lists of ids; an empty list removes all),
  `entry_time_to_live_expiration`, `entry_idle_time_expiration` (seconds), `entry_..._action` (at least one of them);
* `StoreAlteration`: `max_disk` (MB, 0 for no limit);
* `SenderAlteration`: `batch_size`, `batch_time_interval`, `alert_threshold`, `gateway_event_filters` (at least one of
  them; a list of `CLEAR` alone removes all filters);
* `QueueAlteration`: `batch_size`, `batch_time_interval`, `max_queue_memory`, `pause_event_processing` (at least one of
  them);
* `RebalanceRequest`: `include_region`, `exclude_region` (lists of names), `simulate` (flag);
* `WanCopyRequest`: `region`, `sender_id`, `max_rate` (entries a second, 0 for no limit), `batch_size`. The answer names
  the `Run` and its `Members`, which a look at it is given as `{run}` and `member`; it has ended when `Running` is 0;
* `ExportRequest`: `member`, one of `file` and `dir`, `parallel` (flag). Answered and looked at as a copy;
* `ImportRequest`: the same, and `invoke_callbacks` (flag);
* `EntryValue`: `value`, whatever JSON carries but null; a key is a text, or what `key_class` says (`model.classes`);
* `LogLevelChange`: `log_level`, as of `RuntimeProperties` (`model.runtime`).
"""

BASE = "/api/v1"
