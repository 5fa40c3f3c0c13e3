// Package textfile reads the text files that people and their tools write for a program:
// settings, secrets, certificates, lists of users. Call [Read], [ReadSecret], or [Reader] for
// what is read line by line. Editors begin such a file with a byte order mark, or end it with
// blanks and line ends that nobody meant; here is the one place that knows.
//
// It does not read what a program wrote for itself, nor keys that are bytes.
package textfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/counterfoil/counterfoil/internal/check"
)

// most is the size of the largest file that is read as a whole.
const most = 4 << 20

const mark = "\ufeff" // in UTF-8

var errUTF16 = errors.New("is UTF-16: save it as UTF-8")

// Read returns the content of a file without a byte order mark.
func Read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if len(data) > most {
		return nil, fmt.Errorf("%s is longer than %d MiB", path, most>>20)
	}
	if isUTF16(data) {
		return nil, fmt.Errorf("%s %w", path, errUTF16)
	}
	return bytes.TrimPrefix(data, []byte(mark)), nil
}

// isUTF16 knows the byte order mark of UTF-16, which some shells of Windows write.
func isUTF16(data []byte) bool {
	return bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff})
}

// Marked reports whether the file begins with a byte order mark. It is for files that another
// reader reads, which does not know it.
func Marked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, len(mark))
	n, _ := io.ReadFull(f, begin)
	return string(begin[:n]) == mark || isUTF16(begin[:n])
}

// Reader returns what r has without a byte order mark. Its first read fails if r is UTF-16.
func Reader(r io.Reader) io.Reader { return &reader{in: bufio.NewReader(r)} }

type reader struct {
	in    *bufio.Reader
	begun bool
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (int, error) {
	if !r.begun {
		r.begun = true
		begin, _ := r.in.Peek(len(mark)) // an error comes again with the next read
		if isUTF16(begin) {
			return 0, fmt.Errorf("the input %w", errUTF16)
		}
		if string(begin) == mark {
			_, _ = r.in.Discard(len(mark))
		}
	}
	return r.in.Read(p)
}

// Secret returns a secret without what an editor, a shell or a tool adds around it: a byte order
// mark, blanks and line ends. What is left has one line. The error shows nothing of the secret.
func Secret(text string) (string, error) {
	text = strings.TrimSpace(strings.TrimPrefix(text, mark))
	switch {
	case text == "":
		return "", errors.New("is empty")
	case strings.ContainsAny(text, "\r\n"):
		return "", errors.New("has more than one line")
	}
	if check.People(text) != nil { // its error would show a byte of the secret
		return "", errors.New("is no line of text in UTF-8")
	}
	return text, nil
}

// ReadSecret returns the [Secret] in a file.
func ReadSecret(path string) (string, error) {
	data, err := Read(path)
	if err != nil {
		return "", err
	}
	text, err := Secret(string(data))
	if err != nil {
		return "", fmt.Errorf("%s %w", path, err)
	}
	return text, nil
}
