// Made from server/openapi.json by: go test ./client -update

/** what a client holds for its login */
export type Carrier = "cookie" | "bearer" | "jwt-cookie" | "jwe" | "jwe-cookie";

export interface Challenge {
  /** for POST /v1/login/continue. It is a secret, unless a cookie was set: then the cookie has the secret */
  attempt: string;
  /** what the method tells the client */
  challenge: Record<string, unknown>;
  /** seconds */
  expires_in: number;
  /** the way of signing in that asks */
  method: string;
}

/** a place in the revocation log: EPOCH.SEQ */
export type Cursor = string;

export interface Grant {
  carrier: Carrier;
  client: string;
  granted: string;
  /** when it ends if it is not used; to the minute */
  idle_expires: string;
  /** to the minute */
  last_used: string;
  scopes?: string[];
}

export interface Host {
  granted: string;
  /** revoking the token of this id ends the cookie alone */
  id: string;
  /** to the minute */
  last_used: string;
  origin: string;
}

/** tokens are absent when they are in cookies */
export interface Issued {
  access_token?: string;
  /** of a login or step-up whose session is in a header: keep it, also after a logout, and send it as Counterfoil-Device with the next login to the account, and with POST /v1/recovery; strangers who guess, or have mails sent, then do not slow it down */
  device?: string;
  /** seconds that what the client holds is good for, if nobody revokes it; a session cookie also ends when it is not used */
  expires_in: number;
  refresh_token?: string;
  session: Session;
  token_type?: "Bearer";
}

export interface Notice {
  actor?: string;
  actor_name?: string;
  /** where the old token came from, or the login that was one too many */
  address?: string;
  client?: string;
  device?: string;
  /** of a session-limit: how many sessions were ended */
  ended?: number;
  id: string;
  /** what was ended: the session, what the client held of it, or the oldest sessions, because there were more than the limit; damaged: the notice cannot be read, and has an id alone; impersonation: actor acts in the session, for up to an hour */
  kind: "refresh-reuse" | "grant-reuse" | "session-limit" | "impersonation" | "damaged";
  /** of an impersonation */
  reason?: string;
  /** of a session-limit: the last one that was ended */
  session?: string;
  signed_in_address?: string;
  time?: string;
}

/** RFC 9457 */
export interface Problem {
  /** with step-up, from a gateway or a service: the authentication context classes that would do, separated by spaces */
  acr_values?: string;
  detail?: string;
  /** the member of the body that is wrong, if it is one and the server knows which: what a form marks; in an object of the body its path, such as filter.client or users[2].name */
  field?: string;
  /** with step-up: how old the login may be, in seconds; prove again who you are, by POST /v1/session/step-up */
  max_age?: number;
  status: number;
  title: string;
  /** programs branch on it; some are answers of a gateway only */
  type: ProblemType;
}

/** Each type of problem that a server or a gateway answers. */
export type ProblemType =
  | "urn:counterfoil:problem:ambiguous-header"
  | "urn:counterfoil:problem:bad-link"
  | "urn:counterfoil:problem:bad-metadata"
  | "urn:counterfoil:problem:bad-request"
  | "urn:counterfoil:problem:bad-target"
  | "urn:counterfoil:problem:bad-upgrade"
  | "urn:counterfoil:problem:busy"
  | "urn:counterfoil:problem:carrier-not-allowed"
  | "urn:counterfoil:problem:client-disabled"
  | "urn:counterfoil:problem:clock"
  | "urn:counterfoil:problem:code-over"
  | "urn:counterfoil:problem:code-wrong"
  | "urn:counterfoil:problem:credential-too-large"
  | "urn:counterfoil:problem:cross-origin"
  | "urn:counterfoil:problem:damaged"
  | "urn:counterfoil:problem:forbidden"
  | "urn:counterfoil:problem:https-wanted"
  | "urn:counterfoil:problem:identifier-taken"
  | "urn:counterfoil:problem:identity-too-long"
  | "urn:counterfoil:problem:internal"
  | "urn:counterfoil:problem:invalid-code"
  | "urn:counterfoil:problem:invalid-scope"
  | "urn:counterfoil:problem:invalid-token"
  | "urn:counterfoil:problem:invitation-used"
  | "urn:counterfoil:problem:last-administrator"
  | "urn:counterfoil:problem:letter-expired"
  | "urn:counterfoil:problem:link-over"
  | "urn:counterfoil:problem:login-over"
  | "urn:counterfoil:problem:login-refused"
  | "urn:counterfoil:problem:malformed-request"
  | "urn:counterfoil:problem:method-not-allowed"
  | "urn:counterfoil:problem:misdirected"
  | "urn:counterfoil:problem:more-than-planned"
  | "urn:counterfoil:problem:multiple-credentials"
  | "urn:counterfoil:problem:no-credential"
  | "urn:counterfoil:problem:no-dry-run"
  | "urn:counterfoil:problem:no-mail"
  | "urn:counterfoil:problem:no-rule"
  | "urn:counterfoil:problem:no-token"
  | "urn:counterfoil:problem:no-upstream"
  | "urn:counterfoil:problem:not-a-visit"
  | "urn:counterfoil:problem:not-acceptable"
  | "urn:counterfoil:problem:not-found"
  | "urn:counterfoil:problem:not-grpc"
  | "urn:counterfoil:problem:not-passed-on"
  | "urn:counterfoil:problem:password-rejected"
  | "urn:counterfoil:problem:registration-closed"
  | "urn:counterfoil:problem:stale-claims"
  | "urn:counterfoil:problem:step-up"
  | "urn:counterfoil:problem:stopping"
  | "urn:counterfoil:problem:subject-disabled"
  | "urn:counterfoil:problem:too-large"
  | "urn:counterfoil:problem:too-many-attempts"
  | "urn:counterfoil:problem:too-many-cookies"
  | "urn:counterfoil:problem:too-many-refreshes"
  | "urn:counterfoil:problem:too-many-streams"
  | "urn:counterfoil:problem:too-many-verifiers"
  | "urn:counterfoil:problem:unauthorized"
  | "urn:counterfoil:problem:unavailable"
  | "urn:counterfoil:problem:unknown-client"
  | "urn:counterfoil:problem:unknown-method"
  | "urn:counterfoil:problem:unsupported-media-type"
  | "urn:counterfoil:problem:untrusted-proxy"
  | "urn:counterfoil:problem:upstream-failed"
  | "urn:counterfoil:problem:upstream-timeout"
  | "urn:counterfoil:problem:verifier-stale";

/** whoever has applied the log up to cursor refuses what was revoked */
export interface Receipt {
  /** of POST /v1/admin/revocations: after so many milliseconds no verifier accepts what was revoked, unless it serves stale by choice */
  bound_ms?: number;
  committed_at: string;
  /** every verifier has it; only ever true with wait "all" */
  confirmed: boolean;
  cursor: Cursor;
  epoch: string;
  /** verifiers that serve stale by choice, by the first 8 characters of their ids, as in the list of verifiers */
  not_waited_for?: string[];
  /** how many others there are; absent: none */
  not_waited_for_more?: number;
  seq: number;
  /** of POST /v1/admin/revocations: how many verifiers follow this server; absent: none */
  verifiers?: number;
}

export interface Session {
  acr?: string;
  /** who acts as the subject: an impersonation */
  actor?: string;
  amr?: string[];
  auth_time: string;
  carrier: "cookie" | "bearer" | "jwt-cookie" | "jwe" | "jwe-cookie" | "opaque-header";
  client?: string;
  /** of this copy; with a session cookie, when whoever looked it up has to ask again, at the latest */
  expires: string;
  /** public: never a credential */
  id: string;
  roles?: string[];
  scopes?: string[];
  subject: string;
}

export interface SessionRow {
  absolute_expires: string;
  acr?: string;
  /** who acts as the subject: an impersonation */
  actor?: string;
  /** name of the actor, for people */
  actor_name?: string;
  amr?: string[];
  attributes?: Record<string, unknown>;
  auth_time: string;
  carrier: Carrier;
  client: string;
  created: string;
  /** the User-Agent */
  device?: string;
  /** what people call that device; it comes from the client and proves nothing */
  device_label?: string;
  /** an IP address */
  first_address?: string;
  /** what each client holds of the session, its own client first */
  grants: Grant[];
  /** origins of its own client where a browser has a cookie of it besides that of the login, the oldest first */
  hosts?: Host[];
  id: string;
  /** when it ends if it is not used; to the minute */
  idle_expires: string;
  /** an IP address */
  last_address?: string;
  /** to the minute */
  last_seen: string;
  roles?: string[];
  scopes?: string[];
  subject: string;
}
