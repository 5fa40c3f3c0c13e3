package hostcert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/counterfoil/counterfoil/internal/private"
	"github.com/counterfoil/counterfoil/internal/textfile"
	"github.com/counterfoil/counterfoil/internal/wholefile"
)

// folder has what is kept of one CA. Each file there is whole, and only its owner may read it.
type folder string

// The files of a host begin with its name.
const (
	pairFile      = ".pem"       // the private key, the certificate, and those of the CA
	failedFile    = ".failed"    // failures, as JSON
	challengeFile = ".challenge" // a pair for the CA, during an order
	lockFile      = ".lock"      // is locked by who asks the CA
	responseFile  = ".http-01"   // what the CA gets at port 80; begins with the token instead
	accountFile   = "account.key"
)

// openFolder opens the folder of a CA in path. Each CA has one: what one has issued, as for a test, is
// not served in the place of what another one would.
func openFolder(path, directory string) (folder, error) {
	ca, err := url.Parse(directory)
	if err != nil {
		return "", err
	}
	f := folder(filepath.Join(path, strings.Map(plain, ca.Host+ca.Path)))
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return "", err
	}
	owner, err := private.Folder(path)
	if err == nil {
		owner, err = private.Folder(string(f))
	}
	if err != nil {
		return "", err
	}
	files, err := os.ReadDir(string(f))
	if err != nil {
		return "", err
	}
	for _, file := range files {
		if err := owner.File(f.path(file.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) { // another program may have removed it
			return "", err
		}
	}
	unlock, err := f.lock("start")
	if errors.Is(err, errBusy) {
		return f, nil
	} else if err != nil {
		return "", err // nothing could be kept
	}
	unlock()
	return f, nil
}

// plain has a character in the name of a file.
func plain(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' {
		return r
	}
	return '-'
}

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

var errBusy = errors.New("another program asks for the certificate")

// lock keeps other programs from asking for a host. A lock ends with its program.
func (f folder) lock(host string) (unlock func(), err error) {
	file, err := os.OpenFile(f.path(host+lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errBusy
		}
		return nil, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return func() { _ = file.Close() }, nil
}

// pair reads a certificate and its key.
func (f folder) pair(name string) (*tls.Certificate, error) {
	data, err := textfile.Read(f.path(name))
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(data, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path(name), err)
	}
	return &pair, nil
}

// keep writes a certificate and its key.
func (f folder) keep(name string, pair *tls.Certificate) error {
	data, err := encode(pair)
	if err != nil {
		return err
	}
	return wholefile.Replace(f.path(name), data)
}

// encode returns the key and the certificates of a pair in PEM.
func encode(pair *tls.Certificate) ([]byte, error) {
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	err = pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: key})
	for _, c := range pair.Certificate {
		err = errors.Join(err, pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: c}))
	}
	return text.Bytes(), err
}

func (f folder) remove(name string) error {
	if err := os.Remove(f.path(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (f folder) failures(name string) (failed failures, err error) {
	data, err := textfile.Read(f.path(name))
	if err == nil {
		err = json.Unmarshal(data, &failed)
	}
	return failed, err
}

func (f folder) note(name string, failed failures) error {
	data, err := json.Marshal(failed)
	if err != nil {
		return err
	}
	return wholefile.Replace(f.path(name), data)
}

// respond writes what the CA gets at port 80 for a token, and returns the name of the file.
func (f folder) respond(token, response string) (string, error) {
	if strings.Map(tokenRune, token) != token || token == "" {
		return "", fmt.Errorf("the CA has sent the token %q, which is none (RFC 8555 section 8.3)", token)
	}
	return token + responseFile, wholefile.Replace(f.path(token+responseFile), []byte(response))
}

// response reads what respond has written.
func (f folder) response(token string) ([]byte, error) {
	if strings.Map(tokenRune, token) != token {
		return nil, fs.ErrNotExist
	}
	return textfile.Read(f.path(token + responseFile))
}

// tokenRune has the alphabet base64url.
func tokenRune(r rune) rune {
	if r != '.' && (plain(r) == r || r == '_') {
		return r
	}
	return -1
}

// accountKey reads the key of the account, or makes it.
func (f folder) accountKey() (crypto.Signer, error) {
	data, err := textfile.Read(f.path(accountFile))
	if errors.Is(err, fs.ErrNotExist) {
		if err = f.newAccountKey(); err == nil || errors.Is(err, fs.ErrExist) { // another program may have been first
			data, err = textfile.Read(f.path(accountFile))
		}
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not a key in PEM", f.path(accountFile))
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.path(accountFile), err)
	}
	signer, is := key.(crypto.Signer)
	if !is {
		return nil, fmt.Errorf("%s is a key that cannot sign", f.path(accountFile))
	}
	return signer, nil
}

func (f folder) newAccountKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	text, err := encode(&tls.Certificate{PrivateKey: key})
	if err != nil {
		return err
	}
	return wholefile.Create(f.path(accountFile), text)
}
