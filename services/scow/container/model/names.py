"""Made-up names: an adjective and the name of someone or something of the sea."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from scow.contract.errors import InvalidName

PATTERN = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")

_ADJECTIVES = (
    "able agile amber ample azure balmy bold brave breezy bright brisk broad buoyant busy calm "
    "candid clear clever coastal cool copper coral cosy crisp daring dapper deep eager early "
    "easy even fair famous fleet fond fresh frosty gentle glad golden grand hardy hasty hearty "
    "honest humble ivory jolly keen kind lively lofty loyal lucid lucky mellow merry mighty "
    "misty modest neat nimble noble olive open patient placid plucky polite prompt proud quick "
    "quiet rapid ready robust rosy rustic salty sandy sharp shiny silent silver sleek smooth "
    "snug sober solid steady stout sturdy sunny swift tidal tidy tranquil trusty upbeat vast "
    "vivid warm wary wavy wise witty young zesty "
)
_SURNAMES = (
    "amundsen anning baker bass baudin bering blake bligh bougainville byrd cabot carson "
    "cartier chichester clark cook cousteau dampier darwin davis diaz drake earle ericson "
    "flinders franklin frobisher fuchs gama grace halley harrison hawkins heyerdahl hudson "
    "humboldt jansz joyon knox kupe laperouse lovell lind macarthur magellan marion maury "
    "mawson melville mercator moitessier nansen nares noonan pigafetta polo pytheas raleigh "
    "ross scott shackleton sharp slocum smith stark tabarly tasman torres tharp vancouver "
    "vespucci wallis weddell wilkes worsley zheng "
)


def check(name: str) -> None:
    """Refuse a name that does not follow the rules.

    Raises:
        InvalidName: The name does not match `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, or has more than 255 characters.
    """
    if not PATTERN.fullmatch(name) or len(name) > 255:
        raise InvalidName(
            f"Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            what="container",
            which=name,
            do="use at least two letters, digits, _ . or -, a letter or digit first",
        )


def make(taken: Callable[[str], bool]) -> str:
    """Return a name that is free.

    Args:
        taken: Tells whether a name is in use.
    """
    for attempt in range(1000):
        name = f"{random.choice(_ADJECTIVES.split())}_{random.choice(_SURNAMES.split())}"
        if attempt >= 5:
            name += str(random.randrange(10 ** (1 + attempt // 100)))
        if not taken(name):
            return name
    raise AssertionError("ten billion names are taken")
