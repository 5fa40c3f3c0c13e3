package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// release is what is shipped of one program.
type release struct {
	b       *builder
	program program
	version string // without v, such as 1.2.3 or 0.0.0-20261130001212-17297d3abcde
	when    time.Time

	binary, manual, license, notices []byte
	completions                      map[string][]byte // by shell
}

// shells are those whose completion is shipped.
var shells = []string{"bash", "fish", "zsh"}

// maxProgram is the aim of docs/performance.md for the size of a program.
const maxProgram = 38 << 20

// newRelease collects the files. host is the same program for this machine, which prints some of
// them.
func newRelease(b *builder, host, p program, when time.Time) (*release, error) {
	r := &release{b: b, program: p, version: strings.TrimPrefix(p.info.Main.Version, "v"), when: when, completions: map[string][]byte{}}
	if r.version == "" || strings.Contains(r.version, "+dirty") || strings.HasPrefix(r.version, "(") {
		return nil, fmt.Errorf("the program says that it is version %q", r.version)
	}
	var errs []error
	must := func(data []byte, err error) []byte {
		errs = append(errs, err)
		return data
	}
	r.binary = must(os.ReadFile(p.path))
	r.license = must(os.ReadFile(filepath.Join(b.top, "LICENSE")))
	r.notices = must(b.notices(p))
	r.manual = must(printed(host, "man"))
	for _, shell := range shells {
		r.completions[shell] = must(printed(host, "completion", shell))
	}
	if len(r.binary) > maxProgram {
		errs = append(errs, fmt.Errorf("the program for %s has %d bytes, want at most %d", p.arch, len(r.binary), maxProgram))
	}
	return r, errors.Join(errs...)
}

// printed is what a program prints.
func printed(p program, args ...string) ([]byte, error) {
	text, err := output("", p.path, args...)
	return []byte(text + "\n"), err
}

// notices are the licenses of all that is in a program beside Counterfoil.
func (b *builder) notices(p program) ([]byte, error) {
	goroot, err := run(b.command("env", "GOROOT"))
	if err != nil {
		return nil, err
	}
	folders, names := []string{goroot}, []string{"Go " + p.info.GoVersion + ", the standard library"}
	for _, dep := range p.info.Deps {
		text, err := run(b.command("mod", "download", "-json", dep.Path+"@"+dep.Version))
		if err != nil {
			return nil, err
		}
		var module struct{ Dir string }
		if err := json.Unmarshal([]byte(text), &module); err != nil {
			return nil, err
		}
		folders, names = append(folders, module.Dir), append(names, dep.Path+" "+dep.Version)
	}
	var all bytes.Buffer
	all.WriteString("The program counterfoil contains the software below.\n")
	for n, folder := range folders {
		found := 0
		for _, pattern := range []string{"LICEN[CS]E*", "COPYING*", "NOTICE*"} {
			files, err := filepath.Glob(filepath.Join(folder, pattern))
			if err != nil {
				return nil, err
			}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					return nil, err
				}
				fmt.Fprintf(&all, "\n%s\n%s: %s\n\n%s\n", strings.Repeat("=", 80), names[n], filepath.Base(file), bytes.TrimSpace(text))
				found++
			}
		}
		if found == 0 {
			return nil, fmt.Errorf("%s: no license in %s", names[n], folder)
		}
	}
	return all.Bytes(), nil
}

// file is a file of the .tar.gz or the .deb.
type file struct {
	name string
	mode fs.FileMode
	data []byte
}

// writeTar writes NAME.tar.gz, with one folder in it.
func (r *release) writeTar(out string) error {
	name := fmt.Sprintf("counterfoil-%s-linux-%s", r.version, r.program.arch)
	files := []file{
		{"LICENSE", 0o644, r.license}, {"LICENSES-OTHERS", 0o644, r.notices},
		{"counterfoil", 0o755, r.binary}, {"counterfoil.1", 0o644, r.manual},
	}
	for _, shell := range shells {
		files = append(files, file{"completion." + shell, 0o644, r.completions[shell]})
	}
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	for _, f := range files {
		header := &tar.Header{Name: name + "/" + f.name, Mode: int64(f.mode), Size: int64(len(f.data)), ModTime: r.when, Format: tar.FormatUSTAR, Typeflag: tar.TypeReg}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(f.data); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, name+".tar.gz"), compress(packed.Bytes()), 0o644)
}

// compress is gzip -9n.
func compress(data []byte) []byte {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = w.Write(data)
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		panic(err) // the level is one, and a buffer takes all
	}
	return packed.Bytes()
}
