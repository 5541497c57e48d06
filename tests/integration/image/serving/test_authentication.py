"""Who may do what: basic authentication, tokens, TLS, and no reading across repositories."""

from __future__ import annotations

import base64
import contextlib
import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.support.distribution import OCI_MANIFEST, Answer, Api, Image, artifact
from tests.support.serving import Serving, write_htpasswd
from tests.support.tls import Authority

# Its services are started once.
pytestmark = pytest.mark.xdist_group("serving-authentication")

USERS = {"alice": "a-word", "bob": "b-word", "root": "r-word"}
RULES = (
    "root * delete",
    "alice docker.io/alice/* push",
    "bob docker.io/bob/* push",
    "* docker.io/shared/* pull",
    "anonymous docker.io/open/* pull",
)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_htpasswd(tmp_path_factory.mktemp("users") / "htpasswd", **USERS)


@pytest.fixture(scope="module")
def basic(users: str) -> Iterator[Serving]:
    access = ",".join(RULES)
    with Serving(authentication="basic", htpasswd=users, access=access) as running:
        yield running


@pytest.fixture(scope="module")
def token(users: str, authority: Authority) -> Iterator[Serving]:
    """By tokens, over TLS."""
    server = authority.issue("server")
    with Serving(
        authentication="token",
        htpasswd=users,
        access=",".join(RULES),
        certificate=str(server.certificate_file),
        key=str(server.key_file),
    ) as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def login(serving: Serving, name: str) -> Api:
    return Api(serving.address, user=f"{name}:{USERS[name]}")


class Tokens:
    """A client that gets a token for each challenge."""

    def __init__(self, serving: Serving, tls: ssl.SSLContext, name: str = "") -> None:
        self._address = serving.address
        self._tls = tls
        self._user = f"{name}:{USERS[name]}" if name else ""
        self._plain = Api(self._address, tls=tls)

    def token(self, *scopes: str) -> str:
        api = Api(self._address, user=self._user, tls=self._tls)
        query = urlencode([("service", "scow"), *(("scope", scope) for scope in scopes)])
        answer = api.call("GET", f"/token?{query}")
        assert answer.status == 200, answer
        assert answer.json["token"] == answer.json["access_token"]
        return str(answer.json["token"])

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        refused = self._plain.call(method, path, body, **headers)
        assert refused.status == 401
        challenge = refused.header("WWW-Authenticate")
        assert challenge.startswith("Bearer ")
        values = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
        assert values["realm"] == f"https://{self._address}/token"
        token = self.token(*filter(None, [values.get("scope")]))
        return Api(self._address, token=token, tls=self._tls).call(method, path, body, **headers)


class TestBasic:
    def test_challenge(self, basic: Serving) -> None:
        for path in ("/v2/", "/v2/alice/app/manifests/1", "/v2/_catalog"):
            answer = basic.api.call("GET", path)
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED")
            assert answer.header("WWW-Authenticate") == 'Basic realm="scow"'

    @pytest.mark.parametrize("user", ["alice:wrong", "nobody:a-word", ":", "alice:", "alice"])
    def test_wrong(self, user: str, basic: Serving) -> None:
        answer = Api(basic.address, user=user).call("GET", "/v2/")
        assert (answer.status, answer.code) == (401, "UNAUTHORIZED")

    @pytest.mark.parametrize("value", ["Basic ???", "Basic", "Bearer x", "Digest x"])
    def test_nonsense(self, value: str, basic: Serving) -> None:
        assert basic.api.call("GET", "/v2/", Authorization=value).status == 401

    def test_rights(self, basic: Serving) -> None:
        alice, bob, root = (login(basic, name) for name in ("alice", "bob", "root"))
        image = Image("alice's")
        alice.push_image("alice/app", "1", image)
        refused = bob.call("GET", "/v2/alice/app/manifests/1")
        assert (refused.status, refused.code) == (403, "DENIED")
        assert alice.call("POST", "/v2/shared/app/blobs/uploads/").status == 403
        assert alice.call("DELETE", "/v2/alice/app/manifests/1").status == 403
        root.push_image("shared/app", "1", image)
        root.push_image("open/app", "1", image)
        assert bob.call("GET", "/v2/shared/app/manifests/1").body == image.manifest
        assert basic.api.call("GET", "/v2/shared/app/manifests/1").status == 401
        assert basic.api.call("GET", "/v2/open/app/manifests/1").body == image.manifest
        listed = bob.call("GET", "/v2/_catalog").json["repositories"]
        assert listed == ["open/app", "shared/app"]

    def test_no_reading_across(self, basic: Serving) -> None:
        """A blob is read where it is, and mounted by those who may read it there."""
        alice, bob, root = (login(basic, name) for name in ("alice", "bob", "root"))
        secret = Image("secret")
        alice.push_image("alice/secret", "1", secret)
        layer = alice.push_blob("alice/secret", secret.layer)
        assert bob.call("GET", f"/v2/bob/app/blobs/{layer}").status == 404
        assert bob.call("GET", f"/v2/bob/app/manifests/{secret.digest}").status == 404
        mount = f"/v2/bob/app/blobs/uploads/?mount={layer}"
        assert bob.call("POST", f"{mount}&from=alice/secret").status == 202
        assert bob.call("POST", mount).status == 202
        bob.push_blob("bob/app", secret.config)
        stolen = bob.push("bob/app", "1", secret.manifest, OCI_MANIFEST)
        assert (stolen.status, stolen.code) == (400, "MANIFEST_BLOB_UNKNOWN")
        assert root.call("POST", f"{mount}&from=alice/secret").status == 201
        assert bob.call("GET", f"/v2/bob/app/blobs/{layer}").body == secret.layer
        assert bob.push("bob/app", "1", secret.manifest, OCI_MANIFEST).status == 201

    def test_referrers_of_others(self, basic: Serving) -> None:
        """Who may push somewhere else cannot add to what a repository's manifests are referred to by."""
        alice, bob = login(basic, "alice"), login(basic, "bob")
        image = Image("signed")
        alice.push_image("alice/signed", "1", image)
        bob.push_blob("bob/sig", b"{}")
        bob.push("bob/sig", "1", artifact("evil", image.manifest), OCI_MANIFEST)
        found = alice.call("GET", f"/v2/alice/signed/referrers/{image.digest}")
        assert found.json["manifests"] == []

    def test_no_tokens(self, basic: Serving) -> None:
        assert login(basic, "alice").call("GET", "/token").status == 404


class TestToken:
    def test_life(self, token: Serving, authority: Authority) -> None:
        tls = authority.context()
        alice, bob = Tokens(token, tls, "alice"), Tokens(token, tls, "bob")
        assert alice.call("GET", "/v2/").status == 200
        granted = alice.token("repository:alice/app:pull,push")
        api = Api(token.address, token=granted, tls=tls)
        image = Image("alice's")
        api.push_image("alice/app", "1", image)
        assert alice.call("GET", "/v2/alice/app/manifests/1").body == image.manifest
        assert bob.call("GET", "/v2/alice/app/manifests/1").status == 401
        listed = alice.call("GET", "/v2/_catalog").json["repositories"]
        assert "alice/app" in listed
        listed = bob.call("GET", "/v2/_catalog").json["repositories"]
        assert "alice/app" not in listed
        assert api.call("GET", "/v2/alice/other/manifests/1").status == 401

    def test_a_token_lets_do_no_more_than_it_says(
        self, token: Serving, authority: Authority
    ) -> None:
        tls = authority.context()
        pull = Tokens(token, tls, "alice").token("repository:alice/app:pull")
        refused = Api(token.address, token=pull, tls=tls).call(
            "POST", "/v2/alice/app/blobs/uploads/"
        )
        assert refused.status == 401
        challenge = refused.header("WWW-Authenticate")
        assert 'scope="repository:docker.io/alice/app:pull,push"' in challenge
        assert 'error="insufficient_scope"' in challenge

    def test_anonymous(self, token: Serving, authority: Authority) -> None:
        tls = authority.context()
        image = Image("open")
        scope = "repository:open/app:pull,push"
        root = Api(token.address, token=Tokens(token, tls, "root").token(scope), tls=tls)
        root.push_image("open/app", "1", image)
        nobody = Tokens(token, tls)
        assert nobody.call("GET", "/v2/open/app/manifests/1").body == image.manifest
        assert nobody.call("GET", "/v2/").status == 200
        assert nobody.call("POST", "/v2/open/app/blobs/uploads/").status == 401
        assert nobody.call("GET", "/v2/shared/app/manifests/1").status == 401

    def test_oauth(self, token: Serving, authority: Authority) -> None:
        """POST with a form, as containerd asks."""
        api = Api(token.address, tls=authority.context())
        form = {
            "grant_type": "password",
            "username": "alice",
            "password": USERS["alice"],
            "scope": "repository:alice/app:pull",
        }

        def ask(**changed: str) -> Answer:
            body = urlencode({**form, **changed}).encode()
            kind = "application/x-www-form-urlencoded"
            return api.call("POST", "/token", body, Content_Type=kind)

        assert ask().status == 200
        assert ask(password="wrong").status == 401
        assert ask(grant_type="refresh_token").status == 400

    def test_wrong(self, token: Serving, authority: Authority) -> None:
        tls = authority.context()
        for answer in (
            Api(token.address, user="alice:wrong", tls=tls).call("GET", "/token"),
            Api(token.address, token="no.token.at-all", tls=tls).call("GET", "/v2/"),
            Api(token.address, user="alice:a-word", tls=tls).call("GET", "/v2/"),
        ):
            assert (answer.status, answer.code) == (401, "UNAUTHORIZED")

    def test_tls_alone(self, token: Serving, authority: Authority) -> None:
        with pytest.raises(ssl.SSLCertVerificationError):
            Api(token.address, tls=ssl.create_default_context()).call("GET", "/v2/")
        plain = Api(token.address)
        with pytest.raises(OSError):  # noqa: PT011  hung up on, or not HTTP
            assert plain.call("GET", "/v2/").status == 400
            raise OSError("answered with 400")


def test_logs_have_no_secrets(basic: Serving, token: Serving, authority: Authority) -> None:
    login(basic, "alice").call("GET", "/v2/")
    Tokens(token, authority.context(), "alice").call("GET", "/v2/")
    for serving in (basic, token):
        log = serving.log.read_text()
        assert '"user": "alice"' in log
        assert not any(word in log for word in USERS.values())
        assert not re.search(r"Basic |Bearer ", log)


def test_a_user_that_is_added(tmp_path: Path) -> None:
    """The file is read again at the next reconciliation."""
    file = tmp_path / "users"
    write_htpasswd(file, alice="a-word")
    with Serving(authentication="basic", htpasswd=str(file)) as own:
        assert login(own, "bob").call("GET", "/v2/").status == 401
        write_htpasswd(file, **USERS)
        own.reconcile()
        assert login(own, "bob").call("GET", "/v2/").status == 200


class TestStrangers:
    """What those without a login can do to those with one."""

    def test_a_host_that_is_none_is_not_told_again(
        self, token: Serving, authority: Authority
    ) -> None:
        api = Api(token.address, tls=authority.context())
        for host in ('x",realm="evil', "x/y", "a b", "x\\"):
            answer = api.call("GET", "/v2/", Host=host)
            assert answer.status == 400
            assert "WWW-Authenticate" not in answer.headers
        for host in ("registry.example", "registry.example:5000", "[::1]:5000"):
            challenge = api.call("GET", "/v2/", Host=host).header("WWW-Authenticate")
            assert f'realm="https://{host}/token"' in challenge

    def test_wrong_passwords_do_not_lock_others_out(self, users: str) -> None:
        with Serving(authentication="basic", htpasswd=users) as own:
            assert login(own, "alice").call("GET", "/v2/").status == 200
            wrong = [Api(own.address, user=f"bob:{n}").call("GET", "/v2/") for n in range(14)]
            assert {answer.status for answer in wrong[:10]} == {401}
            assert (wrong[-1].status, wrong[-1].code) == (429, "TOOMANYREQUESTS")
            assert int(wrong[-1].header("Retry-After")) > 0
            # Who was right lately is known; who comes from elsewhere has attempts of their own.
            assert login(own, "alice").call("GET", "/v2/").status == 200
            elsewhere = http.client.HTTPConnection(
                own.address, timeout=20, source_address=("127.0.0.2", 0)
            )
            secret = base64.b64encode(f"root:{USERS['root']}".encode()).decode()
            elsewhere.request("GET", "/v2/", headers={"Authorization": f"Basic {secret}"})
            assert elsewhere.getresponse().status == 200
            elsewhere.close()

    def test_slow_bodies_are_given_up(self, users: str) -> None:
        """A byte now and then, for a token that needs no login."""
        keys = {"stall_seconds": "1", "max_connections_per_address": "8"}
        with Serving(authentication="token", htpasswd=users, **keys) as own:
            slow = [socket.create_connection(("127.0.0.1", own.port)) for _ in range(8)]
            for client in slow:
                client.sendall(b"POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n")
            # No more connections of this address, but of others.
            with pytest.raises(OSError):  # noqa: PT011  however it is hung up on
                own.api.call("GET", "/v2/")
            elsewhere = http.client.HTTPConnection(
                own.address, timeout=20, source_address=("127.0.0.2", 0)
            )
            elsewhere.request("GET", "/token")
            assert elsewhere.getresponse().status == 200
            elsewhere.close()
            for client in slow:
                client.settimeout(0.2)
                assert _dripping(client) == b""
                client.close()
            assert own.api.call("GET", "/token").status == 200

    def test_a_large_form_is_refused(self, token: Serving, authority: Authority) -> None:
        api = Api(token.address, tls=authority.context())
        assert api.call("POST", "/token", b"x=" + b"y" * (65 << 10)).status == 413
        assert api.call("POST", "/token", b"a=b&" * 200).status == 400
        assert api.call("POST", "/token", b"\xff").status == 400

    def test_nobody_learns_of_rights_where_nothing_is_deleted(self, users: str) -> None:
        with Serving(authentication="basic", htpasswd=users, deletion="false") as own:
            for path in ("/v2/a/b/manifests/1", f"/v2/a/b/blobs/sha256:{'0' * 64}"):
                answer = own.api.call("DELETE", path)
                assert (answer.status, answer.code) == (405, "UNSUPPORTED")


def _dripping(client: socket.socket) -> bytes:
    """Send a byte whenever nothing comes, until the other side ends; return what came."""
    for _ in range(100):
        try:
            return client.recv(1000)
        except TimeoutError:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                client.send(b"x")
        except ConnectionResetError:
            return b""
    raise AssertionError("it was never given up")
