"""The index of verbs: their words, where they are, and what they do. Read without importing any of them.

To add a verb: a line in COMMANDS, and a `Verb` with the same path in `VERBS` of the named module.
"""

from __future__ import annotations

# Words: (module in scow.cli.verbs, summary).
COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("run", "Create and run a new container from an image"),
    "exec": ("exec", "Execute a command in a running container"),
    "ps": ("ps", "List containers"),
    "pull": ("pull", "Download an image from a registry"),
    "images": ("images", "List images"),
    "version": ("system", "Show the scow version information"),
    "info": ("system", "Display system-wide information"),
    "attach": (
        "attach",
        "Attach local standard input, output, and error streams to a running container",
    ),
    "commit": ("capture", "Create a new image from a container's changes"),
    "create": ("run", "Create a new container"),
    "export": ("capture", "Export a container's filesystem as a tar archive"),
    "import": (
        "importing",
        "Import the contents from a tarball to create a filesystem image",
    ),
    "inspect": ("inspect", "Return low-level information on scow objects"),
    "kill": ("lifecycle", "Kill one or more running containers"),
    "load": ("archives", "Load an image from a tar archive or STDIN"),
    "login": ("login", "Authenticate to a registry"),
    "logout": ("login", "Log out from a registry"),
    "logs": ("logs", "Fetch the logs of a container"),
    "pause": ("lifecycle", "Pause all processes within one or more containers"),
    "push": ("push", "Upload an image to a registry"),
    "restart": ("lifecycle", "Restart one or more containers"),
    "rm": ("lifecycle", "Remove one or more containers"),
    "rmi": ("images_change", "Remove one or more images"),
    "save": (
        "archives",
        "Save one or more images to a tar archive (streamed to STDOUT by default)",
    ),
    "search": ("search", "Search Docker Hub or a registry for images"),
    "start": ("start", "Start one or more stopped containers"),
    "stop": ("lifecycle", "Stop one or more running containers"),
    "tag": ("images_change", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
    "unpause": ("lifecycle", "Unpause all processes within one or more containers"),
    "wait": (
        "lifecycle",
        "Block until one or more containers stop, then print their exit codes",
    ),
    "history": ("history", "Show the history of an image"),
    "container prune": ("prune", "Remove all stopped containers"),
    "image gc": (
        "image_store",
        "Delete what nothing holds, and unused images when the disk is too full (scow's own)",
    ),
    "image pin": ("image_store", "Keep images from being collected and pruned (scow's own)"),
    "image prune": ("prune", "Remove unused images"),
    "image unpin": ("image_store", "Let pinned images be collected again (scow's own)"),
    "system check": ("check", "Check images and repair what is damaged (scow's own)"),
    "system df": ("disk_usage", "Show scow disk usage"),
    "system prune": ("prune", "Remove unused data"),
    "volume prune": ("prune", "Remove unused local volumes"),
    "container inspect": (
        "inspect",
        "Display detailed information on one or more containers",
    ),
    "image inspect": ("inspect", "Display detailed information on one or more images"),
    "manifest annotate": (
        "manifest",
        "Add additional information to a local image manifest",
    ),
    "manifest create": (
        "manifest",
        "Create a local manifest list for annotating and pushing to a registry",
    ),
    "manifest inspect": ("manifest", "Display an image manifest, or manifest list"),
    "manifest push": ("manifest", "Push a manifest list to a repository"),
    "manifest rm": ("manifest", "Delete one or more manifest lists from local storage"),
    "network inspect": (
        "network",
        "Display detailed information on one or more networks",
    ),
    "network ls": ("network", "List networks"),
    "volume create": ("volume_change", "Create a volume"),
    "volume inspect": (
        "volume",
        "Display detailed information on one or more volumes",
    ),
    "volume ls": ("volume", "List volumes"),
    "volume rm": ("volume_change", "Remove one or more volumes"),
}

GROUPS: dict[str, str] = {
    "container": "Manage containers",
    "image": "Manage images",
    "manifest": "Manage image manifests and manifest lists",
    "network": "Manage networks",
    "system": "Manage scow",
    "volume": "Manage volumes",
}

# Further words for a command. The first alias of a group is its name in that group's help.
ALIASES: dict[str, str] = {
    **{
        f"container {verb}": verb
        for verb in (
            "attach",
            "commit",
            "create",
            "exec",
            "export",
            "kill",
            "logs",
            "pause",
            "restart",
            "rm",
            "run",
            "start",
            "stop",
            "unpause",
            "wait",
        )
    },
    "container ls": "ps",
    "container list": "ps",
    "container ps": "ps",
    "container remove": "rm",
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
    "system info": "info",
    "volume list": "volume ls",
    "volume remove": "volume rm",
}

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
    """Return (word, summary) of a group's commands, each command once, by name."""
    found: dict[str, str] = {}
    for words in (*ALIASES, *COMMANDS):
        first, _, rest = words.partition(" ")
        command = ALIASES.get(words, words)
        if first == group and rest and command not in found.values():
            found[rest] = command
    return sorted((word, COMMANDS[command][1]) for word, command in found.items())
