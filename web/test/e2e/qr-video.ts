/** A picture of a QR code as a camera gives it, for a browser that takes a file in place of one. */
import { writeFileSync } from "node:fs";
import { encode } from "uqr";

const WIDE = 640;
const TALL = 480;
const WHITE = 235;
const BLACK = 16;
const GREY = 128;

/** Writes a Y4M film of a few frames, all of them the code in the middle of something white. */
export function writeQrVideo(file: string, text: string): void {
  const { data, size } = encode(text, { border: 4 });
  const cell = Math.floor(TALL / size);
  const left = Math.floor((WIDE - cell * size) / 2);
  const top = Math.floor((TALL - cell * size) / 2);
  const light = Buffer.alloc(WIDE * TALL, WHITE);
  data.forEach((line, y) => line.forEach((on, x) => {
    if (!on) return;
    for (let row = 0; row < cell; row++) light.fill(BLACK, (top + y * cell + row) * WIDE + left + x * cell, (top + y * cell + row) * WIDE + left + (x + 1) * cell);
  }));
  const frame = Buffer.concat([Buffer.from("FRAME\n"), light, Buffer.alloc((WIDE * TALL) / 2, GREY)]);
  writeFileSync(file, Buffer.concat([Buffer.from(`YUV4MPEG2 W${WIDE} H${TALL} F10:1 Ip A1:1 C420jpeg\n`), frame, frame, frame]));
}

/** A camera that shows a test picture. Pages have to be allowed to use it. */
export const FAKE_CAMERA = "--use-fake-device-for-media-stream";

/** What makes Chromium take the film for its camera, and let pages use it. */
export const cameraFlags = (file: string): string[] => [FAKE_CAMERA, `--use-file-for-fake-video-capture=${file}`, "--use-fake-ui-for-media-stream"];
