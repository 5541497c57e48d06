"""Keys, and what is signed."""

from __future__ import annotations

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from scow.image.oci.manifests import parse_document
from scow.image.oci.reference import Reference
from scow.image.trust import cosign
from scow.image.trust.keys import parse_key
from tests.support.signing import PAYLOAD, new_key, payload_of, public_pem, sign

DIGEST = f"sha256:{'1' * 64}"
OTHER = f"sha256:{'2' * 64}"
REFERENCE = Reference.parse("r.example:5000/team/app:1")


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
def test_kinds_of_keys(kind: str) -> None:
    key = new_key(kind)
    public = parse_key(public_pem(key).encode())
    signature = sign(key, b"data")
    assert public.signed(signature, b"data")
    assert not public.signed(signature, b"other")
    assert not public.signed(signature[:-1], b"data")
    assert not public.signed(b"", b"data")
    assert not parse_key(public_pem(new_key(kind)).encode()).signed(signature, b"data")


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 1024)]
)
def test_other_kinds_are_refused(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    with pytest.raises(ValueError, match="use ECDSA over P-256"):
        parse_key(public_pem(key).encode())


def fault(value: object, reference: Reference = REFERENCE) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return cosign.contradiction(data, DIGEST, reference)


def test_what_is_signed_must_fit() -> None:
    assert not fault(payload_of(REFERENCE.repository, DIGEST))
    assert "digest" in fault(payload_of(REFERENCE.repository, OTHER))
    assert "repository" in fault(payload_of("r.example:5000/team/other", DIGEST))
    assert "repository" in fault(payload_of("r.example/team/app", DIGEST))
    value = json.loads(payload_of(REFERENCE.repository, DIGEST))
    value["critical"]["type"] = "atomic container signature"
    assert "atomic" in fault(value)


def test_docker_hub_is_named_in_two_ways() -> None:
    reference = Reference.parse("nginx:1")
    for repository in ("index.docker.io/library/nginx", "docker.io/library/nginx"):
        assert not fault(payload_of(repository, DIGEST), reference)


def test_a_tag_counts_where_one_is_signed() -> None:
    assert not fault(payload_of("r.example:5000/team/app:1", DIGEST))
    assert "tag" in fault(payload_of("r.example:5000/team/app:2", DIGEST))
    by_digest = Reference.parse(f"r.example:5000/team/app@{DIGEST}")
    assert not fault(payload_of("r.example:5000/team/app:2", DIGEST), by_digest)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b"{}", b"null", b'{"critical": 1}', b'{"critical": {"type": 1}}', b"[" * 100_000],
)
def test_nonsense(data: bytes) -> None:
    assert fault(data) == "is not about an image"


def test_signatures_of_a_manifest() -> None:
    def layer(annotations: object, kind: str = PAYLOAD, size: int = 10) -> dict[str, object]:
        return {"mediaType": kind, "digest": DIGEST, "size": size, "annotations": annotations}

    key = "dev.cosignproject.cosign/signature"
    layers = [
        layer({key: "c2ln"}),
        layer({key: "c2ln"}, kind="text/plain"),
        layer({key: "c2ln"}, size=1 << 20),
        layer({key: "?"}),
        layer({key: 1}),
        layer({}),
        layer(None),
        layer([]),
    ]
    manifest = {
        "schemaVersion": 2,
        "config": {"mediaType": "", "digest": DIGEST, "size": 2},
        "layers": layers,
    }
    document = parse_document(json.dumps(manifest).encode(), "", 100)
    assert [each.value for each in cosign.signatures(document)] == [b"sig"]
