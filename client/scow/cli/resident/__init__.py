"""The resident command server: why `scow ps` takes about as long as the interpreter's start.

Most of a command's time is imports. A server of the user's own has them done, and forks a process for each command:

| module | what |
|---|---|
| `caller` | what a user starts: hands over descriptors and environment, passes on signals, ends as the command ended |
| `server` | loads the program, keeps processes waiting for commands, tells callers of commands that a signal ended |
| `spare` | such a process: takes a command from its caller and runs it |
| `surroundings` | what a process has from its parent, and how a forked process takes on a caller's |
| `program` | the modules that are loaded in advance, and whether their files changed |
| `launcher` | writes the quick `scow` script |

Nothing depends on the server: whatever is in its way, the caller runs the command itself, as with SCOW_RESIDENT=0. The
protocol is at the top of `caller`. The idea is that of Mercurial's chg.
"""
