/** An upload that tells how far it is: `fetch` can't, so this is the one place that uses the older way. */
import { ApiError, type ImportResult } from "@covey/client";

export function upload(url: string, body: Blob, onProgress: (done: number) => void, signal: AbortSignal): Promise<ImportResult> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("content-type", "application/x-ndjson");
    request.responseType = "json";
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => {
      const answer = request.response as (ImportResult & { detail?: string; type?: string; line?: number; records?: number }) | null;
      if (request.status < 300 && answer) resolve(answer);
      else reject(new ApiError(request.status, answer?.type ?? "", answer?.detail ?? `The node answered ${request.status}`, answer?.line, answer?.records));
    };
    request.onerror = () => reject(new ApiError(0, "unreachable", "The upload broke off. What came before it was imported."));
    request.onabort = () => reject(new ApiError(0, "stopped", "Stopped. What came before it was imported."));
    signal.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}
