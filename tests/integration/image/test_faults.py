"""Registries and layers that are wrong: each gives its typed error, names what, and leaves nothing behind."""

from __future__ import annotations

import io
import tarfile

import pytest

from scow.api.image.v1 import image_pb2 as pb
from scow.api.image.v1.image_pb2_grpc import ImageServiceStub
from scow.contract import errors
from tests.support.badregistry import BadRegistry, Handler, layer_tar
from tests.support.digests import digest_of
from tests.support.imageservice import pull
from tests.support.service import Service

TAR = layer_tar({"file": b"content" * 100_000, "other": bytes(1000)})


def remove(service: Service, reference: str) -> None:
    ImageServiceStub(service.channel).Remove(pb.RemoveRequest(image=reference))


def on_layer(registry: BadRegistry, act: str, **arguments: object) -> None:
    """Misbehave whenever the first layer is asked for."""

    def answer(handler: Handler) -> bool:
        if handler.path != registry.layer_path:
            return False
        return bool(getattr(handler, act)(**arguments))

    registry.misbehave = answer


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, errors.RegistryDenied),
        (403, errors.RegistryDenied),
        (404, errors.ManifestNotFound),
        (500, errors.RegistryUnavailable),
        (503, errors.RegistryUnavailable),
    ],
)
@pytest.mark.parametrize("what", ["manifest", "layer"])
def test_statuses(service: Service, status: int, error: type[errors.ScowError], what: str) -> None:
    with BadRegistry([TAR]) as registry:
        if what == "layer":
            on_layer(registry, "refuse", status=status)
        else:
            registry.misbehave = lambda handler: handler.refuse(status)
        with pytest.raises(error) as caught:
            pull(service, registry.reference)
    assert registry.address in str(caught.value)


def test_a_rate_limit_is_waited_for(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        answers = iter([429])

        def limit(handler: Handler) -> bool:
            status = next(answers, 0)
            return status == 429 and handler.refuse(429, Retry_After="1")

        registry.misbehave = limit
        assert pull(service, registry.reference).diff_ids == [digest_of(TAR)]
        remove(service, registry.reference)


def test_a_long_rate_limit_is_told(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        registry.misbehave = lambda handler: handler.refuse(429, Retry_After="600")
        with pytest.raises(errors.RegistryRateLimited) as caught:
            pull(service, registry.reference)
    assert caught.value.metadata["retry_after"] == "600"


def test_nobody_listens(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        reference = registry.reference
    with pytest.raises(errors.RegistryUnavailable, match=registry.address):
        pull(service, reference)


def test_a_stall(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        on_layer(registry, "stall", seconds=5)
        with pytest.raises(errors.RegistryUnavailable, match="in time"):
            pull(service, registry.reference)


def test_wrong_bytes_in_the_manifest(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        reference = registry.reference.removesuffix(":1") + "@" + digest_of(registry.manifest)

        def lie(handler: Handler) -> bool:
            if "/manifests/" not in handler.path:
                return False
            handler.send(registry.manifest + b" ")
            return True

        registry.misbehave = lie
        with pytest.raises(errors.DigestMismatch, match=digest_of(registry.manifest)):
            pull(service, reference)


@pytest.mark.parametrize("position", [15, 300, -5])
def test_wrong_bytes_in_a_layer(service: Service, position: int) -> None:
    with BadRegistry([TAR]) as registry:
        wrong = bytearray(registry.layers[0])
        wrong[position] ^= 0xFF
        registry.blobs[digest_of(registry.layers[0])] = bytes(wrong)
        with pytest.raises(errors.DigestMismatch, match=digest_of(registry.layers[0])):
            pull(service, registry.reference)


def test_a_layer_that_is_larger_than_announced(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        registry.blobs[digest_of(registry.layers[0])] += b"more"
        with pytest.raises(errors.DigestMismatch, match="more than"):
            pull(service, registry.reference)


def test_a_cut_is_resumed(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        layer = registry.layers[0]
        third = len(layer) // 3
        on_layer(registry, "cut", data=layer, size=third)
        cuts = registry.misbehave
        count = iter(range(2))
        registry.misbehave = lambda handler: (
            handler.path == registry.layer_path and next(count, None) is not None and cuts(handler)
        )
        assert pull(service, registry.reference).diff_ids == [digest_of(TAR)]
        ranges = [r.partition(" ")[2] for r in registry.requests if registry.layer_path in r]
        assert ranges == ["", f"bytes={third}-", f"bytes={2 * third}-"]
        remove(service, registry.reference)


def test_a_later_pull_goes_on(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        layer = registry.layers[0]
        first = iter([True])

        def cut_once_then_refuse(handler: Handler) -> bool:
            if handler.path != registry.layer_path:
                return False
            if next(first, False):
                return handler.cut(layer, 200)
            return handler.refuse(500)

        registry.misbehave = cut_once_then_refuse
        with pytest.raises(errors.RegistryUnavailable):
            pull(service, registry.reference)
        registry.misbehave = lambda _: False
        registry.requests.clear()
        pull(service, registry.reference)
        assert f"{registry.layer_path} bytes=200-" in registry.requests
        remove(service, registry.reference)


def test_a_truncated_layer(service: Service) -> None:
    """The registry's manifest itself announces what is cut short."""
    whole = BadRegistry([TAR])
    short = whole.layers[0][:-100]
    manifest = whole.manifest.decode()
    manifest = manifest.replace(digest_of(whole.layers[0]), digest_of(short))
    whole.manifest = manifest.replace(str(len(whole.layers[0])), str(len(short))).encode()
    whole.blobs[digest_of(short)] = short
    with whole as registry, pytest.raises(errors.LayerCorrupt, match="cut short"):
        pull(service, registry.reference)


def test_a_layer_that_is_not_the_configurations(service: Service) -> None:
    one, two = layer_tar({"a": b"1"}), layer_tar({"a": b"2"})
    with BadRegistry([one]) as registry, BadRegistry([two]) as other:
        manifest = registry.manifest.decode()
        manifest = manifest.replace(digest_of(registry.layers[0]), digest_of(other.layers[0]))
        old, new = (f'"size": {len(each.layers[0])}' for each in (registry, other))
        registry.manifest = manifest.replace(old, new).encode()
        registry.blobs.update(other.blobs)
        with pytest.raises(errors.DigestMismatch, match=digest_of(one)):
            pull(service, registry.reference)


@pytest.mark.parametrize(
    "document",
    [b"", b"{", b"[]", b"{}", b'{"schemaVersion": 1}', b'{"schemaVersion": 2, "layers": 5}'],
)
def test_no_manifest(service: Service, document: bytes) -> None:
    with BadRegistry([TAR]) as registry:
        registry.manifest = document
        with pytest.raises(errors.InvalidManifest):
            pull(service, registry.reference)


@pytest.mark.parametrize("reference", ["", "UPPER", "a b", "a:b:c", "x/../y", "a@sha256:12"])
def test_no_reference(service: Service, reference: str) -> None:
    with pytest.raises(errors.InvalidReference) as caught:
        pull(service, reference)
    assert caught.value.which == reference


def test_credentials_do_not_travel_to_another_host(service: Service) -> None:
    with BadRegistry([TAR]) as origin, BadRegistry([TAR]) as elsewhere:

        def redirect(handler: Handler) -> bool:
            if not handler.headers.get("Authorization"):
                return handler.refuse(401, WWW_Authenticate='Basic realm="x"')
            if handler.path == origin.layer_path:
                target = elsewhere.address.replace("127.0.0.1", "localhost")
                return handler.refuse(307, Location=f"http://{target}{handler.path}")
            return False

        origin.misbehave = redirect
        pull(service, origin.reference, pb.Auth(username="me", password="secret"))
        assert elsewhere.requests, "the redirect was not followed"
        assert not any(elsewhere.authorizations)
        remove(service, origin.reference)


def test_a_realm_without_tls(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        challenge = 'Bearer realm="http://tokens.example/token",service="x"'
        registry.misbehave = lambda handler: handler.refuse(401, WWW_Authenticate=challenge)
        with pytest.raises(errors.RegistryUnavailable, match="not secure"):
            pull(service, registry.reference, pb.Auth(username="me", password="secret"))


@pytest.mark.parametrize(
    ("auth", "asks", "uses"),
    [
        (pb.Auth(), "GET /token?scope=repository", "made"),
        (pb.Auth(username="me", password="secret"), "GET /token?scope=repository", "made"),
        (pb.Auth(token="identity"), "POST /token", "made"),
        (pb.Auth(token="bearer"), "POST /token", "bearer"),
    ],
    ids=["anonymous", "password", "identity token", "bearer token"],
)
def test_tokens(service: Service, auth: pb.Auth, asks: str, uses: str) -> None:
    with BadRegistry([TAR]) as registry:
        seen: list[str] = []

        def answer(handler: Handler) -> bool:
            if not handler.path.startswith("/token"):
                if handler.headers.get("Authorization") == f"Bearer {uses}":
                    return False
                realm = f"http://{registry.address}/token"
                challenge = f'Bearer realm="{realm}",service="s",scope="repository:bad/image:pull"'
                return handler.refuse(401, WWW_Authenticate=challenge)
            seen.append(f"{handler.command} {handler.path} {handler.form}")
            if "refresh_token=bearer" in handler.form:
                return handler.refuse(401)
            return handler.trickle(b'{"access_token": "made", "expires_in": 300}')

        registry.misbehave = answer
        pull(service, registry.reference, auth)
        assert len(seen) == 1, "a token is asked for once"
        assert seen[0].startswith(asks)
        remove(service, registry.reference)


def test_a_token_server_that_refuses(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        challenge = f'Bearer realm="http://{registry.address}/token"'
        registry.misbehave = lambda handler: handler.refuse(401, WWW_Authenticate=challenge)
        with pytest.raises(errors.RegistryDenied):
            pull(service, registry.reference, pb.Auth(username="me", password="wrong"))


def _hostile(kind: bytes, name: str, link: str = "", before: str = "") -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as tar:
        if before:
            entry = tarfile.TarInfo("way")
            entry.type = tarfile.SYMTYPE
            entry.linkname = before
            tar.addfile(entry)
        entry = tarfile.TarInfo(name)
        entry.type = kind
        entry.linkname = link
        entry.size = 4 if kind == tarfile.REGTYPE else 0
        tar.addfile(entry, io.BytesIO(b"evil"))
    return stream.getvalue()


REG, LNK, DIR = tarfile.REGTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE
HOSTILE = {
    "parent": _hostile(REG, "../evil"),
    "parent within": _hostile(REG, "a/../../evil"),
    "absolute": _hostile(REG, "/evil"),
    "through a symlink": _hostile(REG, "way/evil", before="/tmp"),
    "through a relative symlink": _hostile(REG, "way/evil", before="../.."),
    "directory through a symlink": _hostile(DIR, "way/evil", before="/tmp"),
    "hard link to outside": _hostile(LNK, "evil", "../../image.db"),
    "absolute hard link": _hostile(LNK, "evil", "/etc/shadow"),
    "hard link through a symlink": _hostile(LNK, "evil", "way/shadow", before="/etc"),
    "whiteout of outside": _hostile(REG, "../.wh.evil"),
    "whiteout through a symlink": _hostile(REG, "way/.wh.evil", before="/tmp"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_layers(service: Service, name: str) -> None:
    with BadRegistry([HOSTILE[name]]) as registry, pytest.raises(errors.InvalidArchive) as caught:
        pull(service, registry.reference)
    assert any(word in caught.value.which for word in ("evil", "image.db", "/etc/shadow"))


def test_limits(service: Service) -> None:
    many = layer_tar({f"f{index}": b"" for index in range(1100)})
    with BadRegistry([many]) as registry, pytest.raises(errors.LimitExceeded, match="1000"):
        pull(service, registry.reference)
    bomb = layer_tar({"zeros": bytes(70 << 20)})
    with BadRegistry([bomb]) as registry, pytest.raises(errors.LimitExceeded, match="larger"):
        pull(service, registry.reference)


def test_a_client_that_goes_away(service: Service) -> None:
    with BadRegistry([TAR]) as registry:
        on_layer(registry, "stall", seconds=3)
        stub = ImageServiceStub(service.channel)
        call = stub.Pull(pb.PullRequest(reference=registry.reference), timeout=60)
        next(call)
        call.cancel()
