package textfile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/counterfoil/counterfoil/internal/textfile"
)

const utf16 = "\xff\xfea\x00\n\x00"

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "\ufeff": "", "a\r\n": "a\r\n", "\ufeffa": "a", "\ufeff\ufeffa": "\ufeffa", "\xef\xbb": "\xef\xbb", "\xef": "\xef", "ab\ufeff": "ab\ufeff",
	} {
		if got, err := textfile.Read(file(t, text)); err != nil || string(got) != want {
			t.Errorf("Read of %q = %q, %v, want %q", text, got, err, want)
		}
		for name, r := range map[string]io.Reader{"at once": strings.NewReader(text), "by byte": iotest.OneByteReader(strings.NewReader(text))} {
			if got, err := io.ReadAll(textfile.Reader(r)); err != nil || string(got) != want {
				t.Errorf("Reader of %q, %s = %q, %v, want %q", text, name, got, err, want)
			}
		}
		if got := textfile.Marked(file(t, text)); got != strings.HasPrefix(text, "\ufeff") {
			t.Errorf("Marked of %q = %v", text, got)
		}
	}
	for _, text := range []string{utf16, "\xfe\xff\x00a", "\xff\xfe\x00\x00a\x00\x00\x00"} {
		if _, err := textfile.Read(file(t, text)); err == nil || !strings.Contains(err.Error(), "is UTF-16: save it as UTF-8") {
			t.Errorf("Read of %q: %v", text, err)
		}
		if _, err := io.ReadAll(textfile.Reader(strings.NewReader(text))); err == nil || !strings.Contains(err.Error(), "is UTF-16: save it as UTF-8") {
			t.Errorf("Reader of %q: %v", text, err)
		}
		if !textfile.Marked(file(t, text)) {
			t.Errorf("Marked of %q = false", text)
		}
	}
	if _, err := textfile.Read(file(t, strings.Repeat("a", 4<<20+1))); err == nil {
		t.Error("a file of more than 4 MiB is read")
	}
	if _, err := textfile.Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	broken := errors.New("broken")
	if _, err := io.ReadAll(textfile.Reader(iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("Reader of a reader that fails: %v", err)
	}
}

func TestSecret(t *testing.T) {
	for text, want := range map[string]string{
		"canary": "canary", "canary\n": "canary", "canary\r\n": "canary", "\ufeffcanary \t\r\n\n": "canary", " canary": "canary",
		"two words": "two words", "käse": "käse",
	} {
		if got, err := textfile.ReadSecret(file(t, text)); err != nil || got != want {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"": "is empty", "\n": "is empty", "\ufeff \n": "is empty", "canary\ncanary": "has more than one line", "canary\r\n\r\ncanary": "has more than one line",
		"canary\x00": "is no line of text", "can\tary": "is no line of text", "canary\xff": "is no line of text", utf16: "is UTF-16",
	} {
		if got, err := textfile.ReadSecret(file(t, text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") || got != "" {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
	}
}
