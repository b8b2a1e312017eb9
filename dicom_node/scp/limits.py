"""What one association may send at most, so that no peer, whatever it sends, takes memory or disk without bound."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The largest PDU that was offered, 0 for any, the largest image, and the least rate at which it comes."""

    max_pdu_bytes: int = 131_072
    max_instance_bytes: int = 4_096_000_000
    min_bytes_per_s: int = 500
