"""The index of verbs: their words, where they are, and what they do. Read without importing any of them.

To add a verb: a line in COMMANDS, and a `Verb` with the same path in `VERBS` of the named module.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

# Words: (module in scow.cli.verbs, summary).
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("container.run", "Create and run a new container from an image"),
    "exec": ("container.exec", "Execute a command in a running container"),
    "ps": ("container.ps", "List containers"),
    "pull": ("image.pull", "Download an image from a registry"),
    "images": ("image.list", "List images"),
    "version": ("system.system", "Show the scow version information"),
    "info": ("system.system", "Display system-wide information"),
    "attach": (
        "container.attach",
        "Attach local standard input, output, and error streams to a running container",
    ),
    "commit": ("container.capture", "Create a new image from a container's changes"),
    "cp": (
        "container.cp",
        "Copy files/folders between a container and the local filesystem",
    ),
    "create": ("container.run", "Create a new container"),
    "diff": (
        "container.diff",
        "Inspect changes to files or directories on a container's filesystem",
    ),
    "events": ("system.events", "Get real time events from the server"),
    "export": ("container.capture", "Export a container's filesystem as a tar archive"),
    "import": (
        "image.tar_import",
        "Import the contents from a tarball to create a filesystem image",
    ),
    "inspect": ("system.inspect", "Return low-level information on scow objects"),
    "kill": ("container.lifecycle", "Kill one or more running containers"),
    "load": ("image.archives", "Load an image from a tar archive or STDIN"),
    "login": ("image.login", "Authenticate to a registry"),
    "logout": ("image.login", "Log out from a registry"),
    "logs": ("container.logs", "Fetch the logs of a container"),
    "pause": ("container.lifecycle", "Pause all processes within one or more containers"),
    "push": ("image.push", "Upload an image to a registry"),
    "rename": ("container.lifecycle", "Rename a container"),
    "restart": ("container.lifecycle", "Restart one or more containers"),
    "rm": ("container.lifecycle", "Remove one or more containers"),
    "rmi": ("image.change", "Remove one or more images"),
    "save": (
        "image.archives",
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
    ),
    "search": ("image.search", "Search Docker Hub or a registry for images"),
    "start": ("container.start", "Start one or more stopped containers"),
    "stats": (
        "container.stats",
        "Display a live stream of container(s) resource usage statistics",
    ),
    "update": ("container.update", "Update configuration of one or more containers"),
    "stop": ("container.lifecycle", "Stop one or more running containers"),
    "tag": ("image.change", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
    "top": ("container.top", "Display the running processes of a container"),
    "unpause": ("container.lifecycle", "Unpause all processes within one or more containers"),
    "why": ("container.why", "Tell why a container ended (scow's own)"),
    "wait": (
        "container.lifecycle",
        "Block until one or more containers stop, then print their exit codes",
    ),
    "build": ("build.build", "Build an image from a Dockerfile"),
    "builder du": ("build.cache", "Disk usage of the build cache"),
    "builder prune": ("build.cache", "Remove build cache"),
    "builds graph": (
        "build.history",
        "Draw the steps of a build, with times and what came from the cache (SVG)",
    ),
    "builds inspect": ("build.history", "Show a build and its steps as JSON"),
    "builds logs": ("build.history", "Show the output of a build, and follow one that runs"),
    "builds ls": ("build.history", "List builds"),
    "builds rm": ("build.history", "Remove builds from the history"),
    "builds stop": ("build.history", "Stop running builds"),
    "execs inspect": (
        "container.execs",
        "Display detailed information on one or more exec sessions",
    ),
    "execs kill": ("container.execs", "Send a signal to the processes of exec sessions"),
    "execs ls": ("container.execs", "List exec sessions, of one container or of all"),
    "execs rm": ("container.execs", "Forget exec sessions that have ended"),
    "history": ("image.history", "Show the history of an image"),
    "container prune": ("system.prune", "Remove all stopped containers"),
    "image gc": (
        "image.store",
        "Delete what nothing holds, and unused images when the disk is too full (scow's own)",
    ),
    "image pin": ("image.store", "Keep images from being collected and pruned (scow's own)"),
    "image prune": ("system.prune", "Remove unused images"),
    "image unpin": ("image.store", "Let pinned images be collected again (scow's own)"),
    "system check": ("system.check", "Check images and repair what is damaged (scow's own)"),
    "system df": ("system.disk_usage", "Show scow disk usage"),
    "system prune": ("system.prune", "Remove unused data"),
    "volume prune": ("system.prune", "Remove unused local volumes"),
    "container inspect": (
        "system.inspect",
        "Display detailed information on one or more containers",
    ),
    "image inspect": ("system.inspect", "Display detailed information on one or more images"),
    "manifest annotate": (
        "image.manifest",
        "Add additional information to a local image manifest",
    ),
    "manifest create": (
        "image.manifest",
        "Create a local manifest list for annotating and pushing to a registry",
    ),
    "manifest inspect": ("image.manifest", "Display an image manifest, or manifest list"),
    "manifest push": ("image.manifest", "Push a manifest list to a repository"),
    "manifest rm": ("image.manifest", "Delete one or more manifest lists from local storage"),
    "network cni add": (
        "network.cni",
        "Attach the namespace at a path to a CNI configuration's network; print the result (scow's own)",
    ),
    "network cni check": (
        "network.cni",
        "Have plugins compare an attachment with what they made (scow's own)",
    ),
    "network cni del": ("network.cni", "Take back what was attached (scow's own)"),
    "network cni gc": (
        "network.cni",
        "Take back what was attached of namespaces that are gone; print whose they were (scow's own)",
    ),
    "network cni status": (
        "network.cni",
        "Ask plugins whether they can attach containers (scow's own)",
    ),
    "network connect": ("network.change", "Connect a container to a network"),
    "network create": ("network.change", "Create a network"),
    "network disconnect": ("network.change", "Disconnect a container from a network"),
    "network exposure": ("network.view", "List what is reachable, and by whom (scow's own)"),
    "network graph": (
        "network.view",
        "Print networks, containers, addresses and ports as a picture (scow's own)",
    ),
    "network inspect": (
        "network.network",
        "Display detailed information on one or more networks",
    ),
    "network limit": (
        "network.view",
        "Change the bandwidth that a container has in a network, also while it runs (scow's own)",
    ),
    "network ls": ("network.network", "List networks"),
    "network policy rm": ("network.policy", "Let containers reach everything again"),
    "network policy set": (
        "network.policy",
        "Say what a container may reach: an address, a block, dns:NAME, dns:*.NAME or all",
    ),
    "network policy show": (
        "network.policy",
        "Show what a container may reach, and what was counted",
    ),
    "network prune": ("system.prune", "Remove all unused networks"),
    "network rm": ("network.change", "Remove one or more networks"),
    "plugin disable": ("system.plugins", "Disable a plugin"),
    "plugin enable": ("system.plugins", "Enable a plugin"),
    "plugin inspect": (
        "system.plugins",
        "Display detailed information on one or more plugins",
    ),
    "plugin ls": ("system.plugins", "List plugins"),
    "volume backup": (
        "volume.backups",
        "Send a volume or a snapshot to a registry (scow's own)",
    ),
    "volume restore": (
        "volume.backups",
        "Make a volume of a backup at a registry (scow's own)",
    ),
    "volume backups ls": ("volume.backups", "List the backups of a repository (scow's own)"),
    "volume backups prune": (
        "volume.backups",
        "Delete old backups of a repository (scow's own)",
    ),
    "volume clone": (
        "volume.snapshots",
        "Make a volume with the content of another one, or of a snapshot (scow's own)",
    ),
    "volume export": (
        "volume.archives",
        "Export what a volume or a snapshot has as a tar archive (scow's own)",
    ),
    "volume import": ("volume.archives", "Make a volume of a tar archive (scow's own)"),
    "volume snapshot create": ("volume.snapshots", "Copy what a volume has now"),
    "volume snapshot ls": ("volume.snapshots", "List snapshots"),
    "volume snapshot restore": (
        "volume.snapshots",
        "Give a volume the content of a snapshot",
    ),
    "volume snapshot rm": ("volume.snapshots", "Remove one or more snapshots"),
    "secret create": ("system.secret", "Create a secret from a file or STDIN as content"),
    "secret inspect": ("system.secret", "Display detailed information on one or more secrets"),
    "secret ls": ("system.secret", "List secrets"),
    "secret rm": ("system.secret", "Remove one or more secrets"),
    "port": ("network.port", "List port mappings or a specific mapping for the container"),
    "port add": (
        "network.port",
        "Publish further ports of a container, also while it runs (scow's own)",
    ),
    "port rm": (
        "network.port",
        "Take published ports of a container back, also while it runs (scow's own)",
    ),
    "volume attach": ("volume.attach", "Give a container one more mount"),
    "volume detach": ("volume.attach", "Take mounts of a container away"),
    "volume create": ("volume.change", "Create a volume"),
    "volume inspect": (
        "volume.volume",
        "Display detailed information on one or more volumes",
    ),
    "volume ls": ("volume.volume", "List volumes"),
    "volume rm": ("volume.change", "Remove one or more volumes"),
    "volume update": ("volume.change", "Change labels and limits of volumes"),
}

GROUPS: dict[str, str] = {
    "builder": "Manage builds and the build cache",
    "builds": "Manage the history of builds (scow's own)",
    "container": "Manage containers",
    "execs": "Manage exec sessions (scow's own)",
    "image": "Manage images",
    "manifest": "Manage image manifests and manifest lists",
    "network": "Manage networks",
    "network cni": "Attach namespaces of other programs by CNI (scow's own)",
    "network policy": "Manage what containers may reach (scow's own)",
    "plugin": "Manage plugins",
    "secret": "Manage secrets",
    "system": "Manage scow",
    "volume": "Manage volumes",
    "volume backups": "Manage backups at a registry (scow's own)",
    "volume snapshot": "Manage snapshots of volumes (scow's own)",
}

# Further words for a command. The first alias of a group is its name in that group's help.
ALIASES: dict[str, str] = {
    **{
        f"container {verb}": verb
        for verb in (
            "attach",
            "commit",
            "cp",
            "create",
            "diff",
            "exec",
            "export",
            "kill",
            "logs",
            "pause",
            "port",
            "rename",
            "restart",
            "rm",
            "run",
            "start",
            "stats",
            "stop",
            "top",
            "unpause",
            "update",
            "wait",
        )
    },
    "builder build": "build",
    "builds list": "builds ls",
    "execs list": "execs ls",
    "container ls": "ps",
    "container list": "ps",
    "container ps": "ps",
    "container remove": "rm",
    "image build": "build",
    "image check": "system check",
    "image history": "history",
    "image import": "import",
    "image load": "load",
    "image ls": "images",
    "image list": "images",
    "image pull": "pull",
    "image push": "push",
    "image rm": "rmi",
    "image save": "save",
    "image remove": "rmi",
    "image tag": "tag",
    "network list": "network ls",
    "network remove": "network rm",
    "plugin list": "plugin ls",
    "system events": "events",
    "secret list": "secret ls",
    "secret remove": "secret rm",
    "system info": "info",
    "volume list": "volume ls",
    "volume remove": "volume rm",
    "volume backups list": "volume backups ls",
    "volume snapshot list": "volume snapshot ls",
    "volume snapshot remove": "volume snapshot rm",
}

# Docker's commands that are not here: what is next to them in the alphabet means something else.
DOCKERS_OWN = (
    *(
        "buildx",
        "compose",
        "config",
        "context",
    ),
    *(
        "node",
        "service",
        "stack",
        "swarm",
        "trust",
    ),
)

# Shown first in `scow --help`.
COMMON = ("run", "exec", "ps", "pull", "images", "version", "info")


def resolve(words: str) -> str | None:
    """Return the command that words stand for, or None."""
    command = ALIASES.get(words, words)
    return command if command in COMMANDS else None


def aliases(command: str) -> list[str]:
    """Return all words that stand for a command, the longer ones first."""
    return [*(words for words, other in ALIASES.items() if other == command), command]


def members(group: str) -> list[tuple[str, str]]:
    """Return (word, summary) of a group's commands and groups, each command once, by name."""
    found: dict[str, str] = {}
    for words in (*ALIASES, *COMMANDS, *GROUPS):
        first, _, rest = words.rpartition(" ")
        command = ALIASES.get(words, words)
        if first == group and command not in found.values():
            found[rest] = command
    summaries = {**GROUPS, **{command: summary for command, (_, summary) in COMMANDS.items()}}
    return sorted((word, summaries[command]) for word, command in found.items())


def group_of(args: Sequence[str]) -> tuple[str, int]:
    """Return the innermost group that a command line begins with, and of how many words it is; "" and 0 for none."""
    count = 0
    while " ".join(args[: count + 1]) in GROUPS and count < len(args):
        count += 1
    return " ".join(args[:count]), count
