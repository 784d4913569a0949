// A client for the API. It knows what the types cannot say: ids are made here,
// so that every request can be repeated; views follow the log and can be waited
// for; a stream goes on where it was cut off.
/** An answer that is not a success, as the server explains it. */
export class ProblemError extends Error {
    problem;
    retryAfter;
    name = "ProblemError";
    constructor(problem, 
    /** Milliseconds after which the server asks to try again. */
    retryAfter) {
        super(`${problem.title}: ${problem.detail}`);
        this.problem = problem;
        this.retryAfter = retryAfter;
    }
    /** What happened; branch on it. */
    get code() {
        return this.problem.code;
    }
    get status() {
        return this.problem.status;
    }
}
/** Tells whether an error is a problem, and with a code whether it is that one. */
export function isProblem(error, code) {
    return error instanceof ProblemError && (code === undefined || error.code === code);
}
/** The server was not reached, or broke off, as often as it was tried. */
export class UnreachableError extends Error {
    name = "UnreachableError";
}
let lastTime = 0;
let sequence = 0;
/** A UUIDv7 (RFC 9562): of those that one program makes, later ones are greater. */
export function uuidv7() {
    const now = Date.now();
    if (now > lastTime) {
        lastTime = now;
        sequence = crypto.getRandomValues(new Uint16Array(1))[0] & 0x7ff;
    }
    else if (++sequence > 0xfff) {
        lastTime++;
        sequence = 0;
    }
    const random = crypto.getRandomValues(new Uint8Array(8));
    random[0] = (random[0] & 0x3f) | 0x80;
    const hex = lastTime.toString(16).padStart(12, "0") +
        "7" +
        sequence.toString(16).padStart(3, "0") +
        Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
/** How long a stream may be silent, which is three heartbeats of the server. */
const silence = 45_000;
export class Client {
    #base;
    #options;
    constructor(options) {
        this.#base = options.baseUrl.replace(/\/+$/, "");
        this.#options = options;
    }
    async append(domain, events, options = {}) {
        const withIds = (event) => ({
            ...event,
            id: event.id ?? uuidv7(),
            aggregate_id: event.aggregate_id ?? uuidv7(),
        });
        const header = {};
        if (options.ifMatch !== undefined)
            header["If-Match"] = `"${options.ifMatch}"`;
        if (options.wait !== undefined)
            header["Prefer"] = `wait=${options.wait}`;
        const answer = await this.#json(`POST /v1/${domain}/events`, {
            body: isList(events) ? events.map(withIds) : withIds(events),
            header,
            signal: options.signal,
        });
        return isList(events) ? answer.events : answer;
    }
    /** Sends a request to a route of the API and gives its answer. */
    request(route, ...[input]) {
        return this.#json(route, (input ?? {}));
    }
    /** Gives the items of a list, page after page. */
    async *items(route, ...[input]) {
        const given = (input ?? {});
        let url = this.#url(route, given);
        while (url !== undefined) {
            const response = await this.#send("GET", url, given);
            yield* response.body.items;
            const next = /<([^>]*)>; rel="next"/.exec(response.header.get("Link") ?? "")?.[1];
            url = next === undefined ? undefined : this.#base + next;
        }
    }
    /**
     * Waits until a domain's view shows what a receipt is about, and gives the
     * row. It fails with view-behind when that takes longer than the seconds,
     * 30 by default, and with gone where the row was deleted.
     */
    async waitFor(domain, what, options = {}) {
        const url = `${this.#base}/v1/${domain}/${what.aggregate_id}?min_version=${what.version}`;
        const end = Date.now() + (options.seconds ?? 30) * 1000;
        for (;;) {
            const left = Math.max(0, Math.min(30, Math.ceil((end - Date.now()) / 1000)));
            try {
                const input = { header: { Prefer: `wait=${left}` }, signal: options.signal };
                return (await this.#send("GET", url, input)).body;
            }
            catch (error) {
                if (!isProblem(error, "view-behind") || Date.now() >= end)
                    throw error;
            }
        }
    }
    /**
     * Follows the log: every event from a position on, each once, for ever. A
     * connection that breaks is made again and goes on where it was.
     */
    async *events(filter = {}) {
        const { signal, after, ...query } = filter;
        for await (const message of this.#follow("GET /v1/events/stream", query, { signal, after })) {
            yield JSON.parse(message.data);
        }
    }
    /** Follows a domain's view: each row that changes, after it can be read. */
    async *changes(domain, options = {}) {
        for await (const message of this.#follow(`GET /v1/${domain}/stream`, {}, options)) {
            const position = Number(message.id);
            if (message.event === "removed") {
                yield { type: "removed", position, id: JSON.parse(message.data).id };
            }
            else {
                yield { type: "changed", position, row: JSON.parse(message.data) };
            }
        }
    }
    async #json(route, input) {
        const method = route.slice(0, route.indexOf(" "));
        return (await this.#send(method, this.#url(route, input), input)).body;
    }
    #url(route, input) {
        const path = route
            .slice(route.indexOf(" ") + 1)
            .replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(String(input.path?.[name] ?? "")));
        const query = new URLSearchParams();
        for (const [name, value] of Object.entries(input.query ?? {})) {
            if (value !== undefined)
                query.set(name, String(value));
        }
        const text = query.toString();
        return this.#base + path + (text === "" ? "" : `?${text}`);
    }
    /** Tries a request until there is an answer, or the patience is used up. */
    async #send(method, url, input) {
        const headers = { Accept: "application/json" };
        const request = { method };
        if (method === "POST") {
            // Only commands ask for it, and the others do not mind.
            headers["Idempotency-Key"] = uuidv7();
            if (input.body !== undefined) {
                headers["Content-Type"] = "application/json";
                request.body = JSON.stringify(input.body);
            }
        }
        for (const [name, value] of Object.entries(input.header ?? {})) {
            if (value !== undefined)
                headers[name] = String(value);
        }
        const wait = Number(/wait=(\d+)/.exec(headers["Prefer"] ?? "")?.[1] ?? 0) * 1000;
        const end = Date.now() + (this.#options.patience ?? 60_000);
        for (let attempt = 1;; attempt++) {
            const outcome = await this.#attempt(url, { ...request, headers }, wait, input.signal);
            if (!(outcome instanceof Error))
                return outcome;
            const pause = pauseAfter(attempt, outcome);
            if (pause === undefined || attempt >= (this.#options.attempts ?? 8) || Date.now() + pause > end)
                throw outcome;
            await sleep(pause, input.signal);
        }
    }
    async #attempt(url, request, wait, signal) {
        const timeout = AbortSignal.timeout((this.#options.timeout ?? 35_000) + wait);
        try {
            const response = await this.#fetch(url, request, signal === undefined ? timeout : AbortSignal.any([signal, timeout]));
            const text = await response.text();
            if (!response.ok)
                return problemOf(response, text);
            return { header: response.headers, body: text === "" ? undefined : JSON.parse(text) };
        }
        catch (cause) {
            signal?.throwIfAborted();
            return new UnreachableError(`${request.method} ${url} got no answer`, { cause });
        }
    }
    async #fetch(url, request, signal) {
        const { token } = this.#options;
        const headers = new Headers(request.headers);
        if (token !== undefined)
            headers.set("Authorization", `Bearer ${typeof token === "function" ? await token() : token}`);
        return (this.#options.fetch ?? fetch)(url, { ...request, headers, signal });
    }
    /** Reads a stream of messages, connecting again whenever it ends. */
    async *#follow(route, query, options) {
        const place = { id: options.after === undefined ? "" : String(options.after), retry: 1000 };
        const url = this.#url(route, { query });
        for (let failures = 0;;) {
            const connection = new AbortController();
            const signal = options.signal === undefined ? connection.signal : AbortSignal.any([options.signal, connection.signal]);
            const watchdog = new Watchdog(() => connection.abort());
            let failure;
            try {
                const header = { Accept: "text/event-stream" };
                if (place.id !== "")
                    header["Last-Event-ID"] = place.id;
                const response = await this.#fetch(url, { headers: header }, signal);
                if (!response.ok || response.body === null)
                    throw problemOf(response, await response.text());
                for await (const message of messages(response.body, place, watchdog)) {
                    failures = 0;
                    if (message !== undefined)
                        yield message;
                }
            }
            catch (cause) {
                options.signal?.throwIfAborted();
                failure = cause instanceof ProblemError ? cause : new UnreachableError(`${url} broke off`, { cause });
            }
            finally {
                watchdog.stop();
                connection.abort();
            }
            if (failure !== undefined)
                failures++;
            const pause = failure === undefined ? 0 : pauseAfter(failures, failure);
            if (pause === undefined)
                throw failure;
            await sleep(Math.max(pause, place.retry), options.signal);
        }
    }
}
/** Ends a connection on which nothing comes any more. */
class Watchdog {
    #timer;
    #bark;
    constructor(bark) {
        this.#bark = bark;
        this.#timer = setTimeout(bark, silence);
    }
    pat() {
        clearTimeout(this.#timer);
        this.#timer = setTimeout(this.#bark, silence);
    }
    stop() {
        clearTimeout(this.#timer);
    }
}
/**
 * Reads Server-Sent Events (HTML standard, 9.2.6) and keeps the place to go on
 * from. Undefined stands for a sign of life without a message.
 */
async function* messages(body, place, watchdog) {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    let id;
    let event = "";
    let data = [];
    for (;;) {
        const chunk = await reader.read();
        if (chunk.done)
            return;
        watchdog.pat();
        yield undefined;
        const lines = (rest + decoder.decode(chunk.value, { stream: true })).split(/\r\n|\n|\r(?!$)/);
        rest = lines.pop() ?? "";
        for (const line of lines) {
            if (line !== "") {
                const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
                if (field === "id")
                    id = value ?? "";
                if (field === "event")
                    event = value ?? "";
                if (field === "data")
                    data.push(value ?? "");
                if (field === "retry" && /^\d+$/.test(value ?? ""))
                    place.retry = Number(value);
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
function isList(value) {
    return Array.isArray(value);
}
/** Whether, and after how many milliseconds, to try again. */
function pauseAfter(attempt, error) {
    const backoff = Math.min(10_000, 100 * 2 ** attempt) * (0.5 + Math.random() / 2);
    if (!(error instanceof ProblemError))
        return backoff;
    return [408, 429, 502, 503].includes(error.status) ? Math.max(backoff, error.retryAfter ?? 0) : undefined;
}
/** The problem of an answer; also of one that something on the way has made. */
function problemOf(response, text) {
    const seconds = Number(response.headers.get("Retry-After") ?? NaN);
    let problem;
    try {
        problem = JSON.parse(text);
    }
    catch {
        // Not from the API.
    }
    if (typeof problem?.code !== "string") {
        const title = response.statusText || `Status ${response.status}`;
        problem = { type: "about:blank", title, status: response.status, detail: text.slice(0, 200), instance: "", code: "" };
    }
    return new ProblemError(problem, Number.isNaN(seconds) ? undefined : seconds * 1000);
}
function sleep(milliseconds, signal) {
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
