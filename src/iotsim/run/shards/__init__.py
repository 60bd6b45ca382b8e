"""Several queues of one interface, a process for each, behind the face of one.

`shards` is the face: what a run asks of its crew, asked of workers and put together. `worker` is the
life of one of these processes, `handover` its link, which passes on what belongs to another's devices.
"""
