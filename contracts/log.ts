/** A log line: one JSON object. Never a prompt, an answer, a token, a key, SQL or a vendor's text. */
export type Log = (line: { service: string; request_id?: string | undefined; [field: string]: unknown }) => void;
