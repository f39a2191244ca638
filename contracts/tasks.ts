/** The event loop. No state. */

/** Resolves when what was sent so far has gone out: an isolate's requests leave between two tasks. */
export function nextTask(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
