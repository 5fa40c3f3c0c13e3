// Package private tells whether other users of the machine can change or read what a program
// trusts: a folder, its files, and who is at the other end of a Unix socket in it.
package private

import (
	"fmt"
	"io/fs"
	"os"
)

// Error means that another user of the machine could change or read a file.
type Error struct {
	Path    string
	Problem string
	Hint    string // a command
}

func (e *Error) Error() string { return e.Path + " " + e.Problem + "\nhint: " + e.Hint }

const openToOthers = "may be read or changed by other users of the machine"

// Owner is a user whom a program trusts with its files: itself, or for root the
// owner of the folder.
type Owner uint32

// Folder returns the owner of the folder at path. The owner must be the user of this process or
// root; a process of root accepts every owner. Nobody else may be able to make files in it.
func Folder(path string) (Owner, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	uid, gid, ok := ids(info)
	self := uint32(os.Geteuid())
	switch {
	case !ok: // not a system with owners
		return Owner(self), nil
	case uid != self && uid != 0 && self != 0:
		return 0, &Error{path, fmt.Sprintf("belongs to user %d: another user could replace what is in it", uid), "use a folder of your own: mkdir -m 700 DIR"}
	case others(info, gid)&0o2 != 0:
		return 0, &Error{path, "may be changed by other users of the machine", "chmod go-w " + path + ", or use a new folder: mkdir -m 700 DIR"}
	}
	return Owner(uid), nil
}

// File checks the file at path: only owner or root may own it, read it or change it. A file that
// is not there is [fs.ErrNotExist].
func (o Owner) File(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	uid, gid, ok := ids(info)
	switch {
	case !ok:
	case !o.Trusts(uid):
		return &Error{path, fmt.Sprintf("belongs to user %d, and not to user %d", uid, o), "find out who made it"}
	case others(info, gid) != 0:
		return &Error{path, openToOthers, "chmod 600 " + path}
	}
	return nil
}

// Secret checks the file at path, which holds a secret: only its owner may read or change it.
// If the owner is another user, the group may read it: systemd and Kubernetes give a file of
// root to a program by its group.
func Secret(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	none := fs.FileMode(0o077)
	if uid, _, ok := ids(info); ok && uid != uint32(os.Geteuid()) {
		none = 0o037
	}
	if info.Mode().Perm()&none != 0 {
		return &Error{path, openToOthers, "chmod 600 " + path}
	}
	return nil
}

// Trusts reports whether uid is o or root.
func (o Owner) Trusts(uid uint32) bool { return uid == uint32(o) || uid == 0 }

// others is what users other than the owner may do: the bits r, w and x of others, and those of
// the group. A group whose number is that of the user has no other member by convention.
func others(info fs.FileInfo, gid uint32) fs.FileMode {
	mode := info.Mode().Perm()
	if gid == uint32(os.Geteuid()) {
		return mode & 7
	}
	return mode&7 | mode>>3&7
}
