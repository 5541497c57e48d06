"""Decisions: may this image be pulled, may it be run.

A signature of an index is one of all that it names, by digest; so an image counts as signed when its manifest is, or an
index above it. What was verified at a pull is stored, as manifests that refer to the signed one, so that a run needs no
registry.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace

from scow.contract.errors import ImageUntrusted, InvalidReference, ManifestNotFound, ScowError
from scow.core.config import ImageSection
from scow.image.content.blobs import Blobs
from scow.image.content.digests import is_digest, matches
from scow.image.metadata.tables import ImageStore
from scow.image.oci import manifests
from scow.image.oci.manifests import Document
from scow.image.oci.reference import Reference
from scow.image.registry_client import catalogue
from scow.image.registry_client.client import Registries
from scow.image.registry_client.credentials import Credentials
from scow.image.registry_client.downloads import Registry
from scow.image.transfer.index import DEPTH_MAX
from scow.image.trust import cosign
from scow.image.trust.policy import ACCEPT, REJECT, Rule, load

# What refers to one manifest and is looked at.
_REFERRERS_MAX = 64


@dataclass
class Evidence:
    """Signatures that were verified: their manifests, referring to what they sign, and what they name, by digest."""

    documents: list[Document] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)


class Trust:
    """Decides by the policy file.

    Args:
        settings: The service's section of the configuration.
        rows: The tables.
        blobs: Where signatures are.
        registries: Where signatures come from.
    """

    def __init__(
        self, settings: ImageSection, rows: ImageStore, blobs: Blobs, registries: Registries
    ) -> None:
        self._settings = settings
        self._rows = rows
        self._blobs = blobs
        self._registries = registries

    def rule(self, repository: str) -> Rule:
        """Return the rule for a repository.

        Raises:
            InvalidTrustPolicy: The policy file cannot be read.
            ImageUntrusted: The rule is to reject.
        """
        rule = load(self._settings.trust_policy).rule(repository)
        if rule.policy == REJECT:
            raise self._refusal(repository, rule, "the policy rejects it")
        return rule

    async def at_pull(
        self,
        registry: Registry,
        credentials: Credentials,
        reference: Reference,
        documents: Sequence[Document],
    ) -> Evidence:
        """Return the signatures by which documents may be recorded for a reference.

        Args:
            registry: Where they came from.
            credentials: For the registry.
            reference: By which they were pulled.
            documents: One of them must be signed.

        Raises:
            ImageUntrusted: There is no signature, or none that counts.
            InvalidTrustPolicy: The policy file cannot be read.
            RegistryUnavailable, RegistryDenied, RegistryRateLimited: Nobody tells whether there are signatures.
        """
        rule = self.rule(reference.repository)
        if rule.policy == ACCEPT:
            return Evidence()
        looking = _Looking(self._registries, self._settings, registry, credentials, reference)
        why: list[str] = []
        for document in reversed(documents):
            async for found in looking.manifests(document.digest):
                for signature in cosign.signatures(found):
                    payload = await looking.payload(signature)
                    fault = _fault(rule, signature, payload, document.digest, reference)
                    if not fault:
                        return await looking.evidence(found, document.digest)
                    why.append(fault)
        raise self._refusal(str(reference), rule, _told(why))

    def at_run(self, name: str, image_id: str) -> None:
        """Check that an image may be run by a name.

        Named by a reference, that one's repository decides; named by id, one of the image's names suffices.

        Raises:
            ImageUntrusted: It may not.
            InvalidTrustPolicy: The policy file cannot be read.
        """
        policy = load(self._settings.trust_policy)
        references = self._references(name, image_id)
        if not references and policy.default.policy != ACCEPT:
            raise self._refusal(name, policy.default, "it has no name that a rule could fit")
        refusals = []
        for reference in references:
            rule = policy.rule(reference.repository)
            why = self._why_not(rule, reference, image_id)
            if not why:
                return
            refusals.append(self._refusal(name, rule, why))
        if refusals:
            raise refusals[0]

    def _references(self, name: str, image_id: str) -> list[Reference]:
        try:
            reference = None if is_digest(name) else Reference.parse(name)
        except InvalidReference:
            reference = None
        if reference is not None:  # or else it is an id
            text = str(reference)
            if self._rows.name(text) is not None or self._rows.image_named(text) is not None:
                return [reference]
        names = [*self._rows.names(image_id), *self._rows.repo_digests(image_id)]
        return [Reference.parse(each) for each in names]

    def _why_not(self, rule: Rule, reference: Reference, image_id: str) -> str:
        """Return why a rule lets an image not be used by a reference; empty when it does."""
        if rule.policy == ACCEPT:
            return ""
        if rule.policy == REJECT:
            return "the policy rejects it"
        why: list[str] = []
        for digest in self._documents(image_id):
            for found in self._stored(digest, reference):
                for signature in cosign.signatures(found):
                    fault = self._fault_of_stored(rule, signature, digest, reference)
                    if not fault:
                        return ""
                    why.append(fault)
        return _told(why)

    def _documents(self, image_id: str) -> list[str]:
        """Return the digests of an image's manifests, and of the indexes above them."""
        level = [row.digest for row in self._rows.manifests_of(image_id)]
        found = dict.fromkeys(level)
        for _ in range(DEPTH_MAX):
            level = [above for digest in level for above in self._rows.indexes_with(digest)]
            found |= dict.fromkeys(level)
        return list(found)

    def _stored(self, digest: str, reference: Reference) -> Iterable[Document]:
        """Give the signatures of a manifest that are here."""
        digests = [row.digest for row in self._rows.referrers(digest)]
        named = self._rows.name(f"{reference.repository}:{cosign.tag_of(digest)}")
        if named is not None:
            digests.append(named.manifest)
        for each in digests[:_REFERRERS_MAX]:
            row = self._rows.manifest(each)
            try:
                data = self._blobs.read(each)
                yield manifests.parse_document(
                    data, row.media_type if row else "", self._settings.max_layers, each
                )
            except (OSError, ScowError):  # damaged: then it proves nothing
                continue

    def _fault_of_stored(
        self, rule: Rule, signature: cosign.Signature, digest: str, reference: Reference
    ) -> str:
        try:
            payload = self._blobs.read(signature.payload.digest)
        except OSError:
            return "has lost what it signs"
        return _fault(rule, signature, payload, digest, reference)

    def _refusal(self, name: str, rule: Rule, why: str) -> ImageUntrusted:
        return ImageUntrusted(
            f"image {name} is not trusted: {why}",
            what="image",
            which=name,
            do=f"pull it when it is signed, or change {rule.where} in {self._settings.trust_policy}",
            policy=str(self._settings.trust_policy),
            rule=rule.where,
        )


def _fault(
    rule: Rule, signature: cosign.Signature, payload: bytes, digest: str, reference: Reference
) -> str:
    """Return why a signature does not count; empty when it does."""
    if not matches(payload, signature.payload.digest):
        return "is not of what it comes with"
    if not any(key.signed(signature.value, payload) for key in rule.keys):
        return "is by none of the keys"
    return cosign.contradiction(payload, digest, reference)


def _told(why: list[str]) -> str:
    if not why:
        return "there is no signature"
    return "; ".join(f"a signature {fault}" for fault in dict.fromkeys(why))


class _Looking:
    """Looks for signatures at a registry."""

    def __init__(
        self,
        registries: Registries,
        settings: ImageSection,
        registry: Registry,
        credentials: Credentials,
        reference: Reference,
    ) -> None:
        self._registries = registries
        self._settings = settings
        self._registry = registry
        self._credentials = credentials
        self._reference = reference

    async def manifests(self, digest: str) -> AsyncIterator[Document]:
        """Give the manifests that may hold signatures of another one."""
        tagged = await self._get(cosign.tag_of(digest))
        if tagged is not None:
            yield tagged
        domain, path = self._reference.domain, self._reference.path
        session = self._registries.origin(domain, self._credentials, path)
        for entry, _ in (await catalogue.referrers(session, digest))[:_REFERRERS_MAX]:
            found = await self._get(entry.digest)
            if found is not None and found.subject == digest:
                yield found

    async def _get(self, target: str) -> Document | None:
        try:
            data, media_type = await self._registry.manifest(target)
        except ManifestNotFound:
            return None
        return manifests.parse_document(data, media_type, self._settings.max_layers, target)

    async def payload(self, signature: cosign.Signature) -> bytes:
        """Get what was signed."""
        return await self._registry.small_blob(signature.payload, cosign.PAYLOAD_MAX)

    async def evidence(self, found: Document, digest: str) -> Evidence:
        """Return a manifest of signatures to be stored, with what was signed."""
        blobs = {}
        for signature in cosign.signatures(found):
            with contextlib.suppress(ManifestNotFound):
                blobs[signature.payload.digest] = await self.payload(signature)
        return Evidence([replace(found, subject=digest)], blobs)
