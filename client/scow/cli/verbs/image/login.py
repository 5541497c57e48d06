"""`login` and `logout`."""

from __future__ import annotations

import sys

from scow.cli.flags.parser import Flag, Options, Refused, UsageError, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context
    from scow.client.credentials import Credentials, CredentialStore


def _login(options: Options, context: Context) -> int:
    if options.password and options.password_stdin:
        raise UsageError("--password and --password-stdin are mutually exclusive", 1)
    if options.password_stdin and not options.username:
        raise UsageError("Must provide --username with --password-stdin", 1)
    if options.password:
        context.warn("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
    from scow.client.credentials import CredentialStore, server_name

    server = server_name(options.args[0] if options.args else "")
    store = CredentialStore()
    credentials = _asked(options, context, store, server)
    token = context.client.images.login(
        server,
        username=credentials.username,
        password=credentials.password,
        token=credentials.token,
    )
    if token:
        credentials = credentials._replace(password="", token=token)
    plain = store.put(server, credentials)
    if plain and not token:
        context.warn(f"WARNING! Your password is stored unencrypted in {plain}.")
        context.warn("Configure a credential helper there to keep it elsewhere.")
    context.out("Login Succeeded")
    return 0


def _asked(options: Options, context: Context, store: CredentialStore, server: str) -> Credentials:
    """Return what the flags, the store or the user say."""
    from scow.client.credentials import Credentials

    if options.password_stdin:
        return Credentials(options.username, sys.stdin.read().rstrip("\r\n"))
    if options.username and options.password:
        return Credentials(options.username, options.password)
    known = store.get(server)
    if known is not None and not options.username and not options.password:
        context.warn("Authenticating with existing credentials...")
        return known
    if not sys.stdin.isatty():
        raise Refused("Cannot perform an interactive login from a non TTY device")
    import getpass

    username = options.username or _prompt_name(known)
    password = options.password or getpass.getpass("Password: ")
    if not username or not password:
        raise Refused("username and password are required")
    return Credentials(username, password)


def _prompt_name(known: Credentials | None) -> str:
    default = known.username if known is not None else ""
    return input(f"Username ({default}): " if default else "Username: ").strip() or default


def _logout(options: Options, context: Context) -> int:
    from scow.client.credentials import CredentialStore, server_name

    server = server_name(options.args[0] if options.args else "")
    if CredentialStore().erase(server):
        context.out(f"Removing login credentials for {server}")
    else:
        context.out(f"Not logged in to {server}")
    return 0


VERBS = (
    Verb(
        "login",
        "[OPTIONS] [SERVER]",
        "Authenticate to a registry",
        _login,
        flags=(
            Flag("password", "p", "string", "Password or personal access token"),
            Flag("password-stdin", help="Take the password from stdin"),
            Flag("username", "u", "string", "Username"),
        ),
        most=1,
        reads_input=lambda options: not options.password,
    ),
    Verb("logout", "[SERVER]", "Log out from a registry", _logout, most=1),
)
