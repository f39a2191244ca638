/** What middleware shares of a request: its ids, and where its time goes. Types only. */
import type { ErrorCode } from "../../../contracts/errors.ts";
import type { StageClock } from "../../../contracts/timing.ts";

export interface AppContext {
  Variables: {
    requestId: string;
    traceparent: string;
    stages: StageClock;
    /** Who asks, once that is known. */
    userId: string | undefined;
    /** Why the request was refused here. */
    code: ErrorCode | undefined;
  };
}
