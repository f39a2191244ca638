/** Small files of every kind that is taken, with headers as a test wants them; their pixels are nothing. Pure. */

const bytes = (text: string): number[] => [...text].map((letter) => letter.charCodeAt(0));
const u16 = (value: number): number[] => [(value >> 8) & 255, value & 255];
const u16le = (value: number): number[] => [value & 255, (value >> 8) & 255];
const u24le = (value: number): number[] => [...u16le(value), (value >> 16) & 255];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value)];
const u32le = (value: number): number[] => [...u16le(value), ...u16le(value >>> 16)];

const pngChunk = (name: string, data: number[]): number[] => [
  ...u32(data.length),
  ...bytes(name),
  ...data,
  ...[0, 0, 0, 0],
];

/** `mark`: makes another file of the same size. */
export function png(width: number, height: number, { mark = 0, more = [] as number[] } = {}): Uint8Array {
  return Uint8Array.from([
    ...[0x89, ...bytes("PNG\r\n"), 0x1a, 0x0a],
    ...pngChunk("IHDR", [...u32(width), ...u32(height), 8, 2, 0, 0, 0]),
    ...more,
    ...pngChunk("IDAT", [mark]),
    ...pngChunk("IEND", []),
  ]);
}

/** One of so many bytes more, with a chunk that says nothing. */
export function largePng(mark: number, moreBytes: number): Uint8Array {
  const small = png(3, 5, { mark });
  const head = Uint8Array.from([...u32(moreBytes), ...bytes("teXt")]);
  return Buffer.concat([small.subarray(0, -12), head, Buffer.alloc(moreBytes + 4), small.subarray(-12)]);
}

export const animatedPng = (): Uint8Array => png(3, 5, { more: pngChunk("acTL", [0, 0, 0, 2, 0, 0, 0, 0]) });

export function gif(width: number, height: number, frames = 1, frameWidth = width): Uint8Array {
  const frame = [0x2c, ...u16le(0), ...u16le(0), ...u16le(frameWidth), ...u16le(height), 0, 2, 1, 0, 0];
  return Uint8Array.from([
    ...[...bytes("GIF89a"), ...u16le(width), ...u16le(height), 0x80, 0, 0],
    ...[0, 0, 0, 255, 255, 255],
    ...[0x21, 0xf9, 4, 0, 0, 0, 0, 0],
    ...Array.from({ length: frames }, () => frame).flat(),
    0x3b,
  ]);
}

/** A camera's word on where it was: Exif with a GPS directory of one entry. */
const place: number[] = [
  ...[...bytes("Exif"), 0, 0, ...bytes("II*"), 0, ...u32le(8)],
  ...[...u16le(1), ...u16le(0x8825), ...u16le(4), ...u32le(1), ...u32le(26), ...u32le(0)],
  ...[...u16le(1), ...u16le(1), ...u16le(2), ...u32le(2), ...bytes("N"), 0, 0, 0, ...u32le(0)],
];

/** What a camera makes that knows where it is. */
export function placedJpeg(width: number, height: number): Uint8Array {
  const plain = jpeg(width, height);
  const segment = Uint8Array.from([0xff, 0xe1, ...u16(2 + place.length), ...place]);
  return Buffer.concat([plain.subarray(0, 2), segment, plain.subarray(2)]);
}

export function jpeg(width: number, height: number, { start = 0xc0, after = [] as number[] } = {}): Uint8Array {
  // A preview of another size inside the first segment, as cameras write it.
  const preview = [0xff, 0xd8, 0xff, 0xc0, ...u16(11), 8, ...u16(9), ...u16(9), 1, 0, 0, 0, 0xff, 0xd9];
  return Uint8Array.from([
    ...[0xff, 0xd8, 0xff, 0xe1, ...u16(2 + preview.length), ...preview],
    ...[0xff, 0xff, start, ...u16(11), 8, ...u16(height), ...u16(width), 1, 0, 0, 0],
    ...[0xff, 0xda, ...u16(2), 1, 2, 3, 0xff, 0xd9],
    ...after,
  ]);
}

function riff(chunks: [name: string, data: number[]][]): Uint8Array {
  const body = chunks.flatMap(([name, data]) => [
    ...[...bytes(name), ...u32le(data.length), ...data],
    ...(data.length % 2 === 1 ? [0] : []),
  ]);
  return Uint8Array.from([...bytes("RIFF"), ...u32le(4 + body.length), ...bytes("WEBP"), ...body]);
}

export const webp = {
  lossy: (width: number, height: number) =>
    riff([["VP8 ", [0, 0, 0, 0x9d, 0x01, 0x2a, ...u16le(width), ...u16le(height), 7]]]),
  lossless: (width: number, height: number) => riff([["VP8L", [0x2f, ...u32le((width - 1) | ((height - 1) << 14))]]]),
  extended: (width: number, height: number, animated = false) =>
    riff([
      ["VP8X", [animated ? 2 : 0, 0, 0, 0, ...u24le(width - 1), ...u24le(height - 1)]],
      ...(animated ? ([["ANIM", [0, 0, 0, 0, 0, 0]]] as [string, number[]][]) : []),
    ]),
};

export const wav = (): Uint8Array =>
  Uint8Array.from([...bytes("RIFF"), ...u32le(36), ...bytes("WAVEfmt "), ...Array<number>(24).fill(0)]);
export const mp3 = (): Uint8Array => Uint8Array.from([0xff, 0xfb, 0x90, 0x64, ...Array<number>(28).fill(0)]);
export const pdf = (): Uint8Array => Uint8Array.from(bytes("%PDF-1.7\n1 0 obj\n<<>>\nendobj\ntrailer\n%%EOF\n"));

export const base64 = (file: Uint8Array | string): string => Buffer.from(file).toString("base64");
export const dataUrl = (type: string, file: Uint8Array | string): string => `data:${type};base64,${base64(file)}`;
export const imagePart = (file: Uint8Array, type = "image/png") => ({
  type: "image_url",
  image_url: { url: dataUrl(type, file) },
});
