// Package checkout has this repository at another revision, beside the checkout that is worked in.
// Begin with [Beside].
package checkout

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Pair is two checkouts, and a folder for what is made of them.
type Pair struct{ Here, Old, Dir string }

// Beside checks revision out beside the checkout that this process runs in. Without a revision there is no Old.
// remove removes it, with Dir and all that is in it, also after ctx has ended.
func Beside(ctx context.Context, revision string) (p Pair, remove func(), err error) {
	if p.Here, err = Run(ctx, "", "git", "rev-parse", "--show-toplevel"); err != nil {
		return p, nil, err
	}
	if p.Dir, err = os.MkdirTemp("", "counterfoil-bench"); err != nil {
		return p, nil, err
	}
	drop := func() {
		if p.Old != "" {
			_, _ = Run(context.WithoutCancel(ctx), p.Here, "git", "worktree", "remove", "--force", p.Old)
		}
		_ = os.RemoveAll(p.Dir)
	}
	if revision != "" {
		p.Old = filepath.Join(p.Dir, "source")
		if _, err := Run(ctx, p.Here, "git", "worktree", "add", "--detach", p.Old, revision); err != nil {
			drop()
			return p, nil, err
		}
	}
	return p, drop, nil
}

// Run runs a program in a folder and returns what it prints.
func Run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, problems bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", filepath.Base(name), strings.Join(args, " "), err, &out, &problems)
	}
	return strings.TrimSpace(out.String()), nil
}
