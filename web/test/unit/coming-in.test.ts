/** Coming into a space: what a camera reads, why there may be none, and who is in sight. */
import type { Peer, Space } from "@covey/client";
import { afterEach, describe, expect, test, vi } from "vitest";
import { homeSpace } from "../../src/frame/last.ts";
import { mayManage, whyReadOnly } from "../../src/api/queries.ts";
import { whoIsNear } from "../../src/people/nearby.tsx";
import { openCamera, whyNoCamera } from "../../src/scan/camera.ts";
import { makeReader } from "../../src/scan/reader.ts";
import { isInvitation } from "../../src/scan/scan.tsx";

afterEach(() => vi.unstubAllGlobals());

const failing = (name: string) => Object.assign(new Error("as the browser says it"), { name });

describe("a camera", () => {
  test("is refused, missing or taken: each is said in a sentence of its own", () => {
    expect(whyNoCamera(failing("NotAllowedError"))).toContain("may not use the camera");
    expect(whyNoCamera(failing("NotFoundError"))).toBe("No camera was found on this device.");
    expect(whyNoCamera(failing("NotReadableError"))).toContain("Another program");
    expect(whyNoCamera("?")).toBe("The camera does not work here.");
  });

  test("is not there on a page that the browser doesn't trust", async () => {
    vi.stubGlobal("navigator", {});
    await expect(openCamera()).rejects.toThrow("http://127.0.0.1");
  });

  test("is read by the browser itself where it knows QR codes", async () => {
    const detect = vi.fn().mockResolvedValueOnce([]).mockResolvedValueOnce([{ rawValue: "covey://join/abc" }]);
    class BarcodeDetector {
      static getSupportedFormats = () => Promise.resolve(["qr_code", "ean_13"]);
      detect = detect;
    }
    vi.stubGlobal("BarcodeDetector", BarcodeDetector);
    const read = await makeReader();
    expect(await read({} as HTMLVideoElement)).toBeNull();
    expect(await read({} as HTMLVideoElement)).toBe("covey://join/abc");
  });

  test("is read by the library where the browser has a detector that knows no QR codes", async () => {
    const made = vi.fn();
    class BarcodeDetector {
      static getSupportedFormats = () => Promise.resolve(["ean_13"]);
      constructor() {
        made();
      }
    }
    vi.stubGlobal("BarcodeDetector", BarcodeDetector);
    const getContext = vi.fn(() => null);
    vi.stubGlobal("document", { createElement: () => ({ getContext }) });
    const read = await makeReader();
    expect(await read({ videoWidth: 640, videoHeight: 480 } as HTMLVideoElement)).toBeNull();
    expect(made).not.toHaveBeenCalled();
    expect(getContext).toHaveBeenCalled();
  });

  test("only an invitation is taken from a QR code", () => {
    for (const text of ["covey://join/abc", "covey://device/abc", "COVEY-7KQ2-M4XD"]) expect(isInvitation(text), text).toBe(true);
    for (const text of ["https://covey.example", "WIFI:T:WPA;S:garden;P:peas;;", "", "COVEY", "javascript:alert(1)"]) expect(isInvitation(text), text).toBe(false);
  });
});

const peer = (name: string | null): Peer => ({ peer_id: name ?? "12D3", name, user: null, state: "connected", path: "direct", transport: "quic", rtt_ms: 1, address: null });

test("who is in sight is named where a space is shared, and counted where not", () => {
  expect(whoIsNear([peer(null)])).toBe("1 device");
  expect(whoIsNear([peer("bob-phone")])).toBe("bob-phone");
  expect(whoIsNear([peer("bob-phone"), peer("nas")])).toBe("bob-phone and nas");
  expect(whoIsNear([peer(null), peer("bob-phone"), peer(null)])).toBe("bob-phone and 2 others");
});

const space = (id: string, more: Partial<Space> = {}): Space => ({ id, name: id, role: "member", members: 1, entries: 0, records: 0, pending: 0, sync: [], removed: null, ...more });
const out = { by: "Ada", own: false, at: "2026-01-01T00:00:00Z" };

test("one begins in a space that one is in, and in one that one is out of only where there is no other", () => {
  expect(homeSpace([space("a", { removed: out }), space("b")])?.id).toBe("b");
  expect(homeSpace([space("a", { removed: out })])?.id).toBe("a");
  expect(homeSpace([])).toBeUndefined();
});

test("nobody who is out of a space, or a guest in it, is offered to write", () => {
  expect(whyReadOnly(space("a"))).toBe(false);
  expect(whyReadOnly(space("a", { role: "guest" }))).toBe("Guests read only.");
  expect(whyReadOnly(space("a", { role: "owner", removed: out }))).toBe("You are no longer in this space.");
  expect(mayManage(space("a", { role: "admin" }))).toBe(true);
  expect(mayManage(space("a", { role: "admin", removed: out }))).toBe(false);
  expect(mayManage(undefined)).toBe(false);
});
