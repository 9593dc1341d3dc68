"""Where the heavy calls of a stage run: in this process, in processes beside it, or on a Dask cluster.

A stage keeps its units of work, their cache, its journal and its progress in one process, and goes over them with
`Executor.map`. The heavy inner call of a unit, a module-level function, goes through `Executor.call`; large arguments
are `Shared`, of which no call makes a copy. Results do not depend on the executor, nor on the number of workers.

- `executor`: what a stage sees. `catalogue`: opens the operator's choice.
- `local`: threads, and processes for what holds Python's lock.
- `dask_cluster`: the workers of a running Dask cluster.
- `shared`, `stored`: large arguments, and how they reach another process.

Nothing is imported here: the stage protocol is light, and a local step does not load dask.
"""
