"""Registries that lie in HTTP: about lengths, ranges, redirects and tokens. Each error names what and which."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.contract import errors
from scow.contract.errors import ScowError
from tests.integration.image.conftest import SETTINGS
from tests.integration.image.test_lying_documents import fails
from tests.support.badregistry import MANIFEST, Answer, BadRegistry, Handler, layer_tar
from tests.support.digests import digest_of
from tests.support.imageservice import pull
from tests.support.service import Service

TAR = layer_tar({"file": b"content" * 1000})
ME = pb.Auth(username="me", password="secret")
OK = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture(scope="module")
def shared_service() -> Iterator[Service]:
    """A service with little patience: most of these registries are asked in vain."""
    little = {"SCOW_IMAGE_RETRIES": "1", "SCOW_IMAGE_DOCUMENT_SECONDS": "1"}
    with Service("image", settings={**SETTINGS, **little}) as running:
        yield running


@pytest.fixture
def registry() -> BadRegistry:
    return BadRegistry([TAR])


@pytest.fixture
def elsewhere() -> Iterator[BadRegistry]:
    """Another host, with the same content."""
    with BadRegistry([TAR]) as other:
        other.address = other.address.replace("127.0.0.1", "localhost")
        yield other


def at_layer(registry: BadRegistry, answer: Answer) -> None:
    """Misbehave where the layer is asked for."""
    registry.misbehave = lambda handler: handler.path == registry.layer_path and answer(handler)


def at_manifest(registry: BadRegistry, answer: Answer) -> None:
    """Misbehave where a manifest is asked for."""
    registry.misbehave = lambda handler: "/manifests/" in handler.path and answer(handler)


def succeeds(service: Service, registry: BadRegistry, auth: pb.Auth | None = None) -> None:
    with registry:
        image = pull(service, registry.reference, auth=auth)
        assert image.diff_ids == [digest_of(TAR)]
        ImageServiceStub(service.channel).Remove(pb.RemoveRequest(image=registry.reference))


Blob = Callable[[Handler, bytes], bool]
LENGTHS: dict[str, tuple[Blob, type[ScowError], str]] = {
    "too long": (
        lambda h, data: h.answer(data[:50], f"Content-Length: {len(data)}"),
        errors.RegistryUnavailable,
        "",
    ),
    "too short": (
        lambda h, data: h.answer(data, f"Content-Length: {len(data) - 10}"),
        errors.RegistryUnavailable,
        "",
    ),
    "negative": (
        lambda h, data: h.answer(data, "Content-Length: -5"),
        errors.RegistryUnavailable,
        "",
    ),
    "no number": (
        lambda h, data: h.answer(data, "Content-Length: many"),
        errors.RegistryUnavailable,
        "",
    ),
    "two of them": (
        lambda h, data: h.answer(data, "Content-Length: 5", "Content-Length: 6"),
        errors.RegistryUnavailable,
        "",
    ),
    "a chunk that is cut": (
        lambda h, data: h.answer(b"1000\r\nabc", "Transfer-Encoding: chunked"),
        errors.RegistryUnavailable,
        "",
    ),
    "a chunk of a negative length": (
        lambda h, data: h.answer(b"-5\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
        errors.RegistryUnavailable,
        "",
    ),
    "nothing at all": (
        lambda h, data: h.answer(b"", "Content-Length: 0"),
        errors.RegistryUnavailable,
        "ended the blob",
    ),
    "a content encoding": (
        lambda h, data: h.answer(gzip.compress(data), "Content-Encoding: gzip"),
        errors.DigestMismatch,
        "",
    ),
    "more than there is, without an end": (
        lambda h, data: h.drip(OK + b"\r\n" + data, b"more" * 1000),
        errors.DigestMismatch,
        "more than",
    ),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_lengths(service: Service, registry: BadRegistry, name: str) -> None:
    send, error, words = LENGTHS[name]
    at_layer(registry, lambda handler: send(handler, registry.layers[0]))
    fails(service, registry, error, words)


def _resumed(registry: BadRegistry, answer: Blob) -> None:
    """Cut the first download after 50 bytes; the answer is for the second."""
    first = iter([True])

    def act(handler: Handler) -> bool:
        layer = registry.layers[0]
        return handler.cut(layer, 50) if next(first, False) else answer(handler, layer)

    at_layer(registry, act)


RANGES: dict[str, tuple[Blob, str]] = {
    "another beginning": (
        lambda h, d: h.answer(d[60:], f"Content-Range: bytes 60-{len(d) - 1}/{len(d)}", status=206),
        "bytes 60-",
    ),
    "the whole as a part": (
        lambda h, d: h.answer(d, f"Content-Range: bytes 0-{len(d) - 1}/{len(d)}", status=206),
        "bytes 0-",
    ),
    "no range": (
        lambda h, d: h.answer(d[50:], "Content-Range: some of it", status=206),
        "some of it",
    ),
    "the whole, silently": (lambda h, d: h.answer(d, status=206), "more than"),
    "wrong bytes": (lambda h, d: h.answer(b"x" * (len(d) - 50), status=206), "was sent with"),
}


@pytest.mark.parametrize("name", RANGES)
def test_ranges(service: Service, registry: BadRegistry, name: str) -> None:
    answer, words = RANGES[name]
    _resumed(registry, answer)
    found = fails(service, registry, errors.DigestMismatch, words)
    assert found.which == digest_of(registry.layers[0])


GOOD_RANGES: dict[str, Blob] = {
    "ignored": lambda h, d: h.answer(d),
    "kept, without telling": lambda h, d: h.answer(d[50:], status=206),
    "kept, to an unknown end": lambda h, d: h.answer(
        d[50:], f"Content-Range: bytes 50-{len(d) - 1}/*", status=206
    ),
}


@pytest.mark.parametrize("name", GOOD_RANGES)
def test_ranges_that_are_good_enough(service: Service, registry: BadRegistry, name: str) -> None:
    _resumed(registry, GOOD_RANGES[name])
    succeeds(service, registry)


def test_a_part_that_nobody_asked_for(service: Service, registry: BadRegistry) -> None:
    layer = registry.layers[0]
    about = f"Content-Range: bytes 0-{len(layer) - 1}/{len(layer)}"
    at_layer(registry, lambda handler: handler.answer(layer, about, status=206))
    succeeds(service, registry)


@pytest.mark.parametrize("status", [100, 204, 206, 304, 416, 418, 600])
def test_statuses_that_make_no_sense(service: Service, registry: BadRegistry, status: int) -> None:
    at_manifest(registry, lambda handler: handler.answer(b"", status=status))
    with registry, pytest.raises(ScowError) as caught:
        pull(service, registry.reference)
    assert not isinstance(caught.value, errors.Internal)
    assert caught.value.which


WRONG_WAYS = [
    "file:///etc/passwd",
    "unix:///run/scow/image.sock",
    "gopher://127.0.0.1/",
    "http://",
    "http://[::1",
    "http://:80/",
    "http://127.0.0.1:99999/",
    "https://127.0.0.1:1/",
    "http://user name@127.0.0.1:1/",
    "\x00",
    "//",
    "http://127.0.0.1:1/\xff\xfe",
]


@pytest.mark.parametrize("location", WRONG_WAYS)
@pytest.mark.parametrize("at", [at_manifest, at_layer])
def test_redirects_to_where_nothing_is(
    service: Service,
    registry: BadRegistry,
    location: str,
    at: Callable[[BadRegistry, Answer], None],
) -> None:
    at(registry, lambda handler: handler.answer(b"", f"Location: {location}", status=307))
    fails(service, registry, errors.RegistryUnavailable, "registry")


def test_redirects_without_end(service: Service, registry: BadRegistry) -> None:
    at_layer(registry, lambda handler: handler.refuse(307, Location=handler.path))
    fails(service, registry, errors.RegistryUnavailable, "without end")
    assert len(registry.requests) < 50


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_secrets_do_not_follow_redirects(
    service: Service, registry: BadRegistry, elsewhere: BadRegistry, status: int
) -> None:
    """Away, and back again by way of the other host: what is secret stays behind."""

    def origin(handler: Handler) -> bool:
        if "back" in handler.path:
            return handler.answer(registry.layers[0])
        if not handler.headers.get("Authorization"):
            return handler.refuse(401, WWW_Authenticate='Basic realm="x"')
        if handler.path == registry.layer_path:
            return handler.refuse(status, Location=f"http://{elsewhere.address}/away")
        return False

    registry.misbehave = origin
    elsewhere.misbehave = lambda handler: handler.refuse(
        status, Location=f"http://{registry.address}/back"
    )
    succeeds(service, registry, ME)
    assert elsewhere.requests == ["/away"]
    assert elsewhere.authorizations == [""]
    asked = dict(zip(registry.requests, registry.authorizations, strict=True))
    assert asked["/back"] == ""


def test_who_is_redirected_to_cannot_ask_for_secrets(
    service: Service, registry: BadRegistry, elsewhere: BadRegistry
) -> None:
    at_layer(registry, lambda h: h.refuse(307, Location=f"http://{elsewhere.address}/x"))
    elsewhere.misbehave = lambda handler: handler.refuse(401, WWW_Authenticate='Basic realm="x"')
    with registry, pytest.raises(errors.RegistryDenied):
        pull(service, registry.reference, auth=ME)
    assert set(elsewhere.authorizations) == {""}


REALMS = [
    "http://auth.example/token",
    "http://127.0.0.1:80@auth.example/token",
    "http://localhost:x@auth.example/token",
    "https://user:password@127.0.0.1/token",
    "ftp://127.0.0.1/token",
    "file:///etc/passwd",
    "/token",
    "//127.0.0.1/token",
    "http://[::1",
    "http://127.0.0.1:99999/token",
    "http://",
    "https://",
    "http:// 127.0.0.1/",
]


@pytest.mark.parametrize("realm", REALMS)
def test_realms(service: Service, registry: BadRegistry, realm: str) -> None:
    challenge = f'Bearer realm="{realm}",service="s"'
    registry.misbehave = lambda handler: handler.refuse(401, WWW_Authenticate=challenge)
    with registry, pytest.raises(errors.RegistryUnavailable, match="not secure") as caught:
        pull(service, registry.reference, auth=ME)
    assert caught.value.which == registry.address
    assert "secret" not in str(caught.value.metadata) + str(caught.value)
    assert not any(registry.authorizations)


@pytest.mark.parametrize(
    "challenge",
    [
        "",
        "Bearer",
        "Basic",
        "Negotiate",
        "Bearer realm=",
        "\x01",
        "Bearer " + "a=b," * 1000,
        "Digest realm=x",
    ],
)
def test_challenges_that_cannot_be_met(
    service: Service, registry: BadRegistry, challenge: str
) -> None:
    registry.misbehave = lambda handler: handler.refuse(401, WWW_Authenticate=challenge)
    with registry, pytest.raises((errors.RegistryDenied, errors.RegistryUnavailable)) as caught:
        pull(service, registry.reference)
    assert registry.address in caught.value.which


def _tokens(registry: BadRegistry, answer: Answer) -> None:
    """Ask for a token in each answer; give it in this way."""

    def act(handler: Handler) -> bool:
        if handler.path.startswith("/token"):
            return answer(handler)
        return handler.refuse(
            401, WWW_Authenticate=f'Bearer realm="http://{registry.address}/token"'
        )

    registry.misbehave = act


TOKENS: dict[str, Answer] = {
    "without an end": lambda h: h.drip(OK + b'\r\n{"token": "', b"x" * (1 << 16)),
    "slowly": lambda h: h.drip(OK + b'\r\n{"token": "', b"x"),
    "of two megabytes": lambda h: h.answer(json.dumps({"token": "x" * (2 << 20)}).encode()),
    "that is a list": lambda h: h.answer(b'{"token": ["x"]}'),
    "that is a number": lambda h: h.answer(b'{"token": 5}'),
    "with a new header": lambda h: h.answer(b'{"token": "x\\r\\nHost: evil"}'),
    "with half a character": lambda h: h.answer(b'{"token": "\\ud800"}'),
    "with a space": lambda h: h.answer(b'{"token": "a b"}'),
    "in a list": lambda h: h.answer(b'["token"]'),
    "in nothing": lambda h: h.answer(b""),
    "nested deep": lambda h: h.answer(b"[" * 100_000),
    "that lasts for ever": lambda h: h.answer(b'{"token": "x", "expires_in": 1e999}'),
    "that lasts no number": lambda h: h.answer(b'{"token": "x", "expires_in": [1]}'),
    "with an error": lambda h: h.refuse(500),
    "elsewhere": lambda h: h.refuse(307, Location="file:///etc/token"),
}


@pytest.mark.parametrize("name", TOKENS)
def test_tokens(service: Service, registry: BadRegistry, name: str) -> None:
    _tokens(registry, TOKENS[name])
    fails(service, registry, errors.RegistryUnavailable, "token")


@pytest.mark.parametrize("expires", ["0", "-5", "1e99", "1e-9", '"300"', "null"])
def test_tokens_that_are_good_for_nothing(
    service: Service, registry: BadRegistry, expires: str
) -> None:
    """A registry that takes no token, however often it gives one, has refused."""
    body = f'{{"token": "made", "expires_in": {expires}}}'.encode()
    _tokens(registry, lambda handler: handler.answer(body))
    fails(service, registry, errors.RegistryDenied, "credentials")
    assert len(registry.requests) <= 3


def test_identity_tokens_do_not_follow_a_token_servers_redirect(
    service: Service, registry: BadRegistry, elsewhere: BadRegistry
) -> None:
    _tokens(registry, lambda h: h.refuse(307, Location=f"http://{elsewhere.address}/token"))
    with registry, pytest.raises(errors.RegistryUnavailable, match="redirects to"):
        pull(service, registry.reference, auth=pb.Auth(token="identity"))
    assert elsewhere.requests == []


def test_passwords_do_not_follow_a_token_servers_redirect(
    service: Service, registry: BadRegistry, elsewhere: BadRegistry
) -> None:
    _tokens(registry, lambda h: h.refuse(307, Location=f"http://{elsewhere.address}/token"))
    elsewhere.misbehave = lambda handler: handler.answer(b'{"token": "made"}')
    with registry, pytest.raises(errors.RegistryDenied):
        pull(service, registry.reference, auth=ME)
    assert elsewhere.requests
    assert set(elsewhere.authorizations) == {""}


WAITS = {
    "99999999999": "99999999999",
    "1e308": "1" + "0" * 308,
    "Fri, 31 Dec 9999 23:59:59 GMT": "",
    "1e400": "",
    "nan": "",
    "-5": "",
    "soon": "",
    "Mon, 99 Foo 2024 99:99:99": "",
    "Fri, 31 Dec 0000 23:59:59 GMT": "",
}


@pytest.mark.parametrize("value", WAITS)
def test_waits(service: Service, registry: BadRegistry, value: str) -> None:
    registry.misbehave = lambda handler: handler.refuse(429, Retry_After=value)
    fails(service, registry, errors.RegistryRateLimited, "limits the rate")
    assert len(registry.requests) <= 3


BODIES = {
    "deep": b"[" * 8000,
    "of another kind": b'{"errors": {"0": 1}}',
    "not UTF-8": b'{"errors": [{"code": "\xff"}]}',
    "for terminals": b'{"errors": [{"code": "\\u001b[2J", "message": "\\ud800\\u202e\\u0000"}]}',
    "large": b'{"errors": [{"code": "' + b"x" * 1_000_000 + b'"}]}',
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("status", [400, 404])
def test_words_of_errors(service: Service, registry: BadRegistry, name: str, status: int) -> None:
    at_manifest(registry, lambda handler: handler.answer(BODIES[name], status=status))
    error = errors.ManifestNotFound if status == 404 else errors.RegistryRefused
    found = fails(service, registry, error, registry.reference)
    assert found.message.isprintable()
    assert len(found.message) < 1000


SLOW: dict[str, Answer] = {
    "a manifest": lambda h: h.drip(OK + b"\r\n{", b" "),
    "a header's value": lambda h: h.drip(OK + b"X: ", b"y"),
}


@pytest.mark.parametrize("name", SLOW)
def test_drops_that_keep_a_connection_alive(
    service: Service, registry: BadRegistry, name: str
) -> None:
    at_manifest(registry, SLOW[name])
    fails(service, registry, errors.RegistryUnavailable, "in time")


HEADS: dict[str, Answer] = {
    "a header of a megabyte": lambda h: h.answer(b"{}", "X: " + "y" * (1 << 20)),
    "many headers": lambda h: h.answer(b"{}", *[f"X{at}: y" for at in range(100_000)]),
    "a header without a colon": lambda h: h.answer(b"{}", "nonsense"),
    "no HTTP": lambda h: h.drip(b"SSH-2.0-OpenSSH_9.2\r\n", b"\0", 0.2),
    "noise": lambda h: h.drip(bytes(range(256)), b"\xff", 0.2),
    "a connection that closes": lambda h: h.drip(b"", b"", 0.0),
    "the digest of something else": lambda h: h.answer(
        h.registry.manifest,
        f"Docker-Content-Digest: sha256:{'ab' * 32}",
        f"Content-Type: {MANIFEST}",
    ),
    "a content encoding": lambda h: h.answer(
        gzip.compress(h.registry.manifest), "Content-Encoding: gzip", f"Content-Type: {MANIFEST}"
    ),
}


@pytest.mark.parametrize("name", HEADS)
def test_heads(service: Service, registry: BadRegistry, name: str) -> None:
    at_manifest(registry, HEADS[name])
    with registry, pytest.raises(ScowError) as caught:
        pull(service, registry.reference)
    wrong = (errors.RegistryUnavailable, errors.DigestMismatch, errors.InvalidManifest)
    assert isinstance(caught.value, wrong)
    assert caught.value.which


def test_cookies_are_not_kept(service: Service, registry: BadRegistry) -> None:
    seen: list[str] = []

    def watch(handler: Handler) -> bool:
        seen.append(handler.headers.get("Cookie", "") + handler.headers.get("Accept-Encoding", ""))
        if "/manifests/" not in handler.path:
            return False
        kind = f"Content-Type: {MANIFEST}"
        return handler.answer(registry.manifest, "Set-Cookie: a=b", kind)

    registry.misbehave = watch
    succeeds(service, registry)
    assert set(seen) == {"identity"}
