// What programs see of index.js. The types of the API are generated from its OpenAPI document.
import type { Carrier, Challenge, Issued, Problem, ProblemType, Session } from "./api.js";

export type { Carrier, Challenge, Issued, Problem, ProblemType, Session };

export interface Options {
  /** URL of the auth server, as its setting issuer has it. */
  issuer: string;
  /** Id of the client; absent: default. */
  client?: string;
  /** What carries the session; absent: cookie. */
  carrier?: Carrier;
  /** Origins beside the issuer's that get the credential. A request to another one is refused. */
  origins?: string[];
}

/** A name and a password, or what another way of signing in wants. */
export interface Proof {
  identifier?: string;
  password?: string;
  method?: string;
  input?: Record<string, unknown>;
}

export interface Events {
  /** Who is signed in, or their roles, have changed; null: nobody is signed in any more. */
  change: Session | null;
  /** Somebody signed out here, in this tab or another. */
  "signed-out": undefined;
  /** The session was ended elsewhere, or was not used for too long. */
  revoked: undefined;
  /** A request needs a fresher or stronger login: see Problem.max_age. */
  "step-up": Problem;
  /** The claims had changed. The session goes on with these. */
  stale: Session;
}

export interface Client {
  /** Signs in. The answer may be a challenge, for answer. */
  signIn(proof: Proof & { scope?: string; signal?: AbortSignal }): Promise<Session | Challenge>;
  /** Makes an account, and signs in. */
  register(account: { identifier: string; password: string; name?: string; signal?: AbortSignal }): Promise<Session | Challenge>;
  /** Answers a challenge of signIn, register or stepUp. */
  answer(challenge: Challenge, answer: Record<string, unknown>): Promise<Session | Challenge>;
  /** Proves again who is signed in. The session goes on. */
  stepUp(proof: Omit<Proof, "identifier">): Promise<Session | Challenge>;
  /** Changes the password. All other sessions end. */
  changePassword(passwords: { current: string; next: string }): Promise<Session | Challenge>;
  /** Ends the session, in all tabs. Rejects if it was not ended. */
  signOut(): Promise<void>;
  /** Who is signed in; null: nobody. With fresh, the server is asked. */
  session(options?: { fresh?: boolean }): Promise<Session | null>;
  /** As fetch, with the credential. */
  fetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response>;
  /** Calls listener at each event. Returns a function that ends it. */
  on<E extends keyof Events>(event: E, listener: (detail: Events[E]) => void): () => void;
  /** Stops listening to other tabs. */
  close(): void;
}

export function createClient(options: Options): Client;

/** An answer of the issuer that is not what was asked for (RFC 9457). */
export class ProblemError extends Error {
  constructor(problem: Problem | null, response?: Response);
  /** null: the answer was none of Counterfoil, but of a proxy. */
  readonly problem: Problem | null;
  readonly response: Response | undefined;
}
