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
export declare class ProblemError<C extends string = string> extends Error {
    readonly problem: Problem & {
        code: C;
    };
    /** Milliseconds after which the server asks to try again. */
    readonly retryAfter: number | undefined;
    readonly name = "ProblemError";
    constructor(problem: Problem & {
        code: C;
    }, 
    /** Milliseconds after which the server asks to try again. */
    retryAfter: number | undefined);
    /** What happened; branch on it. */
    get code(): C;
    get status(): number;
}
/** Tells whether an error is a problem, and with a code whether it is that one. */
export declare function isProblem<C extends ProblemCode = ProblemCode>(error: unknown, code?: C): error is ProblemError<C>;
/** The server was not reached, or broke off, as often as it was tried. */
export declare class UnreachableError extends Error {
    readonly name = "UnreachableError";
}
/** A UUIDv7 (RFC 9562): of those that one program makes, later ones are greater. */
export declare function uuidv7(): string;
/**
 * An event as a program writes it: the id is made unless it is given, and so is
 * the aggregate's where the event creates it.
 */
export type Draft<D extends keyof Posts> = DraftOf<Posts[D]["event"], Posts[D]["creating"]>;
type DraftOf<E, Creating> = E extends {
    name: string;
} ? {
    [K in keyof E as K extends "id" | "aggregate_id" ? never : K]: E[K];
} & {
    id?: string;
} & (E["name"] extends Creating ? {
    aggregate_id?: string;
} : {
    aggregate_id: string;
}) : never;
/** What a request is made of besides its route. */
export type Input<R extends keyof Routes> = Part<"path", Routes[R]["path"]> & Part<"query", Routes[R]["query"]> & Part<"header", Routes[R]["header"]> & Part<"body", Routes[R]["body"]> & {
    signal?: AbortSignal;
};
type Part<Name extends string, T> = undefined extends T ? {
    [N in Name]?: T;
} : {} extends T ? {
    [N in Name]?: T;
} : {
    [N in Name]: T;
};
type Arguments<R extends keyof Routes> = {} extends Input<R> ? [input?: Input<R>] : [input: Input<R>];
/** A list's items, whatever route it comes from. */
type Item<R extends keyof Routes> = Routes[R]["answer"] extends {
    items: Array<infer T>;
} ? T : never;
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
export type Change<Row> = {
    type: "changed";
    position: number;
    row: Row;
} | {
    type: "removed";
    position: number;
    id: string;
};
export declare class Client {
    #private;
    constructor(options: ClientOptions);
    /**
     * Appends events, all or none. It is tried again while the server is away,
     * always with the same ids, so nothing is recorded twice.
     */
    append<D extends keyof Posts>(domain: D, event: Draft<D>, options?: AppendOptions): Promise<Receipt>;
    append<D extends keyof Posts>(domain: D, events: ReadonlyArray<Draft<D>>, options?: AppendOptions): Promise<Receipt[]>;
    /** Sends a request to a route of the API and gives its answer. */
    request<R extends keyof Routes>(route: R, ...[input]: Arguments<R>): Promise<Routes[R]["answer"]>;
    /** Gives the items of a list, page after page. */
    items<R extends keyof Routes & `GET ${string}`>(route: R, ...[input]: Arguments<R>): AsyncGenerator<Item<R>, void, undefined>;
    /**
     * Waits until a domain's view shows what a receipt is about, and gives the
     * row. It fails with view-behind when that takes longer than the seconds,
     * 30 by default, and with gone where the row was deleted.
     */
    waitFor<D extends keyof Rows>(domain: D, what: {
        aggregate_id: string;
        version: number;
    }, options?: {
        seconds?: number | undefined;
        signal?: AbortSignal | undefined;
    }): Promise<Rows[D]>;
    /**
     * Follows the log: every event from a position on, each once, for ever. A
     * connection that breaks is made again and goes on where it was.
     */
    events(filter?: EventFilter): AsyncGenerator<RecordedEvent, void, undefined>;
    /** Follows a domain's view: each row that changes, after it can be read. */
    changes<D extends keyof Rows>(domain: D, options?: StreamOptions): AsyncGenerator<Change<Rows[D]>, void, undefined>;
}
