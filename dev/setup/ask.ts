/** A question on the terminal. No state. What is typed as a secret is not echoed. */
import { createInterface } from "node:readline/promises";
import { Writable } from "node:stream";

export interface Question {
  name: string;
  isSecret: boolean;
  /** There is one already, which an empty answer keeps. */
  hasValue: boolean;
}

export type Ask = (question: Question) => Promise<string>;

export const askOnTerminal: Ask = async ({ name, isSecret, hasValue }) => {
  process.stdout.write(`${name}${hasValue ? " (Enter: as it is)" : " (Enter: none)"}: `);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const line = createInterface({ input: process.stdin, output: isSecret ? silent : process.stdout, terminal: true });
  line.once("SIGINT", () => process.exit(130));
  try {
    return await line.question("");
  } finally {
    line.close();
    if (isSecret) process.stdout.write("\n");
  }
};
