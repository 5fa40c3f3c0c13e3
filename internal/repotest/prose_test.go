package repotest

import (
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// unnamed is a word that hides who acts. Readers for whom English is a second language need
// the actor's name.
var unnamed = regexp.MustCompile(`(?i)\bwho` + `ever\b`)

// Comments and docs name their actors.
func TestActorsAreNamed(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != "." {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		if ext := filepath.Ext(path); ext != ".go" && ext != ".md" {
			return nil
		}
		if at := unnamed.FindString(text(t, path)); at != "" {
			t.Errorf("%s says %q: name the actor", path, at)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
