"""The words of an image's history."""

from __future__ import annotations

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.build.frontend import history
from scow.build.frontend.plan import Plan
from scow.build.frontend.variables import Options
from scow.words.dockerfile import parser


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ENV a b c", "ENV a=b c"),
        ("LABEL a='b c' d=e", "LABEL a=b c d=e"),
        ("MAINTAINER a", "MAINTAINER a"),
        ('CMD ["a", "b\\"\\n\\u00e9\\u0001"]', 'CMD ["a" "b\\"\\n\u00e9\\x01"]'),
        ("CMD a", 'CMD ["/bin/sh" "-c" "a"]'),
        ("ENTRYPOINT []", "ENTRYPOINT []"),
        ("EXPOSE 443 80-81/udp", "EXPOSE [443/tcp 80/udp 81/udp]"),
        ("USER a", "USER a"),
        ("VOLUME /a /b", "VOLUME [/a /b]"),
        ("STOPSIGNAL 9", "STOPSIGNAL 9"),
        ('SHELL ["a", "b"]', "SHELL [a b]"),
        (
            "HEALTHCHECK --interval=90s --timeout=1500us CMD x y",
            "HEALTHCHECK {Test:[CMD-SHELL x y] Interval:1m30s Timeout:1.5ms StartPeriod:0s StartInterval:0s Retries:0}",
        ),
        ("WORKDIR a", "WORKDIR /a"),
        ("RUN a  b", "RUN /bin/sh -c a  b # buildkit"),
        ("COPY --chown=a --chmod=1 --link x y /z/", "COPY --chown=a --chmod=1 x y /z/ # buildkit"),
        ("COPY <<E /x\nE", "COPY <<E /x # buildkit"),
        ("ADD --checksum=sha256:" + "0" * 64 + " http://x /y", "ADD http://x /y # buildkit"),
    ],
)
def test_texts(text: str, expected: str) -> None:
    plan = Plan(parser.parse(f"FROM scratch\n{text}".encode()), Options())
    assert plan.stages()[0].history[-1].created_by == expected


def test_on_build_has_no_entry() -> None:
    plan = Plan(parser.parse(b"FROM scratch\nONBUILD RUN x"), Options())
    (stage,) = plan.stages()
    assert (stage.history, list(stage.config.on_build)) == ((), ["RUN x"])
    assert isinstance(stage.config, pb.ImageConfig)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (10**6, "1ms"),
        (10**9, "1s"),
        (90 * 10**9, "1m30s"),
        (3600 * 10**9, "1h0m0s"),
        (3661 * 10**9 + 5 * 10**8, "1h1m1.5s"),
    ],
)
def test_durations(nanoseconds: int, text: str) -> None:
    assert history.duration(nanoseconds) == text
