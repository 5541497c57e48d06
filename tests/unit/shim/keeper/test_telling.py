"""What a keeper tells a talker whose socket is full."""

from __future__ import annotations

import os

from scow.shim.keeper import link
from scow.shim.keeper.process import Keeper


def test_what_does_not_fit_is_told_later_and_in_order() -> None:
    ours, theirs = link.pair()
    theirs.setblocking(False)
    keeper = Keeper.__new__(Keeper)
    keeper._talker, keeper._builder, keeper._unsent = ours, None, []
    filled = 0
    try:
        while True:
            link.send(ours, link.ENDED + link.INTS.pack(1, 0))
            filled += 1
    except BlockingIOError:
        pass
    null = os.open("/dev/null", os.O_RDWR)
    keeper._unsent.append((link.ENDED + link.INTS.pack(2, 0), ()))
    keeper._tell(link.TERMINAL, (null,))
    keeper._tell(link.EXECUTED)
    keeper._tell(link.STOPPED + b"{}")
    for _ in range(filled):
        assert link.receive(theirs)[0][:1] == link.ENDED
    keeper._send_unsent()
    assert not keeper._unsent
    told = [link.receive(theirs) for _ in range(4)]
    kinds = [packet[:1] for packet, _ in told]
    assert kinds == [link.ENDED, link.TERMINAL, link.EXECUTED, link.STOPPED]
    (passed,) = told[1][1]
    assert os.path.samestat(os.fstat(passed), os.fstat(null))
    for fd in (passed, null):
        os.close(fd)
    ours.close()
    theirs.close()
