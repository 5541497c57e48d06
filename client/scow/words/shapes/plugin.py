"""A plugin, in the shape of `docker plugin inspect` as far as the engine has what that tells."""

from __future__ import annotations

from scow.words.template.values import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.api.network.v1.cni_plugin_pb2 import CniPlugin
    from scow.api.volume.v1.plugin_pb2 import Plugin

_TYPES = {"VolumeDriver": "docker.volumedriver/1.0", "NetworkDriver": "docker.networkdriver/1.0"}


def plugin_shape(plugin: Plugin) -> Struct:
    """Return a plugin's shape, with scow's own `Fault`, why it cannot be used, `Source` and `Volumes`."""
    types = [_TYPES.get(kind, kind) for kind in plugin.implements]
    return Struct(
        Name=plugin.name,
        Enabled=plugin.enabled,
        Config=Struct(Interface=Struct(Socket=plugin.socket, Types=types)),
        Source=plugin.source,
        Fault=plugin.fault,
        Volumes=list(plugin.volumes),
    )


def cni_plugin_shape(plugin: CniPlugin) -> Struct:
    """Return a CNI plugin's shape, with scow's own `Networks`, which configurations use it, and `Versions`."""
    return Struct(
        Name=f"cni/{plugin.name}",
        Enabled=plugin.enabled,
        Config=Struct(Interface=Struct(Socket="", Types=["cni"])),
        Source=plugin.path,
        Fault=plugin.fault,
        Networks=list(plugin.networks),
        Versions=list(plugin.versions),
    )
