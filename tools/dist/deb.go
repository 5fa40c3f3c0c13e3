package main

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// debVersion is a version as dpkg orders it: a pre-release is before its release.
func debVersion(version string) string {
	release, pre, found := strings.Cut(version, "-")
	if !found {
		return release
	}
	return release + "~" + strings.ReplaceAll(pre, "-", ".")
}

// maintainer is who a user of the package writes to.
const maintainer = "The Counterfoil authors <counterfoil@users.noreply.github.com>"

// writeDeb writes the .deb. Its files are those of deploy/deb, and what a release has.
func (r *release) writeDeb(out, temp string) error {
	version := debVersion(r.version)
	tree := filepath.Join(temp, "deb-"+r.program.arch)
	unit, err := r.unit()
	if err != nil {
		return err
	}
	source := func(name string) []byte {
		data, readErr := os.ReadFile(filepath.Join(r.b.top, "deploy/deb", name))
		if err == nil {
			err = readErr
		}
		return data
	}
	changes := fmt.Sprintf("counterfoil (%s) stable; urgency=medium\n\n  * CHANGELOG.md of this version says what is new:\n    https://github.com/counterfoil/counterfoil/blob/main/CHANGELOG.md\n\n -- %s  %s\n",
		version, maintainer, r.when.Format(time.RFC1123Z))
	files := []file{
		{"usr/bin/counterfoil", 0o755, r.binary},
		{"lib/systemd/system/counterfoil.service", 0o644, unit},
		{"etc/counterfoil/config.yaml", 0o644, source("config.yaml")},
		{"usr/share/man/man1/counterfoil.1.gz", 0o644, compress(r.manual)},
		{"usr/share/bash-completion/completions/counterfoil", 0o644, r.completions["bash"]},
		{"usr/share/zsh/vendor-completions/_counterfoil", 0o644, r.completions["zsh"]},
		{"usr/share/fish/vendor_completions.d/counterfoil.fish", 0o644, r.completions["fish"]},
		{"usr/share/doc/counterfoil/copyright", 0o644, source("copyright")},
		{"usr/share/doc/counterfoil/licenses-of-others.gz", 0o644, compress(r.notices)},
		{"usr/share/doc/counterfoil/changelog.gz", 0o644, compress([]byte(changes))},
		{"usr/share/lintian/overrides/counterfoil", 0o644, source("lintian-overrides")},
	}
	size := 0
	var sums bytes.Buffer
	for _, f := range files {
		size += (len(f.data) + 1023) / 1024
		if !strings.HasPrefix(f.name, "etc/") {
			fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(f.data), f.name)
		}
	}
	control := strings.NewReplacer("VERSION", version, "ARCH", r.program.arch, "SIZE", fmt.Sprint(size), "MAINTAINER", maintainer).Replace(string(source("control")))
	files = append(files,
		file{"DEBIAN/control", 0o644, []byte(control)}, file{"DEBIAN/md5sums", 0o644, sums.Bytes()},
		file{"DEBIAN/conffiles", 0o644, []byte("/etc/counterfoil/config.yaml\n")},
		file{"DEBIAN/postinst", 0o755, source("postinst")}, file{"DEBIAN/prerm", 0o755, source("prerm")},
		file{"DEBIAN/postrm", 0o755, source("postrm")})
	if err != nil {
		return err
	}
	if err := lay(tree, files, r.when); err != nil {
		return err
	}
	name := filepath.Join(out, fmt.Sprintf("counterfoil_%s_%s.deb", version, r.program.arch))
	cmd := exec.Command("dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, name)
	cmd.Env = append(os.Environ(), fmt.Sprint("SOURCE_DATE_EPOCH=", r.when.Unix()))
	_, err = run(cmd)
	return err
}

// unit is that of deploy/systemd, for the place where the package installs the program.
func (r *release) unit() ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(r.b.top, "deploy/systemd/counterfoil.service"))
	if err != nil {
		return nil, err
	}
	_, unit, found := strings.Cut(string(data), "[Unit]\n")
	if !found || strings.Count(unit, "/usr/local/bin/counterfoil") != 1 {
		return nil, errors.New("deploy/systemd/counterfoil.service has no [Unit], or does not name the program once")
	}
	unit = strings.ReplaceAll(unit, "/usr/local/bin/counterfoil", "/usr/bin/counterfoil")
	return []byte("[Unit]\n" + unit), nil
}

// lay writes files below a new folder, with modes that do not depend on the umask, and one time:
// dpkg-deb replaces only the times after that of the release.
func lay(tree string, files []file, when time.Time) error {
	for _, f := range files {
		path := filepath.Join(tree, f.name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, f.data, f.mode); err != nil {
			return err
		}
		if err := os.Chmod(path, f.mode); err != nil {
			return err
		}
	}
	return filepath.WalkDir(tree, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			err = os.Chmod(path, 0o755)
		}
		if err != nil {
			return err
		}
		return os.Chtimes(path, when, when)
	})
}
