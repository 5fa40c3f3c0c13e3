package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

type configInit struct {
	File string `arg:"" optional:"" type:"path" help:"New file; a file that is there is never overwritten. Empty: standard output."`
}

// Run writes a configuration file in which each setting stands as a comment. So the file changes
// nothing until a person takes a # away.
func (c *configInit) Run() error {
	var text bytes.Buffer
	writeSample(&text)
	if c.File == "" {
		_, err := os.Stdout.Write(text.Bytes())
		return err
	}
	err := writeNew(c.File, text.String())
	if err == nil {
		fmt.Fprintf(os.Stderr, "counterfoil: wrote %s; counterfoil config check --config %s says whether it is valid\n", c.File, c.File)
	}
	return err
}

// writeNew writes a file that is not there yet. No secret may be in it.
func writeNew(file, text string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already, and nothing was written\nhint: name a new file", file)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}

const sampleHead = `# Configuration of counterfoil serve. Name this file with --config or COUNTERFOIL_CONFIG.
#
# Each setting stands here as a comment, with its default. To change one, take the # in
# front of its name away. A flag (--access-ttl) or a variable (COUNTERFOIL_ACCESS_TTL)
# wins over this file. A name that is no setting is an error.
`

func writeSample(w io.Writer) {
	fmt.Fprint(w, sampleHead)
	for _, s := range new(settings).loader().All() {
		key, notes := s.Key(), []string{s.Help(), s.Kind()}
		value, isDefault := s.Sample()
		switch {
		case s.Secret():
			key, value = key+"_file", "FILE"
			notes = append(notes, "FILE holds it, and only its owner may read it (chmod 600)", "It can be in the variable "+s.Env()+" instead")
		case isDefault:
			notes = append(notes, "Default: "+value)
		case !strings.Contains(s.Help(), "Empty: "): // which says what that means
			notes = append(notes, "Default: none")
		}
		fmt.Fprintln(w)
		for _, line := range wrapped(sentences(notes), 88) {
			fmt.Fprintln(w, "# "+line)
		}
		fmt.Fprintf(w, "#%s: %s\n", key, value)
	}
}

// sentences joins texts, each with one full stop.
func sentences(texts []string) string {
	var all []string
	for _, text := range texts {
		if text != "" {
			all = append(all, strings.TrimSuffix(text, ".")+".")
		}
	}
	return strings.Join(all, " ")
}

// wrapped is text in lines of at most width bytes, if its words are no longer.
func wrapped(text string, width int) (lines []string) {
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
