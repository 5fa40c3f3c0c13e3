package main

import (
	"debug/buildinfo"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
)

// builder builds the program from one checkout.
type builder struct {
	top, into string
	toolchain string // the Go release of go.mod, whichever one is installed
}

// program is one build.
type program struct {
	arch string
	path string
	info *buildinfo.BuildInfo
}

func newBuilder(top, into string) (*builder, error) {
	text, err := output(top, "go", "mod", "edit", "-json")
	if err != nil {
		return nil, err
	}
	var mod struct{ Toolchain string }
	if err := json.Unmarshal([]byte(text), &mod); err != nil {
		return nil, err
	}
	if mod.Toolchain == "" {
		return nil, errors.New("go.mod has no toolchain line")
	}
	return &builder{top, into, mod.Toolchain}, nil
}

// command is a command of Go that nothing in the environment changes, except where modules come
// from.
func (b *builder) command(args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = b.top
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+b.toolchain, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=off",
		"GOEXPERIMENT=", "GOFIPS140=off", "GOAMD64=v1", "GOARM64=v8.0")
	return cmd
}

// build builds the program for a system, or with "" for this one.
func (b *builder) build(system, arch string) (program, error) {
	p := program{arch: arch, path: filepath.Join(b.into, "counterfoil-"+system+arch)}
	cmd := b.command("build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", p.path, "./cmd/counterfoil")
	if system == "" {
		system, arch = runtime.GOOS, runtime.GOARCH
	}
	cmd.Env = append(cmd.Env, "GOOS="+system, "GOARCH="+arch)
	if _, err := run(cmd); err != nil {
		return p, err
	}
	var err error
	if p.info, err = buildinfo.ReadFile(p.path); err != nil {
		return p, err
	}
	if p.info.GoVersion != b.toolchain {
		return p, fmt.Errorf("built with %s, want %s", p.info.GoVersion, b.toolchain)
	}
	for _, s := range p.info.Settings {
		if s.Key == "vcs.modified" && s.Value == "false" {
			return p, nil
		}
	}
	return p, fmt.Errorf("the program does not say that it is a commit without changes:\n%s", p.info)
}
