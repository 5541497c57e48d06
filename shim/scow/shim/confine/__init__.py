"""What a process may do: capabilities, seccomp, limits, users, sysctls."""
