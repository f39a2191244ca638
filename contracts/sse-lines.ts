/**
 * The `data:` lines of a provider's event stream, from bytes cut anywhere. State lives in the reader: at most one unfinished line.
 * One data line is one frame: no dialect here spreads JSON over lines. Comments and other fields are skipped; a line longer
 * than MAX_LINE_CHARS is refused, so a stream without line ends cannot grow memory.
 */
export const MAX_LINE_CHARS = 1024 * 1024;

export interface DataLineReader {
  /** Calls `take` with each whole payload until it returns false. False: a line is too long. */
  push(bytes: Uint8Array, take: (payload: string) => boolean): boolean;
  /** The stream ended: its last line may lack a line end. */
  end(take: (payload: string) => boolean): boolean;
}

const NEWLINE = "\n";
const CARRIAGE_RETURN = 13;
const SPACE = 32;

export function createDataLineReader(): DataLineReader {
  const decoder = new TextDecoder();
  let rest = "";

  const read = (text: string, take: (payload: string) => boolean): boolean => {
    if (!text.includes(NEWLINE)) {
      rest += text;
      return rest.length <= MAX_LINE_CHARS;
    }
    const all = rest === "" ? text : rest + text;
    let start = 0;
    for (let end = all.indexOf(NEWLINE); end !== -1; end = all.indexOf(NEWLINE, start)) {
      if (end - start > MAX_LINE_CHARS) return false;
      const payload = payloadOf(all, start, end);
      if (payload !== "" && !take(payload)) return true;
      start = end + 1;
    }
    rest = all.slice(start);
    return rest.length <= MAX_LINE_CHARS;
  };

  return {
    push: (bytes, take) => read(decoder.decode(bytes, { stream: true }), take),
    end: (take) => read(decoder.decode() + NEWLINE, take),
  };
}

function payloadOf(text: string, start: number, end: number): string {
  if (!text.startsWith("data:", start)) return "";
  const from = start + (text.charCodeAt(start + 5) === SPACE ? 6 : 5);
  return text.slice(from, text.charCodeAt(end - 1) === CARRIAGE_RETURN ? end - 1 : end);
}
