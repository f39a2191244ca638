/**
 * What kind of image some bytes are, how large it is, and whether it moves: read from headers and from the lengths of blocks; no pixel
 * is decoded. Pure. Refuses what ends before its format says, and, but for JPEG, what goes on after it: cameras append to JPEGs.
 */

export interface ImageFacts {
  mimeType: "image/png" | "image/jpeg" | "image/gif" | "image/webp";
  /** In pixels. Of a frame that leaves its canvas: as far as that reaches. */
  width: number;
  height: number;
  isAnimated: boolean;
}

/** Undefined: none of these formats, or not whole. */
export function readImage(bytes: Uint8Array): ImageFacts | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return readPng(view) ?? readGif(view) ?? readWebp(view) ?? readJpeg(view);
  } catch (error) {
    if (error instanceof RangeError) return undefined; // a block leads beyond the end
    throw error;
  }
}

function nameAt(view: DataView, at: number): string {
  return String.fromCharCode(...[0, 1, 2, 3].map((offset) => view.getUint8(at + offset)));
}

/** Chunks: length, name, data, checksum; the first is IHDR, the last IEND. `acTL` announces an animation. */
function readPng(view: DataView): ImageFacts | undefined {
  if (view.getUint32(0) !== 0x89504e47 || view.getUint32(4) !== 0x0d0a1a0a) return undefined;
  if (view.getUint32(8) !== 13 || nameAt(view, 12) !== "IHDR") return undefined;
  let isAnimated = false;
  let hasPixels = false;
  for (let at = 8; ;) {
    const name = nameAt(view, at + 4);
    at += 12 + view.getUint32(at);
    isAnimated ||= name === "acTL";
    hasPixels ||= name === "IDAT";
    if (name !== "IEND") continue;
    if (at !== view.byteLength || !hasPixels) return undefined;
    return { mimeType: "image/png", width: view.getUint32(16), height: view.getUint32(20), isAnimated };
  }
}

const GIF_EXTENSION = 0x21;
const GIF_FRAME = 0x2c;
const GIF_END = 0x3b;

function readGif(view: DataView): ImageFacts | undefined {
  if (nameAt(view, 0) !== "GIF8" || ![0x3761, 0x3961].includes(view.getUint16(4))) return undefined;
  let [width, height] = [view.getUint16(6, true), view.getUint16(8, true)];
  let frames = 0;
  for (let at = 13 + colorBytes(view.getUint8(10)); ;) {
    const block = view.getUint8(at);
    if (block === GIF_END) {
      if (at + 1 !== view.byteLength || frames === 0) return undefined;
      return { mimeType: "image/gif", width, height, isAnimated: frames > 1 };
    }
    if (block === GIF_FRAME) {
      frames += 1;
      width = Math.max(width, view.getUint16(at + 1, true) + view.getUint16(at + 5, true));
      height = Math.max(height, view.getUint16(at + 3, true) + view.getUint16(at + 7, true));
      at = afterSubBlocks(view, at + 11 + colorBytes(view.getUint8(at + 9)));
    } else if (block === GIF_EXTENSION) at = afterSubBlocks(view, at + 2);
    else return undefined;
  }
}

/** Of the table that these flags announce. */
function colorBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
}

/** Each says its length; one of none ends them. */
function afterSubBlocks(view: DataView, from: number): number {
  let at = from;
  for (let length = view.getUint8(at); length > 0; length = view.getUint8(at)) at += 1 + length;
  return at + 1;
}

/** RIFF: the canvas in VP8X if there is one, and the frame in VP8 or VP8L; ANIM and ANMF make an animation. */
function readWebp(view: DataView): ImageFacts | undefined {
  if (nameAt(view, 0) !== "RIFF" || nameAt(view, 8) !== "WEBP") return undefined;
  if (8 + view.getUint32(4, true) !== view.byteLength) return undefined;
  const facts: ImageFacts = { mimeType: "image/webp", width: 0, height: 0, isAnimated: false };
  for (let at = 12; at < view.byteLength;) {
    const name = nameAt(view, at);
    const size = webpSize(view, name, at + 8);
    facts.width = Math.max(facts.width, size?.width ?? 0);
    facts.height = Math.max(facts.height, size?.height ?? 0);
    facts.isAnimated ||= name === "ANIM" || name === "ANMF";
    const length = view.getUint32(at + 4, true);
    at += 8 + length + (length % 2);
    if (at > view.byteLength) return undefined;
  }
  return facts.width > 0 ? facts : undefined;
}

function webpSize(view: DataView, name: string, at: number): { width: number; height: number } | undefined {
  if (name === "VP8X") return { width: 1 + uint24(view, at + 4), height: 1 + uint24(view, at + 7) };
  if (name === "VP8L" && view.getUint8(at) === 0x2f) {
    const bits = view.getUint32(at + 1, true);
    return { width: 1 + (bits & 0x3fff), height: 1 + ((bits >>> 14) & 0x3fff) };
  }
  if (name !== "VP8 " || view.getUint8(at + 3) !== 0x9d || view.getUint16(at + 4) !== 0x012a) return undefined;
  return { width: view.getUint16(at + 6, true) & 0x3fff, height: view.getUint16(at + 8, true) & 0x3fff };
}

function uint24(view: DataView, at: number): number {
  return view.getUint16(at, true) + view.getUint8(at + 2) * 0x10000;
}

/** Start of frame: all of C0 to CF, but for tables (C4, CC) and JPG (C8). */
const isFrame = (marker: number): boolean => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
const JPEG_SCAN = 0xda;

/** Segments up to the start of a frame. A preview is a JPEG inside a segment, and is passed over with it. */
function readJpeg(view: DataView): ImageFacts | undefined {
  if (view.getUint16(0) !== 0xffd8) return undefined;
  for (let at = 2; ;) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    if (marker === 0xff) at += 1;
    else if (marker < 0xc0 || (marker >= 0xd0 && marker <= JPEG_SCAN)) return undefined;
    else if (isFrame(marker)) {
      const [height, width] = [view.getUint16(at + 5), view.getUint16(at + 7)];
      if (!endsAfter(view, at)) return undefined;
      return { mimeType: "image/jpeg", width, height, isAnimated: false };
    } else at += 2 + view.getUint16(at + 2);
  }
}

/** The mark of its end comes behind the start of the frame. */
function endsAfter(view: DataView, from: number): boolean {
  for (let at = view.byteLength - 2; at > from; at -= 1) if (view.getUint16(at) === 0xffd9) return true;
  return false;
}
