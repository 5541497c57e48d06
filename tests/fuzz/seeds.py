"""Where the fuzzers begin: valid and nearly valid input for each target."""

from __future__ import annotations

import json

from tests.fuzz import dockerfiles
from tests.support import archives
from tests.support.archives import docker_archive, oci_image, oci_layout, tar
from tests.support.layers import CORPUS

_DIGEST = "sha256:" + "ab" * 32
_PART = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": _DIGEST, "size": 5}
_CONFIG_PART = {**_PART, "mediaType": "application/vnd.oci.image.config.v1+json"}
_PLATFORM = {"os": "linux", "architecture": "amd64", "variant": "v1"}
MANIFEST = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "config": _CONFIG_PART,
    "layers": [_PART, _PART],
    "subject": _PART,
    "artifactType": "",
    "annotations": {"a": "b"},
}
INDEX = {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.index.v1+json",
    "manifests": [{**_PART, "platform": _PLATFORM}, {**_PART, "platform": None}],
}
CONFIGURATION = {
    **_PLATFORM,
    "created": "2024-01-02T03:04:05.678901234+01:00",
    "author": "a",
    "comment": "c",
    "docker_version": "1",
    "rootfs": {"type": "layers", "diff_ids": [_DIGEST]},
    "history": [{"created": "2024-01-02T03:04:05Z", "empty_layer": True}],
    "config": {
        "User": "1:2",
        "ExposedPorts": {"80/tcp": {}},
        "Env": ["A=1"],
        "Entrypoint": ["sh"],
        "Cmd": None,
        "Volumes": {"/v": {}},
        "WorkingDir": "/",
        "Labels": {"a": "b"},
        "StopSignal": "TERM",
        "Shell": ["sh", "-c"],
        "OnBuild": [],
        "Healthcheck": {"Test": ["CMD", "x"], "Interval": 10**9, "Retries": 3, "StartInterval": 5},
    },
}
_HOSTILE: tuple[dict[str, object], ...] = (
    {"ExposedPorts": {"1-1000000/tcp": {}}},
    {"ExposedPorts": {"1-65535/tcp": {}, "1-65535/udp": {}, "7": {}}},
    {"ExposedPorts": {"\u00b2/tcp": {}}},
    {"User": "9" * 30},
    {"User": "a\n0"},
    {"Env": ["A", "=", ""]},
    {"Env": ["A=\0"]},
    {"WorkingDir": "x"},
    {"StopSignal": "9" * 5000},
    {"StopSignal": "RTMIN+" + "9" * 5000},
    {"Volumes": {"": {}, "a": {}, "/\0": {}}},
    {"Healthcheck": {"Test": ["X"], "Interval": -1}},
    {"Healthcheck": {"Interval": 1e300, "Retries": "9"}},
)
HOSTILE_CONFIGURATIONS: list[dict[str, object]] = [
    {**CONFIGURATION, "config": {"Cmd": ["x"], **values}} for values in _HOSTILE
]
REFERENCES = f"""
nginx
library/nginx:1.2-3
library/library/nginx
docker.io/a.b/c
ghcr.io/org/app_a/b--c:Tag
[::1]:5000/a@{_DIGEST}
localhost:5000/a:b
LOCALHOST/a:t@{_DIGEST}
index.docker.io/nginx
a..b
a/../b
{"f" * 64}
\u00fc
a b
""".strip().split("\n")
CHANGES = r"""
CMD ["sh", "-c", "x"]
CMD ["\ud800"]
ENTRYPOINT sh -c x
ENV A=1 B='2 3'
ENV A 1
EXPOSE 80 81/udp 90-95/tcp
LABEL a=b c=d
USER me
WORKDIR ../a
VOLUME /a /b
VOLUME ["/a"]
STOPSIGNAL SIGTERM
ONBUILD RUN x
HEALTHCHECK --interval=5s --timeout=1m30s --retries=3 CMD x
HEALTHCHECK NONE
HEALTHCHECK --interval=99999999999999999h --retries=99999999999 CMD x
SHELL ["sh"]
""".strip().split("\n")
HEADERS = """
Bearer realm="https://auth.example/token",service="a, b",scope="repository:a:pull"
Basic realm=x
120
Fri, 31 Dec 1999 23:59:59 GMT
https://user:pw@host:99/x?y#z
//host/x
/x
http://[::1]:5000/
""".strip().split("\n")


def _json(*values: object) -> list[bytes]:
    return [json.dumps(value).encode() for value in values]


def _texts(texts: list[str]) -> list[bytes]:
    return [text.encode() for text in texts]


def _layers() -> list[bytes]:
    # Deep trees take long to be made, and mutations seldom make them otherwise.
    made = (
        case.make()
        for name, case in CORPUS.items()
        if not name.startswith("ends:") and "levels" not in name
    )
    return [data for data in made if len(data) <= 8192]


_QUESTION = b"\0\1\1\0\0\1\0\0\0\0\0\0\3web\0\0\1\0\1"
_EDNS = _QUESTION[:11] + b"\1" + _QUESTION[12:] + b"\0\0\x29\4\xd0\0\0\x80\0\0\0"
QUESTIONS = [_QUESTION, _EDNS, _QUESTION[:12] + b"\xc0\x0c\0\1\0\1", _QUESTION[:14]]
_ANSWER = b"\0\1\x81\x80\0\1\0\1\0\0\0\0" + _QUESTION[12:]
ANSWERS = [
    _ANSWER + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\2",
    _ANSWER + b"\xc0\x15\0\5\0\1\0\0\0\x3c\0\2\xc0\x21",
    _ANSWER[:7] + b"\0\0\1" + _ANSWER[10:] + b"\0\0\6\0\1\0\0\0\x3c\0\x16\0\0" + b"\0" * 20,
]


MOUNTS = [
    "/a:/b:ro,rslave,z",
    "vol:/x:nocopy",
    "type=bind,src=/a,dst=/b,ro,bind-recursive=readonly,bind-propagation=rprivate",
    "type=volume,source=v,target=/x,volume-subpath=a/../b,volume-opt=o=size=1m,exclusive",
    'type=tmpfs,dst=/x,tmpfs-size=1m,tmpfs-mode=1777,"volume-label=a,b"',
    "/x:size=1m,mode=700,exec,uid=5",
    "type=overlay,src=/a,dst=/b,tmpfs-size=9",
    "type=image,src=a,dst=/b,image-subpath=../c",
]
SEEDS: dict[str, list[bytes]] = {
    "reference": _texts(REFERENCES),
    "document": _json(MANIFEST, INDEX),
    "configuration": _json(CONFIGURATION),
    "create": _json(CONFIGURATION, *HOSTILE_CONFIGURATIONS),
    "change": _texts(CHANGES),
    "header": _texts(HEADERS),
    "index": _layers(),
    "question": QUESTIONS,
    "answer": ANSWERS,
    "mounts": _texts(MOUNTS),
    **dockerfiles.SEEDS,
}
SEEDS["layer"] = SEEDS["context"] = SEEDS["index"]
_LAYER = tar({"file": b"content"})
_MANIFEST, _BLOBS = oci_image([_LAYER])
_DOCKER = docker_archive([_LAYER], "good:1")
ARCHIVES = [_DOCKER, oci_layout([(_MANIFEST, archives.MANIFEST, "good:1")], _BLOBS)]
SEEDS["archive"] = [
    tar(_DOCKER),
    tar(ARCHIVES[1]),
    tar({**_DOCKER, **ARCHIVES[1]}),
]
