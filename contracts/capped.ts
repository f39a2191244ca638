/** What comes from outside, of a bounded size: text cut with a mark, a body that fails above its limit. Pure. */

/** At most so many bytes of UTF-8, cut between characters, with a mark that says so. */
export function capBytes(text: string, maxBytes: number): { text: string; bytes: number } {
  const bytes = new TextEncoder().encode(text);
  if (bytes.length <= maxBytes) return { text, bytes: bytes.length };
  const mark = `\n[truncated: the whole result has ${bytes.length} bytes]`;
  const kept = new TextDecoder().decode(bytes.subarray(0, maxBytes - mark.length), { stream: true });
  return { text: kept + mark, bytes: maxBytes };
}

/** The response with a body that fails above the limit, whatever its headers said. */
export function capBody(response: Response, maxBytes: number): Response {
  const reader: ReadableStreamDefaultReader<Uint8Array> | undefined = response.body?.getReader();
  if (reader === undefined) return response;
  let bytes = 0;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await reader.read();
      if (done) return controller.close();
      bytes += value.byteLength;
      if (bytes <= maxBytes) return controller.enqueue(value);
      await reader.cancel();
      controller.error(new Error("the answer is too large"));
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return new Response(body, response);
}
