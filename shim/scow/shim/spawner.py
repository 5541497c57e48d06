"""The spawner: a small process that has the shim's code loaded and forks one shim per container.

    python -m scow.shim.spawner --socket PATH [--seccomp-cache DIR]

It listens on a unix SOCK_SEQPACKET socket (mode 0600, in a root-only directory). The container service
starts it, detached (setsid); it outlives that service, and the shims outlive both.

Protocol
========

One request for each connection. The request is one packet, a JSON object of at most 64 KiB; the answer is
one packet, a JSON object; then the connection is closed. End of file without an answer means that the
process which should have answered died: nothing may be assumed, so ask for a ``reap`` of the state
directory.

**ping**: ``{"ping": true}``. Answer: ``{"pid": 123, "version": "0.1.0"}``.

**spawn** makes a shim, the container's cgroup and namespaces, and a paused init::

    {"id": "<container id>",            # [A-Za-z0-9][A-Za-z0-9_.-]*; the name of the cgroup
     "bundle": "/abs/bundle",           # directory with config.json and, optionally, rootfs.json
     "state_dir": "/abs/state",         # existing directory, root-only; the shim writes its files here
     "socket": "/abs/state/shim.sock",  # where the shim serves scow.api.shim.v1, mode 0600, at most 107 bytes
     "cgroup_parent": "scow",           # "scow" and "/scow" name the same; "/scow.slice/x" may be nested
     "log": {"driver": "json-file",     # or "none"; absent means "none"
             "path": "/abs/log.json", "max_size": 10485760, "max_files": 3},
     "stdin": false,                    # keep stdin open (-i); otherwise it is /dev/null
     "stdin_once": false}               # close stdin when the first attached client's input ends

The SHIM answers, once init waits in its namespaces and the gRPC socket listens::

    {"shim_pid": 100, "shim_start_ticks": 4711, "pid": 101, "pid_start_ticks": 4712,
     "netns": "/proc/101/ns/net"}

(``*_start_ticks``: proc(5) stat field 22. A container without a network namespace of its own answers the
one it joined.) After an error nothing is left but what was in the state directory before.

**reap** ends what a shim that died left behind: every process in the container's cgroup, then the cgroup; when
there is no exit record, one is written that says the shim died. Safe to repeat::

    {"reap": {"state_dir": "/abs/state", "force": false}}

Answer: ``{"exit": {...}}``, the exit record (below). A shim that still lives is FAILED_PRECONDITION SHIM_RUNNING unless
``force``: then it is killed first. The same is there as a command: ``python -m scow.shim.reap --state-dir DIR [--force]``.

**sweep** removes an engine's cgroup parent when no container is left in it: ``{"sweep": {"cgroup_parent": "scow"}}``.
Answer: ``{"removed": true}``.

**Errors** of every request::

    {"error": {"code": "FAILED_PRECONDITION",   # canonical gRPC code
               "reason": "NAMESPACE_UNSUPPORTED", "message": "...", "metadata": {"namespace": "user"}}}

Files of the bundle
===================

``config.json`` is an OCI runtime-spec configuration. ``process.terminal`` asks for a pty and
``process.consoleSize`` for its size. ``process.user.username`` is understood as ``name[:group]`` or ``uid[:gid]``, looked
up in the container's own files, and then ``uid``/``gid``/``additionalGids`` of the configuration are not used, save that
``additionalGids`` are added. Annotations:

- ``scow.init`` = ``true``: run a small init as process 1 that reaps and forwards signals.
- ``scow.groups`` = ``name,gid,...``: further groups, looked up in the container's files.

``rootfs.json``: the mounts that make the root file system, in order:
``[{"type": "overlay", "source": "overlay", "options": ["lowerdir=...", "upperdir=...", "workdir=..."]}]``. Without that file
``root.path`` of config.json is the root file system itself.

The mount option ``scow.populate`` on a bind means: when the source directory is empty, fill it with what the root
file system has at the destination.

Files of the state directory
============================

- ``state.json``, written before the first resource is made: ``{"id", "version", "shim_pid", "shim_start_ticks", "pid",
  "pid_start_ticks", "cgroups": ["/sys/fs/cgroup/...", ...], "warnings": ["..."]}``; ``pid`` is 0 until init exists.
- ``exit.json``, written (fsynced, renamed) before any Wait is answered: ``{"code": 137, "signal": 9, "time_ns": ...,
  "oom_killed": false, "error": ""}``; ``error`` says why the process was never executed, or that the shim died.
"""
