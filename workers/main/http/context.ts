/** What middleware shares of a request: its id. Types only. */
export interface AppContext {
  Variables: {
    requestId: string;
  };
}
