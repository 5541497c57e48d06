from scow.network.statistics import parse

_TEXT = """Inter-|   Receive                    |  Transmit
 face |bytes    packets errs drop fifo (two lines of head)
    lo:    0  0 0 0 0 0 0 0   0 0 0 0 0 0 0 0
  eth0: 1156 14 1 2 0 0 0 0 796 6 3 4 0 0 0 0
"""


def test_counters_are_read() -> None:
    found = parse(_TEXT)
    assert list(found) == ["lo", "eth0"]
    assert found["eth0"] == {
        "rx_bytes": 1156,
        "rx_packets": 14,
        "rx_errors": 1,
        "rx_dropped": 2,
        "tx_bytes": 796,
        "tx_packets": 6,
        "tx_errors": 3,
        "tx_dropped": 4,
    }
