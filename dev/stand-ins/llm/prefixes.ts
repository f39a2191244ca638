/**
 * How much of each prompt this server has seen before: the longest beginning that some earlier prompt had too, in blocks, as vLLM and
 * OpenAI keep them. State: hashes of the blocks seen, bounded. Prompts with different `cache_salt` share nothing.
 */
import type { CompletionRequest } from "./request.ts";

/** vLLM keeps blocks of 16 tokens. */
const BLOCK_CHARS = 64;
const MAX_BLOCKS = 500_000;

export interface PrefixReuse {
  promptChars: number;
  /** Of these, what was seen before. */
  reusedChars: number;
  /** Of a prompt with a `prompt_cache_key`: what the one before it under this key had, all of which could have been seen before. */
  reusableChars: number;
}

export function createPrefixes(): (request: CompletionRequest) => PrefixReuse {
  const blocks = new Set<string>();
  const lastByKey = new Map<string, number>();
  return (request) => {
    const { cacheKey, cacheSalt, body } = request;
    const prompt = textOf(body);
    let chain = `${cacheSalt ?? ""}\n`;
    let reusedChars = 0;
    let isSeen = true;
    for (let at = 0; at + BLOCK_CHARS <= prompt.length; at += BLOCK_CHARS) {
      chain = hash(chain + prompt.slice(at, at + BLOCK_CHARS));
      isSeen &&= blocks.has(chain);
      if (isSeen) reusedChars += BLOCK_CHARS;
      else blocks.add(chain);
    }
    forgetOldest(blocks);
    const reusableChars = cacheKey === undefined ? 0 : (lastByKey.get(cacheKey) ?? 0);
    if (cacheKey !== undefined) lastByKey.set(cacheKey, prompt.length);
    return { promptChars: prompt.length, reusedChars, reusableChars };
  };
}

/** Tools come first in what a model reads, then the messages in their order. */
function textOf({ tools, messages }: CompletionRequest["body"]): string {
  const list: unknown[] = Array.isArray(messages) ? messages : [];
  return [tools ?? [], ...list].map((part) => JSON.stringify(part)).join("\n");
}

function forgetOldest(blocks: Set<string>): void {
  for (const block of blocks) {
    if (blocks.size <= MAX_BLOCKS) return;
    blocks.delete(block);
  }
}

/** FNV-1a over 2 x 32 bits: no two of a test's blocks meet. */
function hash(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x1b873593;
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x85ebca6b);
  }
  return (a >>> 0).toString(36) + (b >>> 0).toString(36);
}
