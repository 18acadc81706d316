/**
 * Reads QR codes off a picture: by the browser where it can, else by a small library that is loaded only then.
 *
 * A `BarcodeDetector` that exists may still know no QR codes (it depends on the system beneath), so it is asked first.
 */
interface Detector {
  detect: (source: CanvasImageSource) => Promise<{ rawValue: string }[]>;
}

interface DetectorClass {
  new (options: { formats: string[] }): Detector;
  getSupportedFormats: () => Promise<string[]>;
}

/** The text of a QR code in the picture, or null where there is none. */
export type Reader = (video: HTMLVideoElement) => Promise<string | null>;

/** A code held before a camera fills a good part of the picture; more pixels only take longer. */
const MOST_PX = 640;

export async function makeReader(): Promise<Reader> {
  const known = (globalThis as { BarcodeDetector?: DetectorClass }).BarcodeDetector;
  const formats = await known?.getSupportedFormats().catch((): string[] => []);
  return known && formats?.includes("qr_code") ? byBrowser(new known({ formats: ["qr_code"] })) : byLibrary();
}

const byBrowser = (detector: Detector): Reader => async (video) => (await detector.detect(video))[0]?.rawValue ?? null;

async function byLibrary(): Promise<Reader> {
  const { default: decode } = await import("jsqr");
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  return async (video) => {
    const scale = Math.min(1, MOST_PX / Math.max(video.videoWidth, video.videoHeight));
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    if (!pen || canvas.width === 0 || canvas.height === 0) return null;
    pen.drawImage(video, 0, 0, canvas.width, canvas.height);
    const { data, width, height } = pen.getImageData(0, 0, canvas.width, canvas.height);
    return decode(data, width, height, { inversionAttempts: "dontInvert" })?.data ?? null;
  };
}
