/** Requests to a node: JSON in and out, and every failure as one kind of error with a sentence for people. */
import type { ProblemDocument } from "./types.ts";

export interface Connection {
  /** Where the node is; empty for the page's own origin. */
  base: string;
  /** The token of `HOME/api.json`. A browser has a cookie instead, and leaves it out. */
  token?: string;
}

/** Why a request was not fulfilled. `status` is 0 where no answer came. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: string,
    detail: string,
    readonly line?: number,
    readonly records?: number,
  ) {
    super(detail);
    this.name = "ApiError";
  }
}

export const isUnreachable = (error: unknown): boolean => error instanceof ApiError && error.status === 0;
export const isSignedOut = (error: unknown): boolean => error instanceof ApiError && error.status === 401;
export const isMissing = (error: unknown): boolean => error instanceof ApiError && error.status === 404;

/** Whether trying the same again may help: nobody answered, or the node itself failed. */
export const isPassing = (error: unknown): boolean =>
  error instanceof ApiError && (error.status === 0 || error.status === 429 || error.status >= 500);

export type Query = Record<string, string | number | boolean | null | undefined>;

export interface Call {
  method?: string;
  query?: Query;
  json?: unknown;
  body?: BodyInit;
  /** What the body is, where it isn't `json`. */
  type?: string;
  accept?: string;
  /** `respond-async` (RFC 7240) for a job in place of waiting. */
  prefer?: string;
  /** Goes out even if the page that sends it is closed in the same moment. */
  keepalive?: boolean;
  signal?: AbortSignal | undefined;
}

/** A path from parts that may hold any character. */
export const path = (...parts: string[]): string => `/api/v1/${parts.map(encodeURIComponent).join("/")}`;

export const withQuery = (url: string, query: Query = {}): string => {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== null && value !== "") search.set(key, String(value));
  }
  const text = search.toString();
  return text ? `${url}?${text}` : url;
};

export async function send(connection: Connection, url: string, call: Call = {}): Promise<Response> {
  const headers = new Headers();
  if (call.json !== undefined) headers.set("content-type", "application/json");
  if (call.type) headers.set("content-type", call.type);
  if (call.accept) headers.set("accept", call.accept);
  if (call.prefer) headers.set("prefer", call.prefer);
  if (connection.token) headers.set("authorization", `Bearer ${connection.token}`);
  const init: RequestInit = { method: call.method ?? "GET", headers, credentials: "same-origin" };
  const body = call.json !== undefined ? JSON.stringify(call.json) : call.body;
  if (body !== undefined) init.body = body;
  if (call.keepalive) init.keepalive = true;
  if (call.signal) init.signal = call.signal;
  let response: Response;
  try {
    response = await fetch(connection.base + withQuery(url, call.query), init);
  } catch (error) {
    if (call.signal?.aborted) throw error;
    throw new ApiError(0, "unreachable", "The node does not answer. Is it running?");
  }
  if (!response.ok) throw await problemOf(response);
  return response;
}

export async function ask<T>(connection: Connection, url: string, call: Call = {}): Promise<T> {
  const response = await send(connection, url, call);
  return (response.status === 204 ? undefined : await response.json()) as T;
}

/** Lines of JSON as they come. */
export async function* lines<T>(response: Response): AsyncGenerator<T> {
  const reader = response.body?.getReader();
  if (!reader) return;
  const decoder = new TextDecoder();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += decoder.decode(value, { stream: !done });
    const parts = rest.split("\n");
    rest = parts.pop() ?? "";
    for (const part of parts) if (part) yield JSON.parse(part) as T;
    if (done) break;
  }
  if (rest) yield JSON.parse(rest) as T;
}

export async function problemOf(response: Response): Promise<ApiError> {
  const fallback = `The node answered ${response.status}`;
  try {
    const problem = (await response.json()) as Partial<ProblemDocument>;
    const name = (problem.type ?? "").replace("/problems/", "");
    return new ApiError(response.status, name, problem.detail ?? fallback, problem.line, problem.records);
  } catch {
    return new ApiError(response.status, "", fallback);
  }
}
