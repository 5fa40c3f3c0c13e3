// Package choose recommends how a system should carry its logins: which carrier for which
// client, which lifetimes, store, stale policy, cookies and CORS. Call [Parse] with the answers to
// [Questions], then [Choose]. It measures nothing and does no I/O.
//
// The rules are one table, [Topics]. Each topic takes the first of its rules whose conditions
// hold. A rule says why, and names the rows of "counterfoil compare" that it rests on. What would
// change the recommendation is not written anywhere: [Decision.Flips] finds it by changing one answer at a time.
package choose
