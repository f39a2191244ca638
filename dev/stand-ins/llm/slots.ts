/** So many completions at once, the others in the order in which they came. State: who is served and who waits. */
export type TakeSlot = (signal: AbortSignal) => Promise<() => void>;

export function createSlots(count: number): TakeSlot {
  let free = count;
  const waiting: (() => void)[] = [];
  return async function takeSlot(signal) {
    // One that has left while it waited is passed over by its own release.
    if (free > 0) free -= 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    let isHeld = true;
    const release = (): void => {
      if (!isHeld) return;
      isHeld = false;
      const next = waiting.shift();
      if (next === undefined) free += 1;
      else next();
    };
    if (signal.aborted) {
      release();
      signal.throwIfAborted();
    }
    return release;
  };
}
