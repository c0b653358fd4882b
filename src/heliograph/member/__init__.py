"""Shell: the member, which hosts buckets, gateway senders and a gateway receiver."""
