/** What a store answers when Postgres fails it: a failure of ours, without SQL, a value or a driver's word. Those go to the log as a code. */
import { fail, ok, type Result } from "../../../contracts/errors.ts";
import { type DbFault, readDbFault } from "../../../db/open.ts";

/** For the log. */
export type OnFault = (fault: DbFault) => void;

export function toFailure(error: unknown, onFault: OnFault): Result<never> {
  const fault = readDbFault(error);
  onFault(fault);
  return fault.kind === "timeout"
    ? fail("db_timeout", "the database did not answer in time")
    : fail("db_unavailable", "the database cannot be reached");
}

/** Runs queries; whatever goes wrong is a failure. */
export function createAttempt(onFault: OnFault) {
  return async function attempt<T>(work: () => Promise<T>): Promise<Result<T>> {
    try {
      return ok(await work());
    } catch (error) {
      return toFailure(error, onFault);
    }
  };
}
