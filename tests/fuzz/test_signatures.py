"""What strangers sign, or say that they did, is judged without surprises."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from scow.contract.errors import InvalidManifest, LimitExceeded
from scow.image.oci.manifests import parse_document
from scow.image.oci.reference import Reference
from scow.image.trust import cosign
from scow.image.trust.keys import parse_key
from tests.support.signing import PAYLOAD, new_key, payload_of, public_pem

DIGEST = f"sha256:{'1' * 64}"
REFERENCE = Reference.parse("r.example/team/app:1")
KEY = parse_key(public_pem(new_key()).encode())
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.binary() | _values.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_speak_for_an_image(data: bytes) -> None:
    assert cosign.contradiction(data, DIGEST, REFERENCE)


@given(st.sampled_from(["type", "identity", "image"]), _values)
def test_no_part_may_be_something_else(key: str, value: object) -> None:
    payload = json.loads(payload_of(REFERENCE.repository, DIGEST))
    payload["critical"][key] = value
    assert cosign.contradiction(json.dumps(payload).encode(), DIGEST, REFERENCE)


@given(st.binary(), st.binary())
def test_no_bytes_are_a_signature(signature: bytes, data: bytes) -> None:
    assert not KEY.signed(signature, data)


@given(_values)
def test_layers_that_claim_to_be_signatures(annotations: object) -> None:
    layer = {"mediaType": PAYLOAD, "digest": DIGEST, "size": 1, "annotations": annotations}
    config = {"mediaType": "", "digest": DIGEST, "size": 1}
    manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
    try:
        document = parse_document(json.dumps(manifest).encode(), "", 10)
    except (InvalidManifest, LimitExceeded):
        return
    assert cosign.signatures(document) == []
