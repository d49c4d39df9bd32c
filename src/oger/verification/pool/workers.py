"""The set of worker processes that one pool keeps."""

from collections.abc import Collection, Iterator

from oger.verification.pool.process import Worker
from oger.verification.verdict import VerifierError


class Workers:
    """At most `most` workers in steady state, started one by one; a snapshot of them is what iteration gives."""

    def __init__(self, most: int, memory_limit: int) -> None:
        self.most = most
        self.closed = False
        self.restarts = 0
        """Workers replaced after a fault."""
        self._memory_limit = memory_limit
        self._workers: list[Worker] = []

    def __iter__(self) -> Iterator[Worker]:
        return iter(list(self._workers))

    def __len__(self) -> int:
        return len(self._workers)

    def start(self, kinds: Collection[str]) -> Worker:
        """One more worker, which loads `kinds`; those of earlier calls only once they are asked for again.

        Raises:
            VerifierError: the pool is closed.
        """
        if self.closed:
            raise VerifierError("the verifier pool is closed")
        worker = Worker(kinds, self._memory_limit)
        self._workers.append(worker)
        return worker

    def remove(self, worker: Worker) -> None:
        """Kill a worker."""
        self._workers.remove(worker)
        worker.close()

    def replace(self, worker: Worker, kinds: Collection[str]) -> Worker:
        """Kill a worker after a fault and start another at once."""
        self.remove(worker)
        self.restarts += 1
        return self.start(kinds)

    def drop_the_dead(self) -> None:
        """Let go of what died between two calls (killed for memory by the system, say): no task was in it."""
        for worker in self:
            if not worker.alive:
                self.remove(worker)

    def forget(self) -> None:
        """In a forked child: leave the parent's workers to the parent."""
        for worker in self:
            worker.forget()
        self._workers = []
