"""Every error of scow.

The tree, one class a gRPC code, below it one class a reason::

    ScowError                         UNKNOWN
    ├── InvalidArgument               INVALID_ARGUMENT
    ├── NotFound                      NOT_FOUND
    ├── AlreadyExists                 ALREADY_EXISTS
    ├── FailedPrecondition            FAILED_PRECONDITION
    ├── PermissionDenied              PERMISSION_DENIED
    ├── Unauthenticated               UNAUTHENTICATED
    ├── ResourceExhausted             RESOURCE_EXHAUSTED
    ├── Aborted                       ABORTED
    ├── OutOfRange                    OUT_OF_RANGE
    ├── Unimplemented                 UNIMPLEMENTED
    ├── Internal                      INTERNAL
    ├── Unavailable                   UNAVAILABLE
    ├── DeadlineExceeded              DEADLINE_EXCEEDED
    ├── Cancelled                     CANCELLED
    └── DataLoss                      DATA_LOSS

A reason is a subclass of one of them. Its name in UPPER_SNAKE_CASE is the wire's
`ErrorInfo.reason`, so a service raises `ImageNotFound(...)` and the client raises `ImageNotFound` too.
"""

from __future__ import annotations

# One list, not one import for each name.
# isort: off
from scow.contract.error_codes import (
    DETAILS_KEY as DETAILS_KEY,
    DOMAIN as DOMAIN,
    Aborted as Aborted,
    AlreadyExists as AlreadyExists,
    Cancelled as Cancelled,
    DataLoss as DataLoss,
    DeadlineExceeded as DeadlineExceeded,
    FailedPrecondition as FailedPrecondition,
    Internal as Internal,
    InvalidArgument as InvalidArgument,
    NotFound as NotFound,
    OutOfRange as OutOfRange,
    PermissionDenied as PermissionDenied,
    ResourceExhausted as ResourceExhausted,
    ScowError as ScowError,
    Unauthenticated as Unauthenticated,
    Unavailable as Unavailable,
    Unimplemented as Unimplemented,
    from_wire as from_wire,
    of_reason as of_reason,
)
# isort: on

# Reasons, each under the class of its code.


class InvalidReference(InvalidArgument):
    """An image reference that does not follow the grammar."""


class InvalidPort(InvalidArgument):
    """A published port that is not a port, or a range that does not fit."""


class InvalidMount(InvalidArgument):
    """A mount with a relative target, an unknown type or contradicting options."""


class InvalidName(InvalidArgument):
    """A name with characters that are not allowed."""


class InvalidFilter(InvalidArgument):
    """An unknown filter key, or a value that it does not take."""


class InvalidConfig(InvalidArgument):
    """A configuration with an unknown key or a value of a wrong kind."""


class InvalidDockerfile(InvalidArgument):
    """A Dockerfile that cannot be read. Facts: `file`, `line`, `column` and `excerpt`, the lines around with a mark."""


class InvalidCniConfig(InvalidArgument):
    """A CNI configuration that cannot be read, or is none."""


class InvalidArchive(InvalidArgument):
    """A tar that cannot be read, or that reaches outside of its root."""


class InvalidContext(InvalidArgument):
    """A build context that cannot be used: it cannot be fetched or read, or has changed while it was sent."""


class InvalidPageToken(InvalidArgument):
    """A page token that this service did not make."""


class AmbiguousId(InvalidArgument):
    """An id prefix that several objects share."""


class RequestIdReused(InvalidArgument):
    """A request id that was used with a different request."""


class ImageNotFound(NotFound):
    """No such image in the store."""


class ManifestNotFound(NotFound):
    """The registry has no such repository, tag or digest."""


class PlatformNotFound(NotFound):
    """The image has no variant for the platform."""


class ContainerNotFound(NotFound):
    """No such container."""


class ExecNotFound(NotFound):
    """No such exec session."""


class NetworkNotFound(NotFound):
    """No such network."""


class MountNotFound(NotFound):
    """The container has no such mount."""


class VolumeNotFound(NotFound):
    """No such volume."""


class SecretNotFound(NotFound):
    """No such secret."""


class SnapshotNotFound(NotFound):
    """The volume has no such snapshot."""


class PluginNotFound(NotFound):
    """No such plugin."""


class BindSourceNotFound(NotFound):
    """The host path of a bind mount does not exist."""


class LeaseNotFound(NotFound):
    """No such lease, or it has expired."""


class FileNotFound(NotFound):
    """A container's or an image's file system, or a build context, has no such file."""


class BuildNotFound(NotFound):
    """No such build in the history."""


class UserNotFound(NotFound):
    """The container's files have no such user or group."""


class NameInUse(AlreadyExists):
    """Another object has this name."""


class EndpointExists(AlreadyExists):
    """The container is in the network already."""


class NotConnected(FailedPrecondition):
    """The container is not in the network."""


class PolicyNotFound(NotFound):
    """The container has no policy."""


class PolicyUnsupported(FailedPrecondition):
    """A network's driver leaves no place where a policy could be kept."""


class PortNotPublished(NotFound):
    """The container has no such published port."""


class NetworkInUse(FailedPrecondition):
    """Somebody is attached to the network."""


class SubnetInUse(FailedPrecondition):
    """The subnet overlaps one of another network."""


class ShimRunning(FailedPrecondition):
    """What only a shim's death leaves behind was to be cleared, and the shim lives."""


class ContainerRunning(FailedPrecondition):
    """The container runs, and the request needs one that does not."""


class ExecRunning(FailedPrecondition):
    """The exec session runs."""


class ContainerNotRunning(FailedPrecondition):
    """The container does not run, and the request needs one that does."""


class ContainerPaused(FailedPrecondition):
    """The container is paused, and the request needs one that is not."""


class DependencyNotReady(FailedPrecondition):
    """A container that another one depends on did not get ready in time, or cannot. Facts: `condition`."""


class ContainerBusy(FailedPrecondition):
    """The container is being removed or damaged."""


class ImageInUse(FailedPrecondition):
    """A container is made from the image."""


class ImageHasReferences(FailedPrecondition):
    """The image named by id has several references."""


class ContentMissing(FailedPrecondition):
    """A part of an image or index is not in the store."""


class BuildFailed(FailedPrecondition):
    """A step of a build failed. Facts: `line` and `excerpt` of the Dockerfile, `step`, and `exit_code` of a program."""


class MountBusy(FailedPrecondition):
    """Processes of the container use the mount."""


class VolumeInUse(FailedPrecondition):
    """A container holds the volume."""


class SecretInUse(FailedPrecondition):
    """A container has the secret."""


class VolumeHasSnapshots(FailedPrecondition):
    """The volume has snapshots, which would go with it."""


class VolumeNotLocal(FailedPrecondition):
    """The volume's data are not in a folder of the engine's own, and the request needs that."""


class QuotaUnsupported(FailedPrecondition):
    """The file system does not enforce limits on directory trees."""


class InvalidBackup(FailedPrecondition):
    """What a reference names is not a backup of a volume, or contradicts itself."""


class PluginRefused(FailedPrecondition):
    """A plugin says that it cannot do what it was asked."""


class PluginFaulty(FailedPrecondition):
    """A plugin's answer is not what the protocol says."""


class PluginDisabled(FailedPrecondition):
    """The plugin is disabled in this engine."""


class PluginInUse(FailedPrecondition):
    """Volumes of the plugin are mounted."""


class ReadOnlyStorage(FailedPrecondition):
    """The file system where the service keeps its data is read-only."""


class ReadOnlyRoot(FailedPrecondition):
    """The container's root file system, or what is mounted at the place, is read-only."""


class AddressInUse(FailedPrecondition):
    """The host port or the requested address is taken."""


class ImageUnusable(FailedPrecondition):
    """The image's configuration has a value that no container can be made with."""


class PlatformMismatch(FailedPrecondition):
    """The image is for another platform than the machine."""


class InvalidTrustPolicy(FailedPrecondition):
    """The trust policy cannot be read or understood: until it is mended, no image is pulled or run."""


class InvalidSourcePolicy(FailedPrecondition):
    """The source policy cannot be read or understood: until it is mended, nothing is built from elsewhere."""


class CommandNotFound(FailedPrecondition):
    """The container has no such command (exit code 127)."""


class CommandNotExecutable(FailedPrecondition):
    """The command cannot be executed (exit code 126)."""


class NamespaceUnsupported(FailedPrecondition):
    """The kernel or this version lacks a kind of namespace."""


class KernelUnsupported(FailedPrecondition):
    """The kernel or the machine lacks what the request needs."""


class UlimitRefused(FailedPrecondition):
    """A resource limit is above what the engine, or the kernel, may give."""


class LinkFailed(FailedPrecondition):
    """The kernel refused a change of links, addresses or routes."""


class CniFailed(FailedPrecondition):
    """A CNI plugin is missing, refuses, crashes, takes too long, or answers with rubbish."""


class MountFailed(FailedPrecondition):
    """The kernel refused a mount."""


class CredentialHelperFailed(FailedPrecondition):
    """A program that keeps credentials is missing, or fails."""


class RegistryRefused(FailedPrecondition):
    """The registry does not take what it is sent, or does not do what it is asked."""


class NetworkBuiltIn(PermissionDenied):
    """One of the networks that every engine has, which stay."""


class RegistryDenied(PermissionDenied):
    """The registry refused the credentials, or wants some."""


class ImageUntrusted(PermissionDenied):
    """The trust policy rejects the image, or a signature that it demands is missing or wrong."""


class SourceDenied(PermissionDenied):
    """The source policy does not allow an image, URL or git repository, or not without a digest."""


class RegistryRateLimited(ResourceExhausted):
    """The registry asks to slow down."""


class DiskFull(ResourceExhausted):
    """No space is left where the service keeps its data."""


class SubnetFull(ResourceExhausted):
    """A network has no free address."""


class TooManyCalls(ResourceExhausted):
    """A client, or all together, have too many calls under way."""


class LimitExceeded(ResourceExhausted):
    """Input exceeds a configured limit."""


class RegistryUnavailable(Unavailable):
    """The registry cannot be reached, stalls, or answers with a server's error."""


class SourceUnavailable(Unavailable):
    """What is to be imported cannot be fetched."""


class PluginUnavailable(Unavailable):
    """A plugin is not there, or does not answer in time."""


class ServiceUnavailable(Unavailable):
    """Another service of the engine cannot be reached."""


class DigestMismatch(DataLoss):
    """Bytes do not have the digest by which they were asked for."""


class LayerCorrupt(DataLoss):
    """A layer cannot be decompressed or is cut short."""


class InvalidManifest(DataLoss):
    """A manifest or configuration that cannot be read, contradicts itself, or is of an unknown kind."""


class ContainerSetupFailed(Internal):
    """A container could not be made or entered for a reason that nobody foresaw."""


class ShimDied(DataLoss):
    """The shim of the container ended without a record."""
