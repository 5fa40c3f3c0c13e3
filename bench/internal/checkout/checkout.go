// Package checkout has this repository at another revision, beside the checkout that is worked in.
// Begin with [Top] and [Add].
package checkout

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// Top returns the folder of the checkout that this process runs in.
func Top(ctx context.Context) (string, error) {
	return Run(ctx, "", "git", "rev-parse", "--show-toplevel")
}

// Add checks revision out into a new folder at path. remove removes it, also after ctx has ended.
func Add(ctx context.Context, top, path, revision string) (remove func(), err error) {
	_, err = Run(ctx, top, "git", "worktree", "add", "--detach", path, revision)
	return func() {
		_, _ = Run(context.WithoutCancel(ctx), top, "git", "worktree", "remove", "--force", path)
	}, err
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
