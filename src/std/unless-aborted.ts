// Waiting no longer than the caller does: the work goes on for whoever else it serves, and nobody hears its answer.

/** `late` makes the error with which it rejects once `signal` fires, at once where it has fired already. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      reject(late());
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    work.then(resolve, reject).finally(() => {
      signal.removeEventListener("abort", stop);
    });
  });
}
