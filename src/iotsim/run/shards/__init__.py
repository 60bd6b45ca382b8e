"""Several queues of one interface, a process for each, behind the face of one.

`shards` is the face: what a run asks of its crew, asked of workers and put together. `process` is a worker
as seen from the run's process: forked, asked, and waited for. `worker` is the life of such a process,
`handover` its link, which passes on what belongs to another's devices.
"""
