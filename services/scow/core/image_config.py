"""What an image says about running it, as its configuration has it (OCI image specification, config.md, `config`)."""

from __future__ import annotations

from typing import Any

from scow.api.image.v1 import image_pb2 as pb


def config_json(config: pb.ImageConfig) -> dict[str, Any]:
    """Return a configuration's `config` object, without what is empty."""
    value: dict[str, Any] = {
        "User": config.user,
        "ExposedPorts": {port: {} for port in config.exposed_ports},
        "Env": list(config.env),
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.cmd),
        "Volumes": {path: {} for path in config.volumes},
        "WorkingDir": config.working_dir,
        "Labels": dict(config.labels),
        "StopSignal": config.stop_signal,
        "Shell": list(config.shell),
        "OnBuild": list(config.on_build),
    }
    if config.HasField("healthcheck"):
        check = config.healthcheck
        value["Healthcheck"] = {
            "Test": list(check.test),
            "Interval": check.interval,
            "Timeout": check.timeout,
            "StartPeriod": check.start_period,
            "Retries": check.retries,
        }
        if check.start_interval:
            value["Healthcheck"]["StartInterval"] = check.start_interval
    return {key: found for key, found in value.items() if found}
