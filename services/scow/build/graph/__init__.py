"""Stages and steps of builds: what is needed, side by side, each once.

A *stack* is a list of layers, the state of a stage between two steps. A step makes a layer of a stack, or none, and its
*key* says what of: the stack's layers by their content, and all else that the result depends on. Results are kept by
their keys (`cache`), and a step that several builds need at once is done once (`flights`).

- `build` is one build: its stages, as tasks that wait for each other;
- `run`, `copy` and `workdir` are the steps;
- `layer_tar` writes the tar of a layer.
"""
