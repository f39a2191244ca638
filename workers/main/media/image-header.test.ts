/** Headers of images, good and broken: no bytes make the reader throw, or say a size that is not in them. */
import { expect, test } from "vitest";
import { seededRandom } from "../../../dev/house/random.ts";
import { animatedPng, gif, jpeg, png, webp } from "../../../dev/house/images.ts";
import { readImage } from "./image-header.ts";

const SIZES = [
  [1, 1],
  [3, 5],
  [640, 480],
  [16_383, 16_383],
] as const;

test("[MEDIA-2] [B62] the size of every format is read from its header", () => {
  for (const [width, height] of SIZES) {
    const facts = { width, height, isAnimated: false };
    expect(readImage(png(width, height))).toEqual({ ...facts, mimeType: "image/png" });
    expect(readImage(gif(width, height))).toEqual({ ...facts, mimeType: "image/gif" });
    for (const start of [0xc0, 0xc1, 0xc2, 0xc9]) {
      expect(readImage(jpeg(width, height, { start }))).toEqual({ ...facts, mimeType: "image/jpeg" });
    }
    for (const write of [webp.lossy, webp.lossless, webp.extended]) {
      expect(readImage(write(width, height))).toEqual({ ...facts, mimeType: "image/webp" });
    }
  }
  expect(readImage(png(4_000_000_000, 2))).toMatchObject({ width: 4_000_000_000, height: 2 });
  expect(readImage(webp.extended(16_777_216, 1))).toMatchObject({ width: 16_777_216 });
});

test("[MEDIA-2] [B62] what moves is told: APNG, GIF, WebP; a frame larger than its canvas counts", () => {
  for (const file of [animatedPng(), gif(3, 5, 2), webp.extended(3, 5, true)]) {
    expect(readImage(file)).toMatchObject({ width: 3, height: 5, isAnimated: true });
  }
  expect(readImage(gif(1, 1, 1, 30_000))).toMatchObject({ width: 30_000, isAnimated: false });
});

test("[MEDIA-2] [B62] what is cut anywhere is no image; what goes on is none but for JPEG, to which cameras append", () => {
  const files = [png(3, 5), gif(3, 5), webp.lossy(3, 5), webp.lossless(3, 5), webp.extended(3, 5), jpeg(3, 5)];
  for (const file of files) {
    for (let end = 0; end < file.length; end += 1)
      expect([end, readImage(file.subarray(0, end))]).toEqual([end, undefined]);
  }
  for (const file of files.slice(0, -1)) {
    expect(readImage(Uint8Array.from([...file, ...Buffer.from("<script>")]))).toBeUndefined();
  }
  expect(readImage(jpeg(3, 5, { after: [1, 2, 3] }))).toMatchObject({ width: 3, height: 5 });
});

test("[MEDIA-2] [B62] no bytes make it throw or run on: 20,000 broken files of a seed", () => {
  const random = seededRandom(62);
  const files = [png(3, 5), gif(3, 5, 2), webp.lossy(3, 5), webp.extended(3, 5, true), jpeg(3, 5)];
  let images = 0;
  for (let round = 0; round < 20_000; round += 1) {
    const file = Uint8Array.from(files[Math.floor(random() * files.length)] ?? []);
    const changes = 1 + Math.floor(random() * 8);
    for (let change = 0; change < changes; change += 1)
      file[Math.floor(random() * file.length)] = Math.floor(random() * 256);
    const isCut = random() < 0.3;
    const facts = readImage(isCut ? file.subarray(0, Math.floor(random() * file.length)) : file);
    if (facts !== undefined) images += 1;
  }
  // Some changes do no harm; most do.
  expect(images).toBeGreaterThan(500);
  expect(images).toBeLessThan(10_000);
});
