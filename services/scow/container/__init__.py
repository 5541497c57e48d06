"""The container service: the life of containers.

rpc, wiring (`__main__`, `shared`)    the wire shell and how the parts are put together
model/       records, states, names, files, and what a valid configuration is
lifecycle/   create, start, kill, exit, remove, clean up, recover
spec/        the OCI runtime configuration that a start makes of a record
streams/     attached sessions and exec sessions;  logs/: what was written
content/     commit and export;  query/: lists, inspect, wait
runtime/     the spawner and the shims;  peers/: the other services
"""
