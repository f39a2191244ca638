/**
 * A turn's stream as its object sends it, read event by event and written in another form. State: what is read, as long as its reader reads.
 * Nothing is read ahead; who leaves ends the object's stream, and never the turn. A stream that stops before the turn's end is told as cut.
 */
import { createEventDecoder, isTerminal, KEEP_ALIVE_FRAME, type NumberedEvent } from "../../../contracts/events.ts";

export interface TurnWriter {
  /** The frames of these events; empty for what this form does not tell. */
  events(events: NumberedEvent[]): string;
  /** In place of an end that never came. */
  cut(): string;
}

/** The events of the stream, in the pieces in which they come; a piece without any is a sign of life. */
export async function* turnEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<NumberedEvent[]> {
  const decoder = createEventDecoder();
  const utf8 = new TextDecoder();
  for await (const bytes of body) yield decoder.push(utf8.decode(bytes, { stream: true }));
}

export function rewriteTurn(body: ReadableStream<Uint8Array>, writer: TurnWriter): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  const pieces = turnEvents(body);
  let ended = false;
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        // The object's stream breaks with an error, or simply ends.
        const next = await pieces.next().catch(() => ({ done: true as const, value: undefined }));
        if (next.done) {
          if (!ended) controller.enqueue(encoder.encode(writer.cut()));
          controller.close();
          return;
        }
        ended ||= next.value.some(isTerminal);
        const text = writer.events(next.value);
        controller.enqueue(encoder.encode(text === "" ? KEEP_ALIVE_FRAME : text));
      },
      async cancel() {
        await pieces.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
