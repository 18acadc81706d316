/** The camera, or in a sentence why there is none. */

/** What `getUserMedia` says went wrong, by the name of its error. */
const REASONS: Record<string, string> = {
  NotAllowedError: "This page may not use the camera. Allow it in the browser's settings for this page (beside the address), then try again.",
  NotFoundError: "No camera was found on this device.",
  OverconstrainedError: "No camera was found on this device.",
  NotReadableError: "The camera can't be opened. Another program may be using it.",
};

const NO_ACCESS = "Browsers give the camera only to pages of this machine or of an https address. Open Covey at http://127.0.0.1, or type the code.";

export const whyNoCamera = (error: unknown): string =>
  (error instanceof Error && REASONS[error.name]) || "The camera does not work here.";

/** The camera at the back where there are two: it is the one that is held to a screen. */
export async function openCamera(): Promise<MediaStream> {
  const devices = (navigator as { mediaDevices?: MediaDevices }).mediaDevices;
  if (!devices) throw new CameraError(NO_ACCESS);
  try {
    return await devices.getUserMedia({ video: { facingMode: "environment" }, audio: false });
  } catch (error) {
    throw new CameraError(whyNoCamera(error));
  }
}

/** Its message is for the user. */
export class CameraError extends Error {}

export const closeCamera = (stream: MediaStream): void => {
  for (const track of stream.getTracks()) track.stop();
};
