package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/counterfoil/counterfoil/audit"
	"github.com/counterfoil/counterfoil/internal/api"
	"github.com/counterfoil/counterfoil/internal/textfile"
)

type auditVerify struct {
	placeFlags
	Anchors string `type:"path" placeholder:"FILE" help:"Also compare with the seals in this log of a server; - is standard input."`
}

// Run prints what was found. If that is a problem, the command fails.
func (c *auditVerify) Run(ctx context.Context) error {
	anchors, err := c.anchors()
	if err != nil {
		return err
	}
	return c.with(ctx, func(a *admin) error {
		v, err := a.VerifyAudit(ctx, anchors)
		if err != nil {
			return err
		}
		if c.JSON {
			if err := writeJSON(os.Stdout, v); err != nil {
				return err
			}
		} else {
			printVerification(v)
		}
		if len(v.Problems) > 0 {
			return errors.New("the audit trail is not as it was sealed")
		}
		return nil
	})
}

func printVerification(v audit.Verification) {
	if v.Seals == 0 {
		fmt.Println("nothing is sealed yet: a running server seals what is two minutes old")
	} else {
		fmt.Printf("%d entries under %d seals, %s to %s UTC\n", v.Entries, v.Seals, v.From.UTC().Format(time.DateTime), v.Upto.UTC().Format(time.DateTime))
	}
	if n := v.Anchors + v.Expired; n > 0 {
		fmt.Printf("%d of %d seals of the log agree", v.Anchors, n)
		if v.Expired > 0 {
			fmt.Printf("; %d are older than the audit trail, and were not compared", v.Expired)
		}
		fmt.Println()
	}
	for _, p := range v.Problems {
		fmt.Println("problem: " + p)
	}
	if v.More {
		fmt.Println("and more problems")
	}
}

// anchors reads the lines of a server's log that tell of a seal, and returns the newest.
func (c *auditVerify) anchors() (anchors []audit.Anchor, err error) {
	var from io.Reader = os.Stdin
	switch c.Anchors {
	case "":
		return nil, nil
	case "-":
	default:
		f, err := os.Open(c.Anchors)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	lines := bufio.NewScanner(textfile.Reader(from))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line struct {
			Msg string
			audit.Anchor
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "audit seal" && line.N > 0 {
			anchors = append(anchors, line.Anchor)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(anchors) == 0 {
		return nil, misuse("%s has no line of a seal: want the JSON log of a server", c.Anchors)
	}
	return anchors[max(0, len(anchors)-api.MaxAnchors):], nil
}
