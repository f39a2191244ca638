/**
 * Lua expressions, compiled to functions of a scope. State: the reader's place in the tokens.
 * Refuses what no script here uses: methods, varargs, several values from one call.
 */
import { type Token, tokenize } from "./lexer.ts";
import { isTrue, LuaTable, type LuaValue, scriptError, toNumber, toText, typeName } from "./values.ts";

/** Names in reach: those of a block, then those around it. */
export class Scope {
  readonly #names = new Map<string, LuaValue>();
  readonly #outer: Scope | undefined;

  constructor(outer?: Scope) {
    this.#outer = outer;
  }

  declare(name: string, value: LuaValue): void {
    this.#names.set(name, value);
  }

  /** Redis lets no script read or write a global that is not there. */
  holder(name: string): Map<string, LuaValue> {
    if (this.#names.has(name)) return this.#names;
    if (this.#outer === undefined) throw scriptError(`there is no variable '${name}'`);
    return this.#outer.holder(name);
  }
}

export type Expression = (scope: Scope) => LuaValue;

/** A place that can be assigned to, and read. */
export interface Place {
  read: Expression;
  write?: (scope: Scope, value: LuaValue) => void;
  /** A call may stand as a statement. */
  isCall?: boolean;
}

type Operator = (left: Expression, right: Expression) => Expression;

const numbers =
  (work: (left: number, right: number) => LuaValue): Operator =>
  (left, right) =>
  (scope) =>
    work(toNumber(left(scope)), toNumber(right(scope)));

const compared =
  (work: (left: number, right: number) => boolean): Operator =>
  (left, right) =>
  (scope) => {
    const [a, b] = [left(scope), right(scope)];
    if (typeof a === "number" && typeof b === "number") return work(a, b);
    throw scriptError(`attempt to compare ${typeName(a)} with ${typeName(b)}`);
  };

/** By precedence, loosest first. */
const OPERATORS: Record<string, Operator>[] = [
  { or: (left, right) => (scope) => either(left(scope), (value) => isTrue(value), right, scope) },
  { and: (left, right) => (scope) => either(left(scope), (value) => !isTrue(value), right, scope) },
  {
    "==": (left, right) => (scope) => left(scope) === right(scope),
    "~=": (left, right) => (scope) => left(scope) !== right(scope),
    "<": compared((a, b) => a < b),
    "<=": compared((a, b) => a <= b),
    ">": compared((a, b) => a > b),
    ">=": compared((a, b) => a >= b),
  },
  { "..": (left, right) => (scope) => toText(left(scope)) + toText(right(scope)) },
  { "+": numbers((a, b) => a + b), "-": numbers((a, b) => a - b) },
  { "*": numbers((a, b) => a * b), "/": numbers((a, b) => a / b), "%": numbers((a, b) => a - Math.floor(a / b) * b) },
];

function either(left: LuaValue, settles: (value: LuaValue) => boolean, right: Expression, scope: Scope): LuaValue {
  return settles(left) ? left : right(scope);
}

export class ExpressionReader {
  readonly #tokens: Token[];
  #at = 0;

  constructor(source: string) {
    this.#tokens = tokenize(source);
  }

  get next(): Token {
    return this.#tokens[this.#at] ?? { kind: "end", text: "the end" };
  }

  /** Takes the next token if it is this keyword or symbol. */
  take(text: string): boolean {
    const { kind, text: found } = this.next;
    const taken = found === text && (kind === "keyword" || kind === "symbol");
    if (taken) this.#at += 1;
    return taken;
  }

  expect(text: string): void {
    if (!this.take(text)) throw scriptError(`'${text}' expected near '${this.next.text}'`);
  }

  name(): string {
    const { kind, text } = this.next;
    if (kind !== "name") throw scriptError(`a name expected near '${text}'`);
    this.#at += 1;
    return text;
  }

  list<T>(item: () => T): T[] {
    const items = [item()];
    while (this.take(",")) items.push(item());
    return items;
  }

  expression(level = 0): Expression {
    const operators = OPERATORS[level];
    if (operators === undefined) return this.#unary();
    let left = this.expression(level + 1);
    for (;;) {
      const symbol = Object.keys(operators).find((candidate) => this.take(candidate));
      const combine = symbol === undefined ? undefined : operators[symbol];
      if (combine === undefined) return left;
      left = combine(left, this.expression(level + 1));
    }
  }

  place(): Place {
    const name = this.name();
    let place: Place = {
      read: (scope) => scope.holder(name).get(name),
      write: (scope, value) => void scope.holder(name).set(name, value),
    };
    for (;;) {
      if (this.take(".")) {
        const key = this.name();
        place = member(place.read, () => key);
      } else if (this.take("[")) {
        const key = this.expression();
        this.expect("]");
        place = member(place.read, key);
      } else if (this.take("(")) {
        const args = this.take(")") ? [] : this.#arguments();
        place = call(place.read, args);
      } else return place;
    }
  }

  #arguments(): Expression[] {
    const args = this.list(() => this.expression());
    this.expect(")");
    return args;
  }

  #unary(): Expression {
    if (this.take("not")) {
      const operand = this.#unary();
      return (scope) => !isTrue(operand(scope));
    }
    if (this.take("-")) {
      const operand = this.#unary();
      return (scope) => -toNumber(operand(scope));
    }
    if (this.take("#")) {
      const operand = this.#unary();
      return (scope) => lengthOf(operand(scope));
    }
    return this.#primary();
  }

  #primary(): Expression {
    const { kind, text } = this.next;
    if (kind === "name") return this.place().read;
    if (this.take("(")) {
      const inside = this.expression();
      this.expect(")");
      return inside;
    }
    if (this.take("{")) return this.#table();
    this.#at += 1;
    if (kind === "number") return () => Number(text);
    if (kind === "string") return () => text;
    if (text === "nil") return () => undefined;
    if (text === "true" || text === "false") return () => text === "true";
    throw scriptError(`unexpected '${text}'`);
  }

  #table(): Expression {
    const members: [Expression, Expression][] = [];
    for (let position = 1; !this.take("}");) {
      const { kind, text } = this.next;
      const named = kind === "name" && this.#tokens[this.#at + 1]?.text === "=";
      if (named) {
        this.name();
        this.expect("=");
        members.push([() => text, this.expression()]);
      } else {
        const index = position;
        position += 1;
        members.push([() => index, this.expression()]);
      }
      if (!this.take(",") && this.next.text !== "}") throw scriptError(`'}' expected near '${this.next.text}'`);
    }
    return (scope) => {
      const table = new LuaTable();
      for (const [key, value] of members) table.set(key(scope), value(scope));
      return table;
    };
  }
}

function member(owner: Expression, key: Expression): Place {
  const tableOf = (scope: Scope): LuaTable => {
    const table = owner(scope);
    if (table instanceof LuaTable) return table;
    throw scriptError(`attempt to index a ${typeName(table)} value`);
  };
  return {
    read: (scope) => tableOf(scope).get(key(scope)),
    write: (scope, value) => tableOf(scope).set(key(scope), value),
  };
}

function call(callee: Expression, args: Expression[]): Place {
  return {
    isCall: true,
    read: (scope) => {
      const work = callee(scope);
      if (typeof work !== "function") throw scriptError(`attempt to call a ${typeName(work)} value`);
      return work(args.map((arg) => arg(scope)));
    },
  };
}

function lengthOf(value: LuaValue): number {
  if (value instanceof LuaTable) return value.length;
  return Buffer.byteLength(toText(value));
}
