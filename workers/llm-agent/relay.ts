/**
 * One byte stream from a chunk already read and the rest, which the runtime moves without JavaScript. State lives in the pipe.
 * Nothing here waits: the RPC session keeps the call alive while its reader reads, and one that cancels closes the provider's socket
 * at once (under waitUntil the provider could send up to two chunks more).
 */
export interface Relay {
  readable: ReadableStream<Uint8Array>;
  /** Settles when the pipe is empty or broken; not at all when the runtime drops the call with a caller that vanished. */
  ended: Promise<void>;
}

export function relay(first: Uint8Array, rest: ReadableStream<Uint8Array>): Relay {
  const { readable, writable } = new IdentityTransformStream();
  // The reader sees a broken pipe as an error of its own stream; a rejection here has nobody else to tell.
  return { readable, ended: forward(first, rest, writable).catch(() => undefined) };
}

async function forward(
  first: Uint8Array,
  rest: ReadableStream<Uint8Array>,
  writable: WritableStream<Uint8Array>,
): Promise<void> {
  const writer = writable.getWriter();
  try {
    await writer.write(first);
  } catch (left) {
    await rest.cancel(left);
    return;
  }
  writer.releaseLock();
  await rest.pipeTo(writable);
}
