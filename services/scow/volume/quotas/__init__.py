"""Limits on what volumes take: `quotas`, its table `store`, the wire shell `rpc`."""
