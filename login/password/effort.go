package password

import (
	"cmp"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha512"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/counterfoil/counterfoil/directory"
	"github.com/counterfoil/counterfoil/internal/secret"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/scrypt"
)

// effort is the work of a hash: units of one kind. What it takes grows with the units, and
// units of one kind can be spent in parts: a hash of 100,000 iterations, and another of
// 50,000, are the work of one of 150,000. So each refusal can be made to cost the same,
// whatever hash the account has (LOGIN-06).
type effort struct {
	Kind  string // the algorithm, and what its units are of
	Units int

	// Length of the password, which counts for phpass alone: others digest a password once.
	Length int `json:",omitempty"`
}

func argonEffort(algorithm string, q params) effort {
	return effort{Kind: fmt.Sprintf("%s m=%d,p=%d", algorithm, q.m, q.p), Units: int(q.t)}
}

func (w work) effort() effort {
	return effort{Kind: fmt.Sprintf("scrypt ln=%d,r=%d", w.ln, w.r), Units: w.p}
}

// spend does the work of e, for nothing.
func (e effort) spend() error {
	password, salt := []byte("no such password"), make([]byte, 16)
	if e.Units < 1 {
		return nil
	}
	algorithm, _, _ := strings.Cut(e.Kind, " ")
	switch algorithm {
	case "argon2id", "argon2i":
		q := params{t: uint32(e.Units)}
		if _, err := fmt.Sscanf(e.Kind, algorithm+" m=%d,p=%d", &q.m, &q.p); err != nil || e.Units > maxT || q.m > maxM || q.p > maxP || q.p < 1 {
			return ErrHash
		}
		if algorithm == "argon2i" {
			argon2.Key(password, salt, q.t, q.m, q.p, 32)
		} else {
			argon2.IDKey(password, salt, q.t, q.m, q.p, 32)
		}
		return nil
	case "bcrypt": // each bit of the units is a cost
		if e.Units > 1<<maxBcryptCost {
			return ErrHash
		}
		for left := e.Units; left >= 1<<bcrypt.MinCost; left -= 1 << (bits.Len(uint(left)) - 1) {
			if _, err := bcrypt.GenerateFromPassword(password, bits.Len(uint(left))-1); err != nil {
				return err
			}
		}
		return nil
	case "phpass", "phpass-sha512":
		if e.Units > maxPhpass {
			return ErrHash
		}
		digest := md5.New
		if algorithm == "phpass-sha512" {
			digest = sha512.New
		}
		phpass(digest, strings.Repeat("x", min(e.Length, 2*maxPassword)), "saltsalt", e.Units)
		return nil
	case "scrypt":
		w := work{p: e.Units}
		if _, err := fmt.Sscanf(e.Kind, "scrypt ln=%d,r=%d", &w.ln, &w.r); err != nil {
			return ErrHash
		}
		if err := w.check(); err != nil {
			return err
		}
		_, err := scrypt.Key(password, salt, 1<<w.ln, w.r, w.p, 32)
		return err
	}
	digest := digests[strings.TrimPrefix(e.Kind, "pbkdf2-")]
	if digest == nil || e.Units > maxPBKDF2 {
		return ErrHash
	}
	_, err := pbkdf2.Key(digest, string(password), salt, e.Units, digest().Size())
	return err
}

// rest returns what is left of all, once done is spent.
func rest(all directory.Work, done effort) (left []effort) {
	for kind, units := range all {
		if kind == done.Kind {
			units -= done.Units
		}
		if units > 0 {
			left = append(left, effort{Kind: kind, Units: units})
		}
	}
	slices.SortFunc(left, func(a, b effort) int { return cmp.Compare(a.Kind, b.Kind) })
	return left
}

// lengthFor is how many bytes of password each unit of a kind of work digests, in the mean: for
// phpass one half of the units digests what was typed, and the other half what WordPress makes of
// it, which is up to twice as long.
func lengthFor(kind, password string) int {
	if kind == "phpass" {
		return (len(password) + len(slashed(password)) + 1) / 2
	}
	return len(password)
}

// spendRest makes the refusal of a password that was compared with stored cost as much as
// that of any other account: of all kinds of hashes that were imported, and of ours, it
// spends what the comparison did not.
func (p *Passwords) spendRest(h hasher, all directory.Work, stored string, password secret.String) error {
	if len(all) == 0 {
		return nil // all hashes are ours
	}
	k, err := read(stored)
	if err != nil {
		return err
	}
	ours := argonEffort("argon2id", p.policy)
	all = all.With(directory.Work{ours.Kind: ours.Units})
	for _, e := range rest(all, k.effort) {
		e.Length = lengthFor(e.Kind, password.Reveal())
		if err := h.spend(e); err != nil {
			return err
		}
	}
	return nil
}
