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
	Hint    string // a command, or an option of the mount that the file is in

	Group bool // nobody else than a group may read the file
	Given bool // and the file is in a mount: who started the container gave it to that group
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
		return 0, &Error{Path: path, Problem: fmt.Sprintf("belongs to user %d: another user could replace what is in it", uid), Hint: "use a folder of your own: mkdir -m 700 DIR"}
	case others(info, gid)&0o2 != 0:
		return 0, &Error{Path: path, Problem: "may be changed by other users of the machine", Hint: "chmod go-w " + path + ", or use a new folder: mkdir -m 700 DIR"}
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
		return o.stranger(path, uid)
	case others(info, gid) != 0:
		return &Error{Path: path, Problem: openToOthers, Hint: "chmod 600 " + path}
	}
	return nil
}

func (o Owner) stranger(path string, uid uint32) error {
	return &Error{Path: path, Problem: fmt.Sprintf("belongs to user %d, and not to user %d", uid, o), Hint: "find out who made it"}
}

// Secret is [Secret] for a file that only owner or root may own.
func (o Owner) Secret(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if uid, _, ok := ids(info); ok && !o.Trusts(uid) {
		return o.stranger(path, uid)
	}
	return Secret(path)
}

// Secret checks the file at path, which holds a secret: only its owner may read or change it.
// If the owner is another user, the group may read it: systemd and Kubernetes give a file of
// root to a program by its group. They do so to a program of root too: that is [Error].Given, and a
// warning is enough.
func Secret(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	uid, gid, ok := ids(info)
	own := !ok || uid == uint32(os.Geteuid())
	switch mode := info.Mode().Perm(); {
	case mode&0o037 != 0:
		return &Error{Path: path, Problem: openToOthers, Hint: mend(path, own)}
	case mode&0o040 != 0 && own:
		bad := &Error{Path: path, Problem: openToOthers, Hint: mend(path, own), Group: true}
		if mountedBy(path) != "" {
			bad.Problem, bad.Given = fmt.Sprintf("may be read by group %d", gid), true
		}
		return bad
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
