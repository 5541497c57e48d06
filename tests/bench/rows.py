"""What is measured. Each function takes the bench and returns a row; its name is what `--only` takes."""

from __future__ import annotations

from tests.bench.attachments import (
    attach,
    attach_among_many,
    network_life,
    network_life_among_many,
    network_start,
)
from tests.bench.builds import (
    build_cached,
    build_export,
    build_files,
    build_large,
    build_program,
    build_runs,
    build_stages,
)
from tests.bench.commands import images, inspect, ps, ps_alone
from tests.bench.commits import commit, commit_and_run
from tests.bench.growth import growth, starts_at_once
from tests.bench.health import probes
from tests.bench.isolation import user_namespace
from tests.bench.life import execute, life, life_without_network, listing, run
from tests.bench.logs import (
    read_cri_log,
    read_local_log,
    read_log,
    read_long_log,
    write_cri_log,
    write_local_log,
    write_log,
    write_long_log,
)
from tests.bench.memory import memory_after_use, memory_at_rest, memory_of_containers
from tests.bench.moves import load, push, save
from tests.bench.networks import (
    name_latency,
    name_rate,
    published_ports,
    published_range,
    round_trip,
    transfer,
)
from tests.bench.pulls import pull, pull_changed, pull_eight, pull_large, pull_small
from tests.bench.steps import (
    copy_in,
    copy_out,
    create,
    remove,
    run_detached,
    start,
    stats,
    stop,
)
from tests.bench.volume_copies import (
    clone,
    clone_large,
    snapshot,
    snapshot_large,
    volume_export,
    volume_import,
)
from tests.bench.volumes import copy_up, start_with_mounts, volume_life, volume_writes

ROWS = (
    life,
    life_without_network,
    user_namespace,
    execute,
    run,
    create,
    start,
    run_detached,
    stop,
    remove,
    copy_in,
    copy_out,
    stats,
    starts_at_once,
    write_log,
    write_long_log,
    read_log,
    write_local_log,
    read_local_log,
    write_cri_log,
    read_cri_log,
    read_long_log,
    ps,
    images,
    inspect,
    ps_alone,
    memory_of_containers,
    memory_after_use,
    memory_at_rest,
    probes,
    pull,
    pull_large,
    pull_eight,
    pull_small,
    pull_changed,
    push,
    save,
    load,
    commit,
    commit_and_run,
    copy_up,
    volume_life,
    start_with_mounts,
    volume_writes,
    name_latency,
    name_rate,
    published_ports,
    published_range,
    transfer,
    round_trip,
    build_runs,
    build_cached,
    build_stages,
    build_files,
    build_large,
    build_program,
    build_export,
    snapshot,
    snapshot_large,
    clone,
    clone_large,
    volume_export,
    volume_import,
    network_life,
    network_life_among_many,
    network_start,
    attach,
    attach_among_many,
    listing,
    growth,
)
