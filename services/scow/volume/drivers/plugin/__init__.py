"""Volume plugins: programs that keep volumes, by Docker's protocol over unix sockets.

- `discovery` finds their sockets, which they or their specifications name;
- `protocol` asks them, and believes nothing that they answer;
- `driver` is the driver of the volumes of one plugin.

Source: Docker's documentation, "Docker Engine plugin API" and "Docker volume plugins".
"""
