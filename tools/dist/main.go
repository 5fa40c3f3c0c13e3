// Command dist makes what is released from the commit that is checked out: for each architecture
// of Linux a static program in a .tar.gz, a .deb and an SBOM (CycloneDX), and SHA256SUMS over all.
//
// The files depend on the commit and on the Go release of go.mod alone: two builds have the same
// bytes, in whatever folder, on whatever machine. Times in them are that of the commit, or
// SOURCE_DATE_EPOCH. It needs git, and dpkg-deb for the .deb.
//
//	build.go    the programs, and what is said in them about the build
//	release.go  what is installed beside a program, and the .tar.gz
//	deb.go      the .deb, from the files in deploy/deb
//	sbom.go     which modules are in a program
package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	out := flag.String("out", "", "folder to make; it must not exist (default: dist in the checkout)")
	archs := flag.String("arch", "amd64,arm64", "architectures")
	flag.Parse()
	if err := dist(*out, strings.Split(*archs, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "dist:", err)
		os.Exit(1)
	}
}

func dist(out string, archs []string) error {
	top, err := output("", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	changes, err := output(top, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changes != "" {
		return fmt.Errorf("the checkout has changes that are in no commit:\n%s", changes)
	}
	when, err := epoch(top)
	if err != nil {
		return err
	}
	if out, err = filepath.Abs(cmp.Or(out, filepath.Join(top, "dist"))); err != nil {
		return err
	}
	if err := os.Mkdir(out, 0o755); err != nil {
		return err
	}
	temp, err := os.MkdirTemp("", "counterfoil-dist")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temp)
	b, err := newBuilder(top, temp)
	if err != nil {
		return err
	}
	host, err := b.build("", "")
	if err != nil {
		return err
	}
	for _, arch := range archs {
		p, err := b.build("linux", arch)
		if err != nil {
			return err
		}
		r, err := newRelease(b, host, p, when)
		if err != nil {
			return err
		}
		if err := r.writeTar(out); err != nil {
			return err
		}
		if err := r.writeDeb(out, temp); err != nil {
			return err
		}
		if err := r.writeSBOM(out); err != nil {
			return err
		}
	}
	return sums(out)
}

// epoch is the time of everything that is made.
func epoch(top string) (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		var err error
		if text, err = output(top, "git", "log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, err
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0).UTC(), err
}

// sums writes SHA256SUMS, as sha256sum -c reads it.
func sums(dir string) error {
	files, err := os.ReadDir(dir) // sorted by name
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "%x  %s\n", sha256.Sum256(data), f.Name())
	}
	fmt.Print(list.String())
	return os.WriteFile(filepath.Join(dir, "SHA256SUMS"), []byte(list.String()), 0o644)
}

// output runs a program in dir and returns what it prints.
func output(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	return run(cmd)
}

func run(cmd *exec.Cmd) (string, error) {
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w\n%s%s", strings.Join(cmd.Args, " "), err, &out, &problems)
	}
	return strings.TrimSpace(out.String()), nil
}
