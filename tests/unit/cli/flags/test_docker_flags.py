"""Every flag of Docker 29's commands for containers is there, or refused by an error that says why."""

from __future__ import annotations

from importlib import import_module

import pytest

from scow.cli import index
from scow.cli.flags.parser import Flag, UsageError, Verb, parse

# Docker's reference (docs.docker.com/reference/cli/docker/container/), the short letter before the long name.
_CREATE = """
add-host annotation a,attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent cgroupns cidfile cpu-count
cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime c,cpu-shares cpus cpuset-cpus cpuset-mems device
device-cgroup-rule device-read-bps device-read-iops device-write-bps device-write-iops disable-content-trust dns
dns-option dns-search domainname entrypoint e,env env-file expose gpus group-add health-cmd health-interval
health-retries health-start-interval health-start-period health-timeout h,hostname init i,interactive io-maxbandwidth
io-maxiops ip ip6 ipc isolation kernel-memory l,label label-file link link-local-ip log-driver log-opt mac-address
m,memory memory-reservation memory-swap memory-swappiness mount name network network-alias no-healthcheck
oom-kill-disable oom-score-adj pid pids-limit platform privileged p,publish P,publish-all pull q,quiet read-only restart
rm runtime security-opt shm-size stop-signal stop-timeout storage-opt sysctl tmpfs t,tty ulimit use-api-socket u,user
userns uts v,volume volume-driver volumes-from w,workdir
"""
DOCKER = {
    "create": _CREATE,
    "run": _CREATE + "d,detach detach-keys sig-proxy",
    "exec": "d,detach detach-keys e,env env-file i,interactive privileged t,tty u,user w,workdir",
    "ps": "a,all f,filter format n,last l,latest no-trunc q,quiet s,size",
    "logs": "details f,follow since n,tail t,timestamps until",
    "attach": "detach-keys no-stdin sig-proxy",
    "start": "a,attach checkpoint checkpoint-dir detach-keys i,interactive",
    "stop": "s,signal t,timeout",
    "restart": "s,signal t,timeout",
    "kill": "s,signal",
    "rm": "f,force l,link v,volumes",
    "cp": "a,archive L,follow-link q,quiet",
    "stats": "a,all format no-stream no-trunc",
    "top": "",
    "update": "blkio-weight cpu-period cpu-quota cpu-rt-period cpu-rt-runtime c,cpu-shares cpus cpuset-cpus cpuset-mems"
    " m,memory memory-reservation memory-swap pids-limit restart",
    "events": "f,filter format since until",
    "diff": "",
    "pause": "",
    "unpause": "",
    "rename": "",
    "wait": "",
    "port": "",
    "commit": "a,author c,change m,message p,pause",
    "export": "o,output",
    "container prune": "f,force filter",
}
# Those that are refused whatever their value is.
REFUSED = {
    **dict.fromkeys(
        ("create", "run"),
        "annotation cpu-count cpu-percent io-maxbandwidth io-maxiops kernel-memory runtime use-api-socket",
    ),
    "start": "checkpoint checkpoint-dir",
    "rm": "link",
}


def verb_of(path: str) -> Verb:
    module, _ = index.COMMANDS[path]
    verbs: tuple[Verb, ...] = import_module(f"scow.cli.verbs.{module}").VERBS
    return next(verb for verb in verbs if verb.path == path)


@pytest.mark.parametrize("path", DOCKER)
def test_every_flag_is_there_with_its_letter(path: str) -> None:
    if path in index.DOCKERS_OWN:
        pytest.skip(f"there is no {path}")
    flags = {flag.name: flag for flag in verb_of(path).flags}
    assert len(flags) == len(verb_of(path).flags)
    for word in DOCKER[path].split():
        letter, _, name = word.rpartition(",")
        assert name in flags, name
        assert flags[name].short == letter, name


@pytest.mark.parametrize("path", DOCKER)
def test_flags_that_are_refused_say_why(path: str) -> None:
    if path in index.DOCKERS_OWN:
        pytest.skip(f"there is no {path}")
    verb = verb_of(path)
    told = {flag.name for flag in verb.flags if flag.help.startswith("Not supported: ")}
    assert told == set(REFUSED.get(path, "").split())
    for name in told:
        with pytest.raises(UsageError, match=r"not supported: \w+ \w+"):
            parse(verb.flags, [f"--{name}=1"])


def test_the_only_isolation_is_taken() -> None:
    flags: tuple[Flag, ...] = verb_of("run").flags
    assert parse(flags, ["--isolation", "default"]).isolation == "default"
    with pytest.raises(UsageError, match="not supported"):
        parse(flags, ["--isolation", "hyperv"])
