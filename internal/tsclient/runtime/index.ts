// A client for the API. It knows what the types cannot say: ids are made here,
// so that every request can be repeated; views follow the log and can be waited
// for; a stream goes on where it was cut off.

import type { Posts, Problem, ProblemCode, Receipt, RecordedEvent, Routes, Rows } from "./types.js";

export type * from "./types.js";

export interface ClientOptions {
  /** Where the server is, such as https://api.example.org. */
  baseUrl: string;
  /** The API key or JWT; a function is asked before every request. */
  token?: string | (() => string | Promise<string>) | undefined;
  /** How often a request is tried, the first time included; 8 by default. */
  attempts?: number | undefined;
  /** For how many milliseconds a request is tried again; 60,000 by default. */
  patience?: number | undefined;
  /** After how many milliseconds an attempt counts as failed, besides the wait it asks for; 35,000 by default. */
  timeout?: number | undefined;
  /** Used instead of the global fetch. */
  fetch?: typeof fetch | undefined;
}

/** An answer that is not a success, as the server explains it. */
export class ProblemError<C extends string = string> extends Error {
  override readonly name = "ProblemError";
  constructor(
    readonly problem: Problem & { code: C },
    /** Milliseconds after which the server asks to try again. */
    readonly retryAfter: number | undefined,
  ) {
    super(`${problem.title}: ${problem.detail}`);
  }
  /** What happened; branch on it. */
  get code(): C {
    return this.problem.code;
  }
  get status(): number {
    return this.problem.status;
  }
}

/** Tells whether an error is a problem, and with a code whether it is that one. */
export function isProblem<C extends ProblemCode = ProblemCode>(error: unknown, code?: C): error is ProblemError<C> {
  return error instanceof ProblemError && (code === undefined || error.code === code);
}

/** The server was not reached, or broke off, as often as it was tried. */
export class UnreachableError extends Error {
  override readonly name = "UnreachableError";
}

let lastTime = 0;
let sequence = 0;

/** A UUIDv7 (RFC 9562): of those that one program makes, later ones are greater. */
export function uuidv7(): string {
  const now = Date.now();
  if (now > lastTime) {
    lastTime = now;
    sequence = crypto.getRandomValues(new Uint16Array(1))[0]! & 0x7ff;
  } else if (++sequence > 0xfff) {
    lastTime++;
    sequence = 0;
  }
  const random = crypto.getRandomValues(new Uint8Array(8));
  random[0] = (random[0]! & 0x3f) | 0x80;
  const hex =
    lastTime.toString(16).padStart(12, "0") +
    "7" +
    sequence.toString(16).padStart(3, "0") +
    Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/**
 * An event as a program writes it: the id is made unless it is given, and so is
 * the aggregate's where the event creates it.
 */
export type Draft<D extends keyof Posts> = DraftOf<Posts[D]["event"], Posts[D]["creating"]>;

type DraftOf<E, Creating> = E extends { name: string }
  ? { [K in keyof E as K extends "id" | "aggregate_id" ? never : K]: E[K] } & { id?: string } & (E["name"] extends Creating
        ? { aggregate_id?: string }
        : { aggregate_id: string })
  : never;

interface Ids {
  id?: string | undefined;
  aggregate_id?: string | undefined;
}

/** What a request is made of besides its route. */
export type Input<R extends keyof Routes> = Part<"path", Routes[R]["path"]> &
  Part<"query", Routes[R]["query"]> &
  Part<"header", Routes[R]["header"]> &
  Part<"body", Routes[R]["body"]> & { signal?: AbortSignal };

type Part<Name extends string, T> = undefined extends T
  ? { [N in Name]?: T }
  : {} extends T
    ? { [N in Name]?: T }
    : { [N in Name]: T };

type Arguments<R extends keyof Routes> = {} extends Input<R> ? [input?: Input<R>] : [input: Input<R>];

interface AnyInput {
  path?: Record<string, string | number> | undefined;
  query?: Record<string, unknown> | undefined;
  header?: Record<string, unknown> | undefined;
  body?: unknown;
  signal?: AbortSignal | undefined;
}

/** A list's items, whatever route it comes from. */
type Item<R extends keyof Routes> = Routes[R]["answer"] extends { items: Array<infer T> } ? T : never;

export interface AppendOptions {
  /** The version that the aggregate must be at. */
  ifMatch?: number | undefined;
  /** Answer when every view of the domain shows the events, or after this many seconds. */
  wait?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface StreamOptions {
  /** Begin after this position; without it the stream begins now. */
  after?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface EventFilter extends StreamOptions {
  aggregate?: string | undefined;
  aggregate_id?: string | undefined;
  name?: RecordedEvent["name"] | undefined;
}

/** A row that is different now, or one that is gone. */
export type Change<Row> =
  | { type: "changed"; position: number; row: Row }
  | { type: "removed"; position: number; id: string };

/** How long a stream may be silent, which is three heartbeats of the server. */
const silence = 45_000;

export class Client {
  readonly #base: string;
  readonly #options: ClientOptions;

  constructor(options: ClientOptions) {
    this.#base = options.baseUrl.replace(/\/+$/, "");
    this.#options = options;
  }

  /**
   * Appends events, all or none. It is tried again while the server is away,
   * always with the same ids, so nothing is recorded twice.
   */
  append<D extends keyof Posts>(domain: D, event: Draft<D>, options?: AppendOptions): Promise<Receipt>;
  append<D extends keyof Posts>(domain: D, events: ReadonlyArray<Draft<D>>, options?: AppendOptions): Promise<Receipt[]>;
  async append(domain: string, events: Ids | readonly Ids[], options: AppendOptions = {}): Promise<Receipt | Receipt[]> {
    const withIds = (event: Ids) => ({
      ...event,
      id: event.id ?? uuidv7(),
      aggregate_id: event.aggregate_id ?? uuidv7(),
    });
    const header: Record<string, string> = {};
    if (options.ifMatch !== undefined) header["If-Match"] = `"${options.ifMatch}"`;
    if (options.wait !== undefined) header["Prefer"] = `wait=${options.wait}`;
    const answer = await this.#json(`POST /v1/${domain}/events`, {
      body: isList(events) ? events.map(withIds) : withIds(events),
      header,
      signal: options.signal,
    });
    return isList(events) ? (answer as { events: Receipt[] }).events : (answer as Receipt);
  }

  /** Sends a request to a route of the API and gives its answer. */
  request<R extends keyof Routes>(route: R, ...[input]: Arguments<R>): Promise<Routes[R]["answer"]> {
    return this.#json(route, (input ?? {}) as AnyInput) as Promise<Routes[R]["answer"]>;
  }

  /** Gives the items of a list, page after page. */
  async *items<R extends keyof Routes & `GET ${string}`>(route: R, ...[input]: Arguments<R>): AsyncGenerator<Item<R>, void, undefined> {
    const given = (input ?? {}) as AnyInput;
    let url: string | undefined = this.#url(route, given);
    while (url !== undefined) {
      const response: Answer = await this.#send("GET", url, given);
      yield* (response.body as { items: Item<R>[] }).items;
      const next: string | undefined = /<([^>]*)>; rel="next"/.exec(response.header.get("Link") ?? "")?.[1];
      url = next === undefined ? undefined : this.#base + next;
    }
  }

  /**
   * Waits until a domain's view shows what a receipt is about, and gives the
   * row. It fails with view-behind when that takes longer than the seconds,
   * 30 by default, and with gone where the row was deleted.
   */
  async waitFor<D extends keyof Rows>(
    domain: D,
    what: { aggregate_id: string; version: number },
    options: { seconds?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Rows[D]> {
    const url = `${this.#base}/v1/${domain}/${what.aggregate_id}?min_version=${what.version}`;
    const end = Date.now() + (options.seconds ?? 30) * 1000;
    for (;;) {
      const left = Math.max(0, Math.min(30, Math.ceil((end - Date.now()) / 1000)));
      try {
        const input = { header: { Prefer: `wait=${left}` }, signal: options.signal };
        return (await this.#send("GET", url, input)).body as Rows[D];
      } catch (error) {
        if (!isProblem(error, "view-behind") || Date.now() >= end) throw error;
      }
    }
  }

  /**
   * Follows the log: every event from a position on, each once, for ever. A
   * connection that breaks is made again and goes on where it was.
   */
  async *events(filter: EventFilter = {}): AsyncGenerator<RecordedEvent, void, undefined> {
    const { signal, after, ...query } = filter;
    for await (const message of this.#follow("GET /v1/events/stream", query, { signal, after })) {
      yield JSON.parse(message.data) as RecordedEvent;
    }
  }

  /** Follows a domain's view: each row that changes, after it can be read. */
  async *changes<D extends keyof Rows>(domain: D, options: StreamOptions = {}): AsyncGenerator<Change<Rows[D]>, void, undefined> {
    for await (const message of this.#follow(`GET /v1/${domain}/stream`, {}, options)) {
      const position = Number(message.id);
      if (message.event === "removed") {
        yield { type: "removed", position, id: (JSON.parse(message.data) as { id: string }).id };
      } else {
        yield { type: "changed", position, row: JSON.parse(message.data) as Rows[D] };
      }
    }
  }

  async #json(route: string, input: AnyInput): Promise<unknown> {
    const method = route.slice(0, route.indexOf(" "));
    return (await this.#send(method, this.#url(route, input), input)).body;
  }

  #url(route: string, input: AnyInput): string {
    const path = route
      .slice(route.indexOf(" ") + 1)
      .replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(String(input.path?.[name] ?? "")));
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(input.query ?? {})) {
      if (value !== undefined) query.set(name, String(value));
    }
    const text = query.toString();
    return this.#base + path + (text === "" ? "" : `?${text}`);
  }

  /** Tries a request until there is an answer, or the patience is used up. */
  async #send(method: string, url: string, input: AnyInput): Promise<Answer> {
    const headers: Record<string, string> = { Accept: "application/json" };
    const request: RequestInit = { method };
    if (method === "POST") {
      // Only commands ask for it, and the others do not mind.
      headers["Idempotency-Key"] = uuidv7();
      if (input.body !== undefined) {
        headers["Content-Type"] = "application/json";
        request.body = JSON.stringify(input.body);
      }
    }
    for (const [name, value] of Object.entries(input.header ?? {})) {
      if (value !== undefined) headers[name] = String(value);
    }
    const wait = Number(/wait=(\d+)/.exec(headers["Prefer"] ?? "")?.[1] ?? 0) * 1000;
    const end = Date.now() + (this.#options.patience ?? 60_000);
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#attempt(url, { ...request, headers }, wait, input.signal);
      if (!(outcome instanceof Error)) return outcome;
      const pause = pauseAfter(attempt, outcome);
      if (pause === undefined || attempt >= (this.#options.attempts ?? 8) || Date.now() + pause > end) throw outcome;
      await sleep(pause, input.signal);
    }
  }

  async #attempt(url: string, request: RequestInit, wait: number, signal?: AbortSignal): Promise<Answer | Error> {
    const timeout = AbortSignal.timeout((this.#options.timeout ?? 35_000) + wait);
    try {
      const response = await this.#fetch(url, request, signal === undefined ? timeout : AbortSignal.any([signal, timeout]));
      const text = await response.text();
      if (!response.ok) return problemOf(response, text);
      return { header: response.headers, body: text === "" ? undefined : JSON.parse(text) };
    } catch (cause) {
      signal?.throwIfAborted();
      return new UnreachableError(`${request.method} ${url} got no answer`, { cause });
    }
  }

  async #fetch(url: string, request: RequestInit, signal: AbortSignal): Promise<Response> {
    const { token } = this.#options;
    const headers = new Headers(request.headers);
    if (token !== undefined) headers.set("Authorization", `Bearer ${typeof token === "function" ? await token() : token}`);
    return (this.#options.fetch ?? fetch)(url, { ...request, headers, signal });
  }

  /** Reads a stream of messages, connecting again whenever it ends. */
  async *#follow(route: string, query: Record<string, unknown>, options: StreamOptions): AsyncGenerator<Message, void, undefined> {
    const place = { id: options.after === undefined ? "" : String(options.after), retry: 1000 };
    const url = this.#url(route, { query });
    for (let failures = 0; ; ) {
      const connection = new AbortController();
      const signal = options.signal === undefined ? connection.signal : AbortSignal.any([options.signal, connection.signal]);
      const watchdog = new Watchdog(() => connection.abort());
      let failure: Error | undefined;
      try {
        const header: Record<string, string> = { Accept: "text/event-stream" };
        if (place.id !== "") header["Last-Event-ID"] = place.id;
        const response = await this.#fetch(url, { headers: header }, signal);
        if (!response.ok || response.body === null) throw problemOf(response, await response.text());
        for await (const message of messages(response.body, place, watchdog)) {
          failures = 0;
          if (message !== undefined) yield message;
        }
      } catch (cause) {
        options.signal?.throwIfAborted();
        failure = cause instanceof ProblemError ? cause : new UnreachableError(`${url} broke off`, { cause });
      } finally {
        watchdog.stop();
        connection.abort();
      }
      if (failure !== undefined) failures++;
      const pause = failure === undefined ? 0 : pauseAfter(failures, failure);
      if (pause === undefined) throw failure;
      await sleep(Math.max(pause, place.retry), options.signal);
    }
  }
}

interface Answer {
  header: Headers;
  body: unknown;
}

interface Message {
  id: string;
  event: string;
  data: string;
}

/** Ends a connection on which nothing comes any more. */
class Watchdog {
  #timer: ReturnType<typeof setTimeout>;
  readonly #bark: () => void;
  constructor(bark: () => void) {
    this.#bark = bark;
    this.#timer = setTimeout(bark, silence);
  }
  pat(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#bark, silence);
  }
  stop(): void {
    clearTimeout(this.#timer);
  }
}

/**
 * Reads Server-Sent Events (HTML standard, 9.2.6) and keeps the place to go on
 * from. Undefined stands for a sign of life without a message.
 */
async function* messages(
  body: ReadableStream<Uint8Array>,
  place: { id: string; retry: number },
  watchdog: Watchdog,
): AsyncGenerator<Message | undefined, void, undefined> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  let id: string | undefined;
  let event = "";
  let data: string[] = [];
  for (;;) {
    const chunk = await reader.read();
    if (chunk.done) return;
    watchdog.pat();
    yield undefined;
    const lines = (rest + decoder.decode(chunk.value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") {
        const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
        if (field === "id") id = value ?? "";
        if (field === "event") event = value ?? "";
        if (field === "data") data.push(value ?? "");
        if (field === "retry" && /^\d+$/.test(value ?? "")) place.retry = Number(value);
        continue;
      }
      const message = data.length === 0 ? undefined : { id: id ?? place.id, event, data: data.join("\n") };
      if (message !== undefined) {
        // Before the place moves: whoever stops here has not seen it.
        yield message;
        watchdog.pat();
      }
      place.id = id ?? place.id;
      event = "";
      data = [];
    }
  }
}

/** Array.isArray, also for a list that is read only. */
function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

/** Whether, and after how many milliseconds, to try again. */
function pauseAfter(attempt: number, error: Error): number | undefined {
  const backoff = Math.min(10_000, 100 * 2 ** attempt) * (0.5 + Math.random() / 2);
  if (!(error instanceof ProblemError)) return backoff;
  return [408, 429, 502, 503].includes(error.status) ? Math.max(backoff, error.retryAfter ?? 0) : undefined;
}

/** The problem of an answer; also of one that something on the way has made. */
function problemOf(response: Response, text: string): ProblemError {
  const seconds = Number(response.headers.get("Retry-After") ?? NaN);
  let problem: Problem | undefined;
  try {
    problem = JSON.parse(text) as Problem;
  } catch {
    // Not from the API.
  }
  if (typeof problem?.code !== "string") {
    const title = response.statusText || `Status ${response.status}`;
    problem = { type: "about:blank", title, status: response.status, detail: text.slice(0, 200), instance: "", code: "" };
  }
  return new ProblemError(problem, Number.isNaN(seconds) ? undefined : seconds * 1000);
}

function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
