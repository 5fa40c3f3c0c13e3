package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dpkg orders versions as Go does.
func TestDebVersion(t *testing.T) {
	inOrder := []string{"0.0.0-20261130001212-17297d3abcde", "0.0.0-20261201001212-07297d3abcde", "1.2.3-rc.1", "1.2.3", "1.2.4-0.20261130001212-17297d3abcde", "1.2.4", "1.10.0"}
	for n := 1; n < len(inOrder); n++ {
		before, after := debVersion(inOrder[n-1]), debVersion(inOrder[n])
		if _, err := output("", "dpkg", "--compare-versions", before, "lt", after); err != nil {
			t.Errorf("%s is not before %s", before, after)
		}
	}
	if _, err := output("", "dpkg", "--validate-version", debVersion(inOrder[0])); err != nil {
		t.Error(err)
	}
}

// example is a release of a program that does nothing, built from this checkout.
func example(t *testing.T) *release {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("no build information")
	}
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return &release{
		b: &builder{top: top}, program: program{arch: "amd64", info: info}, version: "1.2.3-rc.1", when: time.Unix(1_800_000_000, 0).UTC(),
		binary: []byte("#!/bin/sh\n"), manual: []byte(".TH X\n"), license: []byte("license\n"), notices: []byte("notices\n"),
		completions: map[string][]byte{"bash": []byte("b\n"), "zsh": []byte("z\n"), "fish": []byte("f\n")},
	}
}

// made returns the files of a release by name.
func made(t *testing.T, r *release) map[string][]byte {
	t.Helper()
	out := t.TempDir()
	for _, write := range []func() error{
		func() error { return r.writeTar(out) }, func() error { return r.writeDeb(out, t.TempDir()) },
		func() error { return r.writeSBOM(out) }, func() error { return sums(out) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string][]byte{}
	names, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range names {
		if files[f.Name()], err = os.ReadFile(filepath.Join(out, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// What is made depends on nothing but what goes into it: not on the folder, the time, or the umask.
func TestReproducible(t *testing.T) {
	first := made(t, example(t))
	defer syscall.Umask(syscall.Umask(0o077))
	second := made(t, example(t))
	names := slices.Sorted(maps.Keys(first))
	want := []string{"SHA256SUMS", "counterfoil-1.2.3-rc.1-linux-amd64.cdx.json", "counterfoil-1.2.3-rc.1-linux-amd64.tar.gz", "counterfoil_1.2.3~rc.1_amd64.deb"}
	if !slices.Equal(names, want) {
		t.Errorf("files %q, want %q", names, want)
	}
	for _, name := range names {
		if !bytes.Equal(first[name], second[name]) {
			t.Errorf("%s differs", name)
		}
	}
}

// The package has its files with their modes and one time, owned by root, and a program that dpkg runs at each
// step.
func TestDeb(t *testing.T) {
	out := t.TempDir()
	if err := example(t).writeDeb(out, t.TempDir()); err != nil {
		t.Fatal(err)
	}
	deb := filepath.Join(out, "counterfoil_1.2.3~rc.1_amd64.deb")
	t.Setenv("TZ", "UTC")
	list, err := output("", "dpkg-deb", "--contents", deb)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		found[fields[5]] = fields[0] + " " + fields[1]
		if at := fields[3] + " " + fields[4]; at != "2027-01-15 08:00" {
			t.Errorf("%s is of %s, want the time of the release", fields[5], at)
		}
	}
	for name, want := range map[string]string{
		"./usr/bin/counterfoil":                               "-rwxr-xr-x root/root",
		"./etc/counterfoil/":                                  "drwxr-xr-x root/root",
		"./etc/counterfoil/config.yaml":                       "-rw-r--r-- root/root",
		"./lib/systemd/system/counterfoil.service":            "-rw-r--r-- root/root",
		"./usr/share/man/man1/counterfoil.1.gz":               "-rw-r--r-- root/root",
		"./usr/share/bash-completion/completions/counterfoil": "-rw-r--r-- root/root",
	} {
		if found[name] != want {
			t.Errorf("%s is %q, want %q", name, found[name], want)
		}
	}
	control := t.TempDir()
	if _, err := output("", "dpkg-deb", "--raw-extract", deb, control); err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		path := filepath.Join(control, "DEBIAN", script)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", script, info.Mode(), err)
		}
		if _, err := output("", "sh", "-n", path); err != nil {
			t.Error(err)
		}
	}
	conffiles, err := os.ReadFile(filepath.Join(control, "DEBIAN/conffiles"))
	if err != nil || string(conffiles) != "/etc/counterfoil/config.yaml\n" {
		t.Errorf("conffiles = %q, %v", conffiles, err)
	}
	unit, err := os.ReadFile(filepath.Join(control, "lib/systemd/system/counterfoil.service"))
	if err != nil || !bytes.HasPrefix(unit, []byte("[Unit]\n")) || !bytes.Contains(unit, []byte("\nExecStart=/usr/bin/counterfoil serve ")) {
		t.Errorf("the unit does not run the program of the package, %v:\n%s", err, unit)
	}
}

// The SBOM names each module that is in the program, with version and hash, and Go itself.
func TestSBOM(t *testing.T) {
	r := example(t)
	var bom struct {
		BOMFormat, SpecVersion string
		Metadata               struct{ Component struct{ Name string } }
		Components             []struct {
			Name, Version, Purl string
			Hashes              []struct{ Content string }
		}
	}
	if err := json.Unmarshal(made(t, r)["counterfoil-1.2.3-rc.1-linux-amd64.cdx.json"], &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" || bom.SpecVersion != "1.6" || bom.Metadata.Component.Name != r.program.info.Main.Path {
		t.Errorf("%+v", bom)
	}
	if len(bom.Components) != len(r.program.info.Deps)+1 || len(bom.Components) < 2 || bom.Components[0].Name != "std" {
		t.Fatalf("%d components, want Go and %d modules", len(bom.Components), len(r.program.info.Deps))
	}
	for n, dep := range r.program.info.Deps {
		c := bom.Components[n+1]
		if c.Name != dep.Path || c.Version != dep.Version || c.Purl != "pkg:golang/"+dep.Path+"@"+dep.Version || len(c.Hashes) != 1 || len(c.Hashes[0].Content) != 64 {
			t.Errorf("component %+v, want %s %s with its hash", c, dep.Path, dep.Version)
		}
	}
}
