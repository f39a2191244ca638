/** The health of the history, as its store tells it: reached, of the schema that is expected, nothing that could not be stored. No state. */
import type { HistoryHealth, HistoryStore, OutboxHealth } from "../../../contracts/history.ts";

export async function readHistoryHealth(
  history: HistoryStore,
  expectedSchema: number,
  readOutbox: () => Promise<OutboxHealth | null>,
): Promise<HistoryHealth> {
  const [ping, version, letters, outbox] = await Promise.all([
    history.ping(),
    history.schemaVersion(),
    history.countDeadLetters(),
    readOutbox(),
  ]);
  const found = version.ok ? version.value : null;
  const isGood = found === expectedSchema && letters.ok && letters.value === 0;
  return {
    status: ping.ok ? (isGood ? "healthy" : "degraded") : "unhealthy",
    latency_ms: ping.ok ? ping.value.latencyMs : null,
    schema: { found, expected: expectedSchema },
    dead_letters: letters.ok ? letters.value : null,
    outbox,
  };
}
