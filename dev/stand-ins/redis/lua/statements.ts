/**
 * Lua statements, compiled to functions of a scope; a block gives what it returned, if it did. State: none of its own.
 * Knows local, assignment, calls, if, numeric for, for over ipairs, local functions and return.
 */
import { ExpressionReader, type Place, Scope } from "./expressions.ts";
import { isTrue, LuaTable, type LuaValue, scriptError, toNumber } from "./values.ts";

interface Returned {
  value: LuaValue;
}
type Statement = (scope: Scope) => Returned | undefined;

export type Script = (globals: Scope) => LuaValue;

/** Throws `RedisError` for what is not Lua, or not a part of it that is known here. */
export function compile(source: string): Script {
  const reader = new ExpressionReader(source);
  const body = readBlock(reader);
  if (reader.next.kind !== "end") throw scriptError(`unexpected '${reader.next.text}'`);
  return (globals) => body(new Scope(globals))?.value;
}

const BLOCK_ENDS = ["end", "else", "elseif", "the end"];

function readBlock(reader: ExpressionReader): Statement {
  const statements: Statement[] = [];
  while (!BLOCK_ENDS.includes(reader.next.text)) statements.push(readStatement(reader));
  return (scope) => {
    for (const statement of statements) {
      const returned = statement(scope);
      if (returned !== undefined) return returned;
    }
    return undefined;
  };
}

/** A block that ends with `end`; it runs in a scope of its own. */
function readBody(reader: ExpressionReader): Statement {
  const block = readBlock(reader);
  reader.expect("end");
  return (scope) => block(new Scope(scope));
}

function readStatement(reader: ExpressionReader): Statement {
  if (reader.take("local")) return reader.take("function") ? readFunction(reader) : readLocal(reader);
  if (reader.take("if")) return readIf(reader);
  if (reader.take("for")) return readFor(reader);
  if (reader.take("return")) {
    const value = BLOCK_ENDS.includes(reader.next.text) ? () => undefined : reader.expression();
    return (scope) => ({ value: value(scope) });
  }
  const place = reader.place();
  if (place.isCall) return (scope) => void place.read(scope);
  return readAssignment(reader, place);
}

function readAssignment(reader: ExpressionReader, { write }: Place): Statement {
  reader.expect("=");
  const value = reader.expression();
  return (scope) => {
    write?.(scope, value(scope));
    return undefined;
  };
}

function readLocal(reader: ExpressionReader): Statement {
  const names = reader.list(() => reader.name());
  const values = reader.take("=") ? reader.list(() => reader.expression()) : [];
  return (scope) => {
    const given = values.map((value) => value(scope));
    for (const [at, name] of names.entries()) scope.declare(name, given[at]);
    return undefined;
  };
}

function readFunction(reader: ExpressionReader): Statement {
  const name = reader.name();
  reader.expect("(");
  const parameters = reader.take(")") ? [] : reader.list(() => reader.name());
  if (parameters.length > 0) reader.expect(")");
  const body = readBody(reader);
  return (scope) => {
    scope.declare(name, (args: LuaValue[]) => {
      const inner = new Scope(scope);
      for (const [at, parameter] of parameters.entries()) inner.declare(parameter, args[at]);
      return body(inner)?.value;
    });
    return undefined;
  };
}

function readIf(reader: ExpressionReader): Statement {
  const condition = reader.expression();
  reader.expect("then");
  const then = readBlock(reader);
  const otherwise = readElse(reader);
  return (scope) => (isTrue(condition(scope)) ? then(new Scope(scope)) : otherwise(new Scope(scope)));
}

function readElse(reader: ExpressionReader): Statement {
  if (reader.take("elseif")) return readIf(reader);
  return reader.take("else") ? readBody(reader) : (reader.expect("end"), () => undefined);
}

function readFor(reader: ExpressionReader): Statement {
  const names = reader.list(() => reader.name());
  const [first = "", second = ""] = names;
  if (reader.take("=")) return readNumericFor(reader, first);
  reader.expect("in");
  if (reader.name() !== "ipairs") throw scriptError("only ipairs is known to for");
  reader.expect("(");
  const source = reader.expression();
  reader.expect(")");
  reader.expect("do");
  const body = readBody(reader);
  return (scope) =>
    repeat(listOf(source(scope)).entries(), ([at, value]) => {
      const inner = new Scope(scope);
      inner.declare(first, at + 1);
      inner.declare(second, value);
      return body(inner);
    });
}

function readNumericFor(reader: ExpressionReader, name: string): Statement {
  const [from, to, step = (): LuaValue => 1] = reader.list(() => reader.expression());
  if (from === undefined || to === undefined) throw scriptError("'for' needs a limit");
  reader.expect("do");
  const body = readBody(reader);
  return (scope) =>
    repeat(count(toNumber(from(scope)), toNumber(to(scope)), toNumber(step(scope))), (at) => {
      const inner = new Scope(scope);
      inner.declare(name, at);
      return body(inner);
    });
}

function* count(from: number, to: number, step: number): Generator<number> {
  if (step <= 0) throw scriptError("only a step upward is known to for");
  for (let at = from; at <= to; at += step) yield at;
}

function repeat<T>(items: Iterable<T>, work: (item: T) => Returned | undefined): Returned | undefined {
  for (const item of items) {
    const returned = work(item);
    if (returned !== undefined) return returned;
  }
  return undefined;
}

function listOf(value: LuaValue): LuaValue[] {
  if (value instanceof LuaTable) return value.list();
  throw scriptError("ipairs needs a table");
}
