// Package compare measures sessions and JWTs beside each other, and beside the carriers of
// Counterfoil, on the machine and the store of the caller. Call [Run]; the program must be able to
// start itself again with [Child] as its main function. [Result] is what was measured, and has its own
// JSON.
//
// # What is measured
//
// A [Contender] is a way to know who sends a request. All contenders guard the same handler in the
// same processes ("nodes"), are asked by the same client, and take turns: a round measures each of
// them once, in a random order, so that a busy moment of the machine hits all of them. The contenders
// of package plain are what a good engineer writes with the usual libraries. Ours are the real
// server, in a process of its own, and the real verifier in each node, which follows it over HTTP.
//
// A [Row] is one question. Its cells are the answers of the contenders. A row that is measured in rounds
// has the median of the rounds, and the narrowest interval between two rounds, by their order, that
// contains the true median with a probability of at least 95 % ([Interval]; nothing is assumed about
// the distribution). A contender is better than another only if their intervals do not overlap, and
// are at least a tenth apart. Where they are not, nothing is decided, and their ranks are ranges: see
// [Cell.Rank].
//
// # JSON
//
// The JSON of a [Result] is an object. Its members are the fields of the types here, in snake case,
// and its member schema is [Schema]. Times are RFC 3339, durations are in the unit of
// the row. A member that is not known is absent. New members may come with the same schema; a
// program that reads it must ignore members that it does not know.
//
//	{
//	  "schema": "counterfoil-compare/1",
//	  "version": "v0.1.0",                  of the program
//	  "began": "…", "seconds": 151.2, "seed": 1, "partial": false,
//	  "unfinished": ["…"],                  ids of groups that were not measured to the end
//	  "machine": {"os": "linux", "arch": "amd64", "cpus": 2, "cpu": "…", "memory_bytes": 0, "go": "go1.26.8", "kernel": "…"},
//	  "settings": {"rounds": 13, "measure_ms": 80, "rate": 1000, "users": [1000], "stores": ["sqlite"], "callers": 500, "connections": 16},
//	  "libraries": {"github.com/alexedwards/scs/v2": "v2.9.0"},
//	  "contenders": [{"id": "session-sqlite", "name": "…", "family": "session", "format": "opaque", "transport": "cookie", "store": "sqlite", "about": "…"}],
//	  "rows": [{
//	    "id": "network-20", "group": "network", "title": "…", "how": "…", "unit": "µs", "better": "less",
//	    "series": "network", "at": 20, "at_unit": "ms",   if rows differ in one number alone
//	    "decided": false,                   some ranks are ranges
//	    "cells": [{
//	      "contender": "session-sqlite", "value": 81.2, "low": 80.9, "high": 83.0, "confidence": 0.984,
//	      "rank": [2, 4],                   second at best, fourth at worst: not decided among these
//	      "rounds": [80.9, 81.2],           raw: one number for each round, in the order of the rounds
//	      "histogram": [[812, 3]],          raw, of latencies: [microseconds, how many], all rounds together
//	      "text": "…"                       in words, where a number does not say it
//	    }],
//	    "notes": ["…"]
//	  }],
//	  "notes": ["…"]
//	}
package compare
