/**
 * What a turn will take, as far as it can be told before anything is read: what the account reserves for it. Pure. The truth comes at the turn's end.
 */
import { requestMessages } from "../../../contracts/chat.ts";
import type { Reservation } from "../../../contracts/limits.ts";
import { estimateMessage, estimateSchema, estimateTokens } from "../../../contracts/rounds.ts";
import type { ResolvedChat, StartTurn } from "../../../contracts/session.ts";
import type { SessionDeps } from "./keeper.ts";

/** What a prompt holds besides messages. A guess: the truth comes at the turn's end. */
const INSTRUCTION_TOKENS = 100;
const TOOL_TOKENS = 400;
/** Of an answer whose length nobody limits. */
const ANSWER_TOKENS = 1_024;

interface EstimateDeps extends Pick<SessionDeps, "resolve" | "contextTokens"> {
  /** Of the session's last turn, its prompt and its answer; undefined: it has none, or they are not here. */
  lastTokens(): number | undefined;
}

/** In tokens. The last turn's prompt and answer are in this one's prompt. */
export function estimate(command: StartTurn, deps: EstimateDeps): Reservation {
  const { requestId, create, request, said = requestMessages(request) } = command;
  const { model, maxTokens, contextTokens = deps.contextTokens } = resolve(command, deps);
  const asked = said.reduce((sum, message) => sum + estimateMessage(message), 0);
  const tools = request.tools === "none" ? 0 : TOOL_TOKENS;
  const before = create ? 0 : Math.min(contextTokens, deps.lastTokens() ?? contextTokens);
  const promptTokens = INSTRUCTION_TOKENS + tools + before + asked + brought(command);
  return { id: requestId, model, promptTokens, answerTokens: maxTokens ?? ANSWER_TOKENS };
}

type Limits = Pick<ResolvedChat, "model" | "maxTokens" | "contextTokens">;

/** What is refused here is refused once more, when it is known who asks. */
function resolve({ request, preferences }: StartTurn, deps: EstimateDeps): Limits {
  try {
    return deps.resolve(request, preferences);
  } catch {
    return { model: request.model ?? "", maxTokens: request.max_tokens };
  }
}

/** Tokens of what a request brings to its prompt besides what is said. */
function brought({ client, branch, request }: Pick<StartTurn, "client" | "branch" | "request">): number {
  const outputs = branch.kind === "after" ? branch.outputs.map(({ content }) => content) : [];
  const given = branch.kind === "end" && branch.given ? [JSON.stringify(branch.given)] : [];
  const texts = [client?.instructions ?? "", ...outputs, ...given];
  const tools = client?.tools ? estimateTokens(JSON.stringify(client.tools)) : 0;
  return texts.reduce((sum, text) => sum + estimateTokens(text), tools + estimateSchema(request.response_format));
}
