// Checked by tsc, and never run: what a program in TypeScript sees of the package.
import { createClient, ProblemError, type Challenge, type Client, type Events, type ProblemType, type Session } from "@counterfoil/client";

const auth: Client = createClient({ issuer: "https://auth.example.com", client: "shop", carrier: "bearer", origins: ["https://api.example.com"] });

const who: Session | null = await auth.session();
const roles: string[] | undefined = who?.roles;
const end: () => void = auth.on("change", (session) => { const subject: string | undefined = session?.subject; void subject; });
auth.on("step-up", (problem) => { const age: number | undefined = problem.max_age; void age; });
auth.on("stale", (session) => session.subject);

const answer: Session | Challenge = await auth.signIn({ identifier: "alice", password: "secret" });
if ("attempt" in answer) await auth.answer(answer, { code: "123456" });
const response: Response = await auth.fetch(new URL("https://api.example.com/"), { method: "POST", signal: AbortSignal.timeout(1000) });

try {
  await auth.signOut();
} catch (error) {
  if (error instanceof ProblemError) said(error.problem?.type);
}

// The union is closed: a type that is forgotten here, or that the server does not have, is an error.
function said(type: ProblemType | undefined): string {
  switch (type) {
    case "urn:counterfoil:problem:login-refused": return "wrong";
    case "urn:counterfoil:problem:too-many-attempts": return "wait";
    default: return "later";
  }
}
type Name = ProblemType extends `urn:counterfoil:problem:${infer slug}` ? slug : never;
const slug: Name = "step-up";
const names: (keyof Events)[] = ["change", "signed-out", "revoked", "step-up", "stale"];
void [roles, end, response, slug, names];

// @ts-expect-error the issuer is needed
createClient({});
// @ts-expect-error no carrier
createClient({ issuer: "https://auth.example.com", carrier: "session" });
// @ts-expect-error no event
auth.on("login", () => {});
// @ts-expect-error null while nobody is signed in
who.subject;
// @ts-expect-error no type of problem
said("urn:counterfoil:problem:nonsense");
// @ts-expect-error no slug
const wrong: Name = "nonsense";
// @ts-expect-error tokens are not shown
auth.token;
