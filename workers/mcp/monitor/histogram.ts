/**
 * Times in buckets, so that calls without end fit into a row and any set of rows can be added up. Pure.
 * A percentile is a point on the line between its bucket's bounds: exact to the bucket's width.
 */
/** Upper bounds in milliseconds; what is slower is in one more bucket. */
const BOUNDS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 60_000];

export type Buckets = number[];

export const NO_TIMES: Buckets = Array.from({ length: BOUNDS_MS.length + 1 }, () => 0);

export function addTime(buckets: Buckets, ms: number): Buckets {
  const found = BOUNDS_MS.findIndex((bound) => ms <= bound);
  const at = found === -1 ? BOUNDS_MS.length : found;
  return NO_TIMES.map((_, index) => (buckets[index] ?? 0) + Number(index === at));
}

export function addBuckets(a: Buckets, b: Buckets): Buckets {
  return NO_TIMES.map((_, index) => (a[index] ?? 0) + (b[index] ?? 0));
}

/** The time that this share of the calls stayed below; null without a call. */
export function percentile(buckets: Buckets, share: number): number | null {
  const total = buckets.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  let left = share * total;
  for (const [at, count] of buckets.entries()) {
    if (count > 0 && left <= count) {
      const [from, to] = [BOUNDS_MS[at - 1] ?? 0, BOUNDS_MS[at] ?? BOUNDS_MS.at(-1) ?? 0];
      return Math.round((from + ((to - from) * left) / count) * 10) / 10;
    }
    left -= count;
  }
  return BOUNDS_MS.at(-1) ?? null;
}
