"""The engine on NATS JetStream.

```
engine     connect_engine: nats-py for streams, buckets and requests; two bare connections for the hot paths
 ├─ log ── append, consume     a disk store is a stream, a bucket's log is a subject
 ├─ registry ── consume        a key-value bucket
 └─ blobs ── consume           an object store
append, consume ── connection ── session ── protocol     the bare client, from appends down to bytes
session ── tls                                           towards an operator's engine
server ── conf, binary, lifetime                         the private nats-server
transfer                                                 streams from one engine to another
```
"""
