import { expect, test } from "vitest";
import { Flight, type Member } from "./flight.ts";

const member = (name: string): Member => ({ sessionId: `session ${name}`, turnId: name });
const [a, b, c] = [member("a"), member("b"), member("c")];

test("[F30] whoever comes first leads; the others are told who does", () => {
  const flight = new Flight();
  expect(flight.announce(a, undefined, 0)).toEqual({ leads: true, recheck: false });
  expect(flight.announce(b, undefined, 1)).toEqual({ leads: false, leader: a });
  // It may ask again.
  expect(flight.announce(a, undefined, 2)).toMatchObject({ leads: true });
});

test("[F30] a leader that has gone is replaced by the first who tells it, and by nobody else", () => {
  const flight = new Flight();
  flight.announce(a, undefined, 0);
  expect(flight.announce(b, a.turnId, 1)).toMatchObject({ leads: true });
  expect(flight.announce(c, a.turnId, 1)).toEqual({ leads: false, leader: b });
});

test("[F30] who does not say that it leads is forgotten soon, who does is not", () => {
  const flight = new Flight();
  flight.announce(a, undefined, 0);
  expect(flight.announce(b, undefined, 5_000)).toMatchObject({ leads: true });
  flight.confirm(a.turnId, 5_000);
  flight.confirm(b.turnId, 5_000);
  expect(flight.announce(c, undefined, 500_000)).toEqual({ leads: false, leader: b });
});

test("[F30] who comes right after a landing is told to look once more", () => {
  const flight = new Flight();
  flight.announce(a, undefined, 0);
  flight.leave(b.turnId, 50);
  expect(flight.announce(b, undefined, 60)).toEqual({ leads: false, leader: a });
  flight.leave(a.turnId, 100);
  expect(flight.announce(b, undefined, 200)).toEqual({ leads: true, recheck: true });
  flight.leave(b.turnId, 300);
  expect(flight.announce(c, undefined, 10_000)).toEqual({ leads: true, recheck: false });
});
