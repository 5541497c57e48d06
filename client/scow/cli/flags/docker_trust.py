"""`--disable-content-trust`: what Docker's own signatures (Notary) would be; scow has a trust policy instead."""

from __future__ import annotations

from scow.cli.flags.parser import Flag, Options, Refused

DISABLE_CONTENT_TRUST = Flag(
    "disable-content-trust",
    help="Skip image verification; without effect on the trust policy, which the engine keeps",
    default=True,
)


def refuse_docker_trust(options: Options) -> None:
    """Refuse `--disable-content-trust=false`, rather than pull or push without the signatures that are asked for.

    Raises:
        Refused: It was given.
    """
    if not options.disable_content_trust:
        raise Refused(
            "signatures of Docker Content Trust are not supported: ask for cosign's in a trust policy "
            "([image] trust_policy of the configuration)"
        )
