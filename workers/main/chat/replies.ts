/**
 * What the model replies in one turn: each reply asked for and read, begun again on another route where it breaks off, and paid for. State: the
 * answer so far, which the turn's steps share. Refuses more words than a turn's row holds.
 */
import type { FinishReason, Usage } from "../../../contracts/chat.ts";
import { createDecoder } from "../../../contracts/dialects.ts";
import { AppError } from "../../../contracts/errors.ts";
import type { ModelRequest, ModelStream, WhenGone } from "../../../contracts/llm.ts";
import { addUsage, NO_USAGE, spentBy, usageOf } from "../../../contracts/rounds.ts";
import { openStream } from "./ask-model.ts";
import { type Reply, readReply } from "./read-reply.ts";
import type { RequestedCall } from "./tool-round.ts";
import type { TurnRun } from "./turn.ts";
import { BrokenReply } from "./watchdog.ts";

/** Of a whole turn: its row holds 2 MB, a character takes three bytes at most, and a tool round keeps its words once more. */
const MAX_ANSWER_CHARS = 192 * 1024;

/** How often one reply is begun again on another route. */
const MAX_RESTARTS = 2;

/** What the replies of a turn come to. */
export interface Answer {
  content: string;
  usage: Usage | undefined;
  model: string;
  provider: string;
  finishReason: FinishReason | undefined;
  /** How often the model was asked. */
  modelCalls: number;
}

/** Where a turn stood, to go back to. */
interface Mark {
  event: number;
  content: string;
}

export class Replies {
  /** Of the latest reply. */
  words: string;
  readonly #run: TurnRun;
  readonly #answer: Answer;
  readonly #onFirstWords: () => void;
  #askedAtMs = 0;
  /** What the reply took until now that is being read. */
  #reading: (() => Usage) | undefined;

  /** `onFirstWords`: before those of each reply. */
  constructor(run: TurnRun, answer: Answer, onFirstWords: () => void) {
    this.#run = run;
    this.#answer = answer;
    this.#onFirstWords = onFirstWords;
    this.words = run.request.resumed?.words ?? "";
    run.emit.spent = () => (this.#reading ? addUsage(answer.usage, this.#reading()) : answer.usage);
  }

  mark(): Mark {
    return { event: this.#run.emit.last, content: this.#answer.content };
  }

  /**
   * `gone` tells the model service that nobody reads any more: a cancelled body alone is seen only at its next byte. A reply that breaks off
   * is begun again where another route serves the model; what was shown of it is rewound.
   */
  async ask(asked: ModelRequest, gone: WhenGone): Promise<RequestedCall[]> {
    const before = this.mark();
    const avoid: string[] = [];
    this.#answer.modelCalls += 1;
    let current: ModelRequest = asked;
    let opened = await this.#open(current, gone);
    for (;;) {
      const reply = await this.#read(opened, current);
      if (!(reply instanceof BrokenReply)) return reply.calls;
      avoid.push(opened.route);
      current = { ...asked, avoid };
      const next = await this.#nextRoute(current, gone);
      if (next === undefined) throw reply;
      this.rewind(before);
      opened = next;
    }
  }

  async #open(asked: ModelRequest, gone: WhenGone): Promise<ModelStream> {
    this.#askedAtMs = this.#run.deps.now();
    try {
      const opened = await openStream(asked, this.#run, gone);
      if (opened.paid) this.#add(opened.paid);
      return opened;
    } catch (error) {
      // A provider that was left before its first word has its price too.
      const spent = error instanceof AppError ? spentBy(asked, error.failure) : NO_USAGE;
      this.#add(spent);
      this.#noteCall(this.#run.request.modelType, asked, { usage: spent, error });
      throw error;
    }
  }

  #endReading(spent: Usage): Usage {
    this.#reading = undefined;
    this.#add(spent);
    return spent;
  }

  #add(usage: Usage): void {
    this.#answer.usage = addUsage(this.#answer.usage, usage);
  }

  /** Reads a reply to its end; gives back what broke it off, where another try may help. */
  async #read(opened: ModelStream, asked: ModelRequest): Promise<Reply | BrokenReply> {
    const { deps, emit, signal } = this.#run;
    this.#answer.model = opened.model;
    this.#answer.provider = opened.provider;
    this.words = "";
    const decoder = createDecoder(opened.dialect, { newCallId: deps.newCallId });
    const usage = usageOf(asked);
    this.#reading = () => usage(this.words, decoder.told());
    const reading = readReply(opened.body, decoder, {
      onText: (text) => {
        if (this.words === "") this.#onFirstWords();
        this.words += text;
        this.#answer.content += text;
        emit.text(text);
      },
      ...{ signal, stallTimeoutMs: deps.stallTimeoutMs, totalTimeoutMs: deps.streamTimeoutMs, now: deps.now },
      maxChars: MAX_ANSWER_CHARS - this.#answer.content.length,
    });
    const reply = await reading.catch((error: unknown) => {
      // A reply that was cut or stopped has its price too.
      const spent = this.#endReading(usage(this.words, decoder.told()));
      this.#noteCall(opened.provider, asked, { usage: addUsage(opened.paid, spent), error });
      if (error instanceof BrokenReply) return error;
      throw error;
    });
    if (reply instanceof BrokenReply) return reply;
    const said = this.words + (reply.calls.length > 0 ? JSON.stringify(reply.calls) : "");
    const spent = this.#endReading(usage(said, decoder.told()));
    this.#noteCall(opened.provider, asked, { usage: addUsage(opened.paid, spent) });
    this.#answer.finishReason = reply.finishReason;
    return reply;
  }

  /** Where the reply is begun again; undefined when nobody else serves the model, or the turn is being stopped. */
  async #nextRoute(request: ModelRequest, gone: WhenGone): Promise<ModelStream | undefined> {
    const { signal } = this.#run;
    if (signal.aborted || (request.avoid?.length ?? 0) > MAX_RESTARTS) return undefined;
    return this.#open(request, gone).catch(() => undefined);
  }

  #noteCall(provider: string, { model, avoid }: ModelRequest, { usage, error }: { usage: Usage; error?: unknown }) {
    const { deps, request, signal } = this.#run;
    const code = error instanceof AppError ? error.failure.code : "internal";
    const ended = error === undefined ? undefined : signal.aborted ? "cancelled" : code;
    const call = { provider, model, ms: deps.now() - this.#askedAtMs, usage, error: ended };
    deps.noteCall?.({ ...call, isRestart: avoid !== undefined }, request);
  }

  /** Takes back what was shown of a reply that broke off, for whoever watches and for whoever reads the log later. */
  rewind(before: Mark): void {
    const { emit } = this.#run;
    this.#answer.content = before.content;
    if (this.words === "") return;
    emit.append({ event: "rewind", data: { after: before.event } });
    emit.save();
  }
}
