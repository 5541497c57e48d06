"""The container service: the life of containers.

creation   intent, snapshot and volumes      -> CREATED
starting   bundle, shim, network, execution  -> RUNNING
signalling stop, kill, pause, unpause        <-> PAUSED
ending     the shim's exit record            -> EXITED
removal    all of it given back              -> gone
recovery   after a crash: whatever state the records and the kernel are in, back to one of these
"""
