/**
 * Canaries: words that occur nowhere else, each planted in one place, and looked for in every other. State: the words of one test.
 * A word is found as it is and in base64, wherever in the encoded text it begins.
 */
import { randomBytes } from "node:crypto";

/**
 * `secret`: a setting of the deployment. `credential`: what lets a user in. `private`: what a user said. `shared`: said where the cache may
 * keep it for everyone. `tool`: what a tool was given. `name`: who a user is. `wire`: sent where it means nothing.
 */
export type Kind = "secret" | "credential" | "private" | "shared" | "tool" | "name" | "wire";

interface Canary {
  kind: Kind;
  /** Where it was planted. */
  where: string;
  word: string;
  forms: string[];
}

export class Canaries {
  readonly #all: Canary[] = [];

  /** A new word of letters and digits, long enough for a key. */
  plant(kind: Kind, where: string): string {
    const word = `cnry${randomBytes(16).toString("hex")}`;
    this.keep(kind, where, word);
    return word;
  }

  /** A word that somebody else has made: a key, a token. */
  keep(kind: Kind, where: string, word: string): void {
    this.#all.push({ kind, where, word, forms: [word, ...[0, 1, 2].map((shift) => inBase64(word, shift))] });
  }

  wordsOf(...kinds: Kind[]): string[] {
    return this.#all.filter(({ kind }) => kinds.includes(kind)).map(({ word }) => word);
  }

  /** Where the words that a text holds were planted; of some kinds only, if any are named. */
  find(text: string, ...kinds: Kind[]): string[] {
    const sought = kinds.length === 0 ? this.#all : this.#all.filter(({ kind }) => kinds.includes(kind));
    return sought
      .filter(({ forms }) => forms.some((form) => text.includes(form)))
      .map(({ kind, where }) => `${kind}: ${where}`);
  }

  get size(): number {
    return this.#all.length;
  }
}

/** What of it does not depend on its neighbours, when it begins so many bytes behind a group of three. */
function inBase64(word: string, shift: number): string {
  const encoded = Buffer.from("x".repeat(shift) + word)
    .toString("base64")
    .replaceAll("=", "");
  return encoded.slice(shift === 0 ? 0 : shift + 1, -3);
}
