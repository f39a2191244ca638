/**
 * A session as a file: JSON Lines, which an import takes back, or Markdown to be read. Pure. One piece of text a page of messages, so that
 * a session of any length takes the memory of a page.
 */
import type { MessageView } from "../../../contracts/sessions.ts";
import type { MessageLine, SessionLine } from "../../../contracts/transfer.ts";

/** Pages of messages, oldest first. */
export type MessagePages = AsyncIterable<MessageView[]>;

export const EXPORTERS = { jsonl: toJsonLines, markdown: toMarkdown };

/** The session's line, and one for each message of all branches. */
async function* toJsonLines(session: SessionLine, pages: MessagePages): AsyncGenerator<string> {
  yield toLine(session);
  for await (const messages of pages) {
    yield messages.map((message) => toLine({ type: "message", ...message } satisfies MessageLine)).join("");
  }
}

function toLine(value: SessionLine | MessageLine): string {
  return `${JSON.stringify(value)}\n`;
}

const NAMES = { user: "User", assistant: "Assistant" };

/** The branch that the session goes on from, with a heading a message. What was said is Markdown already. */
async function* toMarkdown(session: SessionLine, pages: MessagePages): AsyncGenerator<string> {
  yield `# ${session.title.replaceAll(/\s+/g, " ").trim() || "Untitled"}\n`;
  for await (const messages of pages) {
    yield messages
      .filter(({ active }) => active)
      .map(toSection)
      .join("");
  }
}

function toSection({ role, status, content, created_at }: MessageView): string {
  const cut = status === "complete" ? "" : `, ${status}`;
  return `\n## ${NAMES[role]} (${created_at}${cut})\n\n${content}\n`;
}
