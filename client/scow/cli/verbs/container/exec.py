"""`exec`."""

from __future__ import annotations

from scow.cli.flags.container_flags import DETACH_KEYS, ENV, ENV_FILE
from scow.cli.flags.parser import Flag, Options, Verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from scow.cli.context import Context


def _exec(options: Options, context: Context) -> int:
    from scow.cli.io.attached import require_terminal
    from scow.cli.io.files import variables
    from scow.cli.io.stdio import Stdio

    env = variables(options.env_file, options.env)
    stdin = options.interactive and not options.detach
    if not options.detach:
        require_terminal(options.tty, options.interactive)
    container, *args = options.args
    stdio = Stdio(tty=options.tty, stdin=stdin, detach_keys=options.detach_keys)
    with context.client.containers.open_exec(
        container,
        args,
        env=env,
        working_dir=options.workdir,
        user=options.user,
        tty=options.tty,
        privileged=options.privileged,
        stdin=stdin,
        detach=options.detach,
        window=stdio.window,
    ) as session:
        if options.detach:
            return 0
        with stdio:
            stdio.join(session)
        if stdio.detached:
            return 0
        if session.exit_code is not None:
            return session.exit_code
        ended = context.client.containers.get_exec(container, session.exec_id)
        return ended.exit_code


VERBS = (
    Verb(
        "exec",
        "[OPTIONS] CONTAINER COMMAND [ARG...]",
        "Execute a command in a running container",
        _exec,
        flags=(
            Flag("detach", "d", help="Detached mode: run command in the background"),
            DETACH_KEYS,
            ENV,
            ENV_FILE,
            Flag("interactive", "i", help="Keep STDIN open even if not attached"),
            Flag("privileged", help="Give extended privileges to the command"),
            Flag("tty", "t", help="Allocate a pseudo-TTY"),
            Flag("user", "u", "string", "Username or UID (format: <name|uid>[:<group|gid>])"),
            Flag("workdir", "w", "string", "Working directory inside the container"),
        ),
        least=2,
        interspersed=False,
        reads_input=lambda options: options.interactive and not options.detach,
    ),
)
